/** What makes a cluster ask before it runs an image. */
export function webhookYaml(origin: string, path: string): string {
  return `apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: pratique
webhooks:
  - name: images.pratique.example.com
    admissionReviewVersions: [v1]
    sideEffects: NoneOnDryRun
    timeoutSeconds: 10
    failurePolicy: Fail # nothing new runs while the server is away; Ignore lets it run
    matchPolicy: Equivalent
    clientConfig:
      url: ${origin}${path}
      # caBundle: base64 of the PEM of the CA, where it is not a public one
    namespaceSelector:
      matchExpressions:
        - {key: kubernetes.io/metadata.name, operator: NotIn, values: [kube-system]}
    rules:
      - {apiGroups: [""], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [pods, pods/ephemeralcontainers, replicationcontrollers, podtemplates]}
      - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments, statefulsets, daemonsets, replicasets]}
      - {apiGroups: [batch], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [jobs, cronjobs]}
`
}
