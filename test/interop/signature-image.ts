import { createHash } from 'node:crypto'
import type { TestRegistry } from './registries.ts'
import { sendToRegistry } from './registry-http.ts'

/** A signature image as text, with the signature values blotted out: an ECDSA signature is different each time. */
export interface SignatureImage {
  readonly contentType: string
  readonly manifest: string
  readonly config: string
  readonly payloads: readonly string[]
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const ACCEPT = { accept: OCI_MANIFEST }

/** Reads the signature image of a digest with nothing but HTTP, from a registry with TLS. */
export async function readSignatureImage(
  registry: TestRegistry,
  repository: string,
  digest: string,
): Promise<SignatureImage> {
  const base = `/v2/${repository}`
  const { body, headers } = await sendToRegistry(registry, 'GET', manifestPath(repository, digest), ACCEPT)
  const manifest: SignatureManifest = JSON.parse(body)
  const blobs = [manifest.config, ...manifest.layers].map((blob) =>
    sendToRegistry(registry, 'GET', `${base}/blobs/${blob.digest}`),
  )
  const [config = '', ...payloads] = (await Promise.all(blobs)).map((answer) => answer.body)
  return {
    contentType: headers['content-type'] ?? '',
    manifest: body.replace(/("dev\.cosignproject\.cosign\/signature":)"[^"]*"/g, '$1"…"'),
    config,
    payloads,
  }
}

/** Deletes the signature image of a digest. */
export async function removeSignatureImage(
  registry: TestRegistry,
  repository: string,
  digest: string,
): Promise<void> {
  const { headers } = await sendToRegistry(registry, 'GET', manifestPath(repository, digest), ACCEPT)
  await sendToRegistry(
    registry,
    'DELETE',
    `/v2/${repository}/manifests/${String(headers['docker-content-digest'])}`,
  )
}

/**
 * Plays the attacker who can write to the registry: puts the one signature of `from` onto `to`, with its payload
 * changed, all digests and sizes right.
 */
export async function forgeSignatureImage(
  registry: TestRegistry,
  repository: string,
  { from, to, change }: { from: string; to: string; change: (payload: string) => string },
): Promise<void> {
  const source = await sendToRegistry(registry, 'GET', manifestPath(repository, from), ACCEPT)
  const manifest: SignatureManifest = JSON.parse(source.body)
  const [layer] = manifest.layers
  if (layer === undefined || manifest.layers.length > 1) throw new Error(`${from} has not one signature`)
  const payload = change(
    (await sendToRegistry(registry, 'GET', `/v2/${repository}/blobs/${layer.digest}`)).body,
  )
  layer.digest = `sha256:${createHash('sha256').update(payload).digest('hex')}`
  layer.size = Buffer.byteLength(payload)
  const upload = await sendToRegistry(registry, 'POST', `/v2/${repository}/blobs/uploads/`)
  const location = new URL(upload.headers.location ?? '', registry.url)
  location.searchParams.set('digest', layer.digest)
  await sendToRegistry(registry, 'PUT', location.href, { body: payload, type: 'application/octet-stream' })
  await sendToRegistry(registry, 'PUT', manifestPath(repository, to), {
    body: JSON.stringify(manifest),
    type: OCI_MANIFEST,
  })
}

interface SignatureManifest {
  readonly config: { readonly digest: string }
  readonly layers: { digest: string; size: number }[]
}

function manifestPath(repository: string, digest: string): string {
  return `/v2/${repository}/manifests/${digest.replace(':', '-')}.sig`
}
