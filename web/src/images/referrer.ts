const kinds: [RegExp, string][] = [
  [/openvex|csaf|vex/i, 'VEX document'],
  [/cyclonedx/i, 'Bill of materials (CycloneDX)'],
  [/spdx/i, 'Bill of materials (SPDX)'],
  [/syft/i, 'Bill of materials (Syft)'],
  [/sigstore|cosign|notary|notation|signature/i, 'Signature'],
  [/in-toto|attestation|provenance/i, 'Attestation'],
  [/sarif/i, 'Scan report (SARIF)'],
]

/** What an artifact type is called by people. */
export function kindOfReferrer(artifactType: string): string {
  return kinds.find(([pattern]) => pattern.test(artifactType))?.[1] ?? 'Artifact'
}
