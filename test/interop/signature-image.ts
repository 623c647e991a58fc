import { createHash } from 'node:crypto'
import { Agent, request } from 'node:https'
import type { TestRegistry } from './registries.ts'

/** A signature image as text, with the signature values blotted out: an ECDSA signature is different each time. */
export interface SignatureImage {
  readonly contentType: string
  readonly manifest: string
  readonly config: string
  readonly payloads: readonly string[]
}

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

/** Reads the signature image of a digest with nothing but HTTP, from a registry with TLS. */
export async function readSignatureImage(
  registry: TestRegistry,
  repository: string,
  digest: string,
): Promise<SignatureImage> {
  const base = `/v2/${repository}`
  const { body, contentType } = await send(registry, 'GET', manifestPath(repository, digest))
  const manifest: SignatureManifest = JSON.parse(body)
  const blobs = [manifest.config, ...manifest.layers].map((blob) =>
    send(registry, 'GET', `${base}/blobs/${blob.digest}`),
  )
  const [config = '', ...payloads] = (await Promise.all(blobs)).map((answer) => answer.body)
  return {
    contentType,
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
  const { manifestDigest } = await send(registry, 'GET', manifestPath(repository, digest))
  await send(registry, 'DELETE', `/v2/${repository}/manifests/${manifestDigest}`)
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
  const source = await send(registry, 'GET', manifestPath(repository, from))
  const manifest: SignatureManifest = JSON.parse(source.body)
  const [layer] = manifest.layers
  if (layer === undefined || manifest.layers.length > 1) throw new Error(`${from} has not one signature`)
  const payload = change((await send(registry, 'GET', `/v2/${repository}/blobs/${layer.digest}`)).body)
  layer.digest = `sha256:${createHash('sha256').update(payload).digest('hex')}`
  layer.size = Buffer.byteLength(payload)
  const upload = await send(registry, 'POST', `/v2/${repository}/blobs/uploads/`)
  const location = new URL(upload.location, registry.url)
  location.searchParams.set('digest', layer.digest)
  await send(registry, 'PUT', location.href, payload, 'application/octet-stream')
  await send(registry, 'PUT', manifestPath(repository, to), JSON.stringify(manifest), OCI_MANIFEST)
}

interface SignatureManifest {
  readonly config: { readonly digest: string }
  readonly layers: { digest: string; size: number }[]
}

interface Answer {
  readonly body: string
  readonly contentType: string
  readonly manifestDigest: string
  readonly location: string
}

function manifestPath(repository: string, digest: string): string {
  return `/v2/${repository}/manifests/${digest.replace(':', '-')}.sig`
}

function send(
  registry: TestRegistry,
  method: string,
  path: string,
  body = '',
  type?: string,
): Promise<Answer> {
  const headers: Record<string, string | number> = {
    Accept: OCI_MANIFEST,
    'Content-Length': Buffer.byteLength(body),
    ...(type === undefined ? {} : { 'Content-Type': type }),
  }
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca: registry.ca })
    const exchange = request(new URL(path, registry.url), { agent, method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const status = response.statusCode ?? 0
        if (status >= 300) reject(new Error(`${method} ${path} was answered ${status}: ${text}`))
        resolve({
          body: text,
          contentType: response.headers['content-type'] ?? '',
          manifestDigest: String(response.headers['docker-content-digest']),
          location: response.headers.location ?? '',
        })
      })
    })
    exchange.on('error', reject)
    exchange.end(body)
  })
}
