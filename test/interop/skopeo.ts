import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { peer } from './peers.ts'
import type { Outcome, Sandbox } from './sandbox.ts'

/** Runs skopeo, which must exit with 0; it accepts any image. */
export function skopeo(sandbox: Sandbox, ...args: readonly string[]): Promise<Outcome> {
  return sandbox.succeed(peer('skopeo'), ['--insecure-policy', ...args])
}

/** Digest of the manifest or index that skopeo finds at a location. */
export async function manifestDigest(sandbox: Sandbox, location: string): Promise<string> {
  const { stdout } = await skopeo(sandbox, 'inspect', '--tls-verify=false', '--raw', location)
  return `sha256:${createHash('sha256').update(stdout).digest('hex')}`
}

/** What an image is, however it is packed. */
export interface ImageContent {
  /** Digest of its configuration. */
  readonly config: string
  /** Digests of its layers as plain tar files, as skopeo computes them from the content. */
  readonly layers: readonly string[]
}

/** Has skopeo read a whole image: it verifies every digest on the way. */
export async function imageContent(sandbox: Sandbox, location: string): Promise<ImageContent> {
  const folder = sandbox.path(`content-${randomUUID()}`)
  const flags = ['--src-tls-verify=false', '--dest-decompress']
  await skopeo(sandbox, 'copy', ...flags, location, `dir:${folder}`)
  const text = await readFile(join(folder, 'manifest.json'), 'utf8')
  const manifest: { config: { digest: string }; layers: { digest: string }[] } = JSON.parse(text)
  return { config: manifest.config.digest, layers: manifest.layers.map(({ digest }) => digest) }
}

/**
 * Whether skopeo accepts an image that must have a sigstore signature by this public key, beside it in the registry or
 * in its folder.
 * @param repository that the signature names.
 */
export async function skopeoAccepts(
  sandbox: Sandbox,
  pub: string,
  repository: string,
  location: string,
): Promise<boolean> {
  const id = randomUUID()
  const signedIdentity = { type: 'exactRepository', dockerRepository: repository }
  const policy = await sandbox.write(
    `policy-${id}.json`,
    JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath: pub, signedIdentity }] }),
  )
  const { status, stderr } = await sandbox.run(peer('skopeo'), [
    ...['--policy', policy, '--registries.d', await registriesD(sandbox)],
    ...['copy', location, `dir:${sandbox.path(`accepted-${id}`)}`],
  ])
  if (status === 0) return true
  if (/Source image rejected/.test(stderr)) return false
  throw new Error(`skopeo copy ${location} ended with ${status}:\n${stderr}`)
}

/** Folder of settings by which skopeo reads and writes signatures beside images in registries. */
export async function registriesD(sandbox: Sandbox): Promise<string> {
  await sandbox.write('registries.d/default.yaml', 'default-docker:\n  use-sigstore-attachments: true\n')
  return sandbox.path('registries.d')
}
