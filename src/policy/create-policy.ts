import { type Reference, repositoryName } from '../oci/index.ts'

/**
 * Writes a policy that rejects every image but those of the repositories given, which must be signed with the key, and
 * under their own name.
 * @param keyUri where the guest finds the public key: `kbs:///default/sig-public-key/test`.
 * @returns JSON, indented, with a line break at the end; valid for the guest and, but for the key URI, for podman.
 */
export function createPolicy(references: readonly Reference[], keyUri: string): string {
  const requirement = { type: 'sigstoreSigned', keyPath: keyUri, signedIdentity: { type: 'matchRepository' } }
  const scopes = references.map((reference) => [repositoryName(reference), [requirement]])
  const policy = { default: [{ type: 'reject' }], transports: { docker: Object.fromEntries(scopes) } }
  return `${JSON.stringify(policy, undefined, 2)}\n`
}
