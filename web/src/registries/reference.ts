/** The address of an image's page; at names the tag that led to it. */
export function imagePath(digest: string, at = '', tab = '', more: Record<string, string> = {}): string {
  const values = [['at', at], ...Object.entries(more)].filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}=${encodeURIComponent(value ?? '').replaceAll('%2F', '/').replaceAll('%3A', ':')}`)
  const query = values.length === 0 ? '' : `?${values.join('&')}`
  return `/images/${digest}${tab === '' ? '' : `/${tab}`}${query}`
}

/** The address of a repository's page. */
export function repositoryPath(registry: string, repository: string): string {
  return `/registries/${registry}/repositories/${repository}`
}

/** A tag's parts: "main/team/app:1" is registry main, repository team/app, tag 1. */
export function parseAt(at: string): { registry: string; repository: string; tag: string } | undefined {
  const match = /^([^/:]+)\/([^:]+)(?::(.+))?$/.exec(at)
  if (match === null) return undefined
  return { registry: match[1] ?? '', repository: match[2] ?? '', tag: match[3] ?? '' }
}

/** How to push with each of the usual tools. */
export function commands(host: string, user: string): Record<string, string> {
  const plain = /^(localhost|127\.0\.0\.1|\[::1\])(:|$)/.test(host)
  const untrusted = window.location.protocol === 'http:'
  return {
    docker: `docker login -u ${user} ${host}\ndocker pull alpine:3.20\ndocker tag alpine:3.20 ${host}/main/alpine:3.20\ndocker push ${host}/main/alpine:3.20`,
    podman: `podman login -u ${user} ${host}${untrusted ? ' --tls-verify=false' : ''}\npodman pull docker.io/library/alpine:3.20\npodman push ${untrusted ? '--tls-verify=false ' : ''}alpine:3.20 ${host}/main/alpine:3.20`,
    skopeo: `skopeo login -u ${user} ${host}${untrusted ? ' --tls-verify=false' : ''}\nskopeo copy ${untrusted ? '--dest-tls-verify=false ' : ''}docker://alpine:3.20 docker://${host}/main/alpine:3.20`,
    ...(untrusted && !plain ? { 'docker without TLS': `# in /etc/docker/daemon.json, then restart docker\n{ "insecure-registries": ["${host}"] }` } : {}),
  }
}
