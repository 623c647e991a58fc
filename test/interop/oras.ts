import { randomUUID } from 'node:crypto'
import { peer } from './peers.ts'
import type { TestRegistry } from './registries.ts'
import type { Sandbox } from './sandbox.ts'

/** How oras reaches a registry of the tests; nothing for an OCI layout. */
export function orasAccess({ ca }: Pick<TestRegistry, 'ca'>): readonly string[] {
  return ca === '' ? ['--plain-http'] : []
}

/**
 * Attaches a new file to a manifest.
 * @param access flags by which oras reaches it.
 * @returns the digest of the new manifest.
 */
export async function orasAttach(
  sandbox: Sandbox,
  reference: string,
  access: readonly string[],
): Promise<string> {
  const name = `attached-${randomUUID()}.json`
  await sandbox.write(name, JSON.stringify({ name }))
  const args = ['attach', '--artifact-type', 'application/vnd.example.sbom', '--format', 'json']
  const { stdout } = await sandbox.succeed(peer('oras'), [
    ...[...args, ...access, reference],
    `${name}:application/json`,
  ])
  const answer: { digest: string } = JSON.parse(stdout)
  return answer.digest
}

interface Referrer {
  readonly digest: string
  readonly referrers?: readonly Referrer[]
}

/** Digests of all that refers to a manifest, and to that in turn, as oras finds them; sorted. */
export async function orasReferrers(
  sandbox: Sandbox,
  reference: string,
  access: readonly string[],
): Promise<readonly string[]> {
  const args = ['discover', '--format', 'json', ...access, reference]
  const { stdout } = await sandbox.succeed(peer('oras'), args)
  const root: Referrer = JSON.parse(stdout)
  const digests = (referrer: Referrer): readonly string[] => [
    referrer.digest,
    ...(referrer.referrers ?? []).flatMap(digests),
  ]
  return digests(root).slice(1).sort()
}
