import { CosignetError, collectBytes, isCosignetError, LIMITS } from '../core/index.ts'
import type { Descriptor, Digest, ImageSource, Manifest } from '../oci/index.ts'
import { COSIGN, signatureTag } from './cosign-format.ts'

/** What hangs at the signature tag of an image. */
export interface Attachments {
  readonly manifest: Manifest
  /** One a layer, in the order of the manifest. */
  readonly attachments: readonly UntrustedAttachment[]
}

/** One layer of a signature image; that its payload is signed by anyone is not verified. */
export interface UntrustedAttachment {
  /** As the manifest has it; its media type may be any. */
  readonly descriptor: Descriptor
  /** Bytes that have the digest of the descriptor. */
  readonly payload: Uint8Array
  /** The annotation dev.cosignproject.cosign/signature as it stands. */
  readonly signature?: string
  /** The annotation dev.sigstore.cosign/certificate as it stands. */
  readonly certificate?: string
  /** The annotation dev.sigstore.cosign/bundle as it stands: an entry of the Rekor log, as JSON. */
  readonly bundle?: string
}

const PARALLEL_BLOBS = 6

/**
 * Reads the signatures that cosign attached to an image, each payload once. Counts and sizes are bounded before
 * anything is fetched (CVE-2023-46737, CVE-2024-29902, CVE-2024-29903).
 * @param digest of the image or index, not of the signature image.
 * @returns undefined if the image has no signature tag.
 * @throws INVALID_SIGNATURE if the tag holds an index; TOO_LARGE; NOT_FOUND if a payload is missing, and all else that
 * `source` throws.
 */
export async function readAttachments(
  source: ImageSource,
  digest: Digest,
  signal?: AbortSignal,
): Promise<Attachments | undefined> {
  const manifest = await readTagged(source, signatureTag(digest), signal)
  if (manifest === undefined) return undefined
  return { manifest, attachments: await readAttachmentsOf(source, manifest, signal) }
}

/**
 * Reads the signatures of a signature image.
 * @throws as `readAttachments`
 */
export async function readAttachmentsOf(
  source: ImageSource,
  manifest: Manifest,
  signal?: AbortSignal,
): Promise<readonly UntrustedAttachment[]> {
  const layers = signatureLayers(manifest, source.name)
  const payloads = await fetchPayloads(source, layers, signal)
  return layers.flatMap((descriptor) => {
    const payload = payloads.get(descriptor.digest)
    return payload === undefined ? [] : [toAttachment(descriptor, payload)]
  })
}

/** Reads the manifest at a tag; undefined if there is none. */
export async function readTagged(
  source: ImageSource,
  tag: string,
  signal?: AbortSignal,
): Promise<Manifest | undefined> {
  try {
    return await source.getManifest(tag, signal)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/**
 * The layers of a signature image, their number bounded.
 * @param name of the repository, for messages.
 * @throws INVALID_SIGNATURE, TOO_LARGE
 */
export function signatureLayers(manifest: Manifest, name: string): readonly Descriptor[] {
  if (manifest.content.kind === 'index') {
    throw new CosignetError('INVALID_SIGNATURE', `The signature tag in ${name} holds an index, not an image.`)
  }
  const { layers } = manifest.content
  if (layers.length > LIMITS.signatures) {
    throw new CosignetError(
      'TOO_LARGE',
      `There are more than ${LIMITS.signatures} signatures on one image in ${name}.`,
    )
  }
  return layers
}

async function fetchPayloads(
  source: ImageSource,
  layers: readonly Descriptor[],
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<Digest, Uint8Array>> {
  const distinct = new Map(layers.map((layer) => [layer.digest, layer]))
  let total = 0
  for (const { size, digest } of distinct.values()) {
    total += size
    if (size > LIMITS.payloadBytes || total > LIMITS.payloadsBytes) {
      throw new CosignetError(
        'TOO_LARGE',
        `The signature payload ${digest} in ${source.name} exceeds the limit: ${LIMITS.payloadBytes} bytes each, ` +
          `${LIMITS.payloadsBytes} bytes together.`,
      )
    }
  }
  const payloads = new Map<Digest, Uint8Array>()
  const failed = new AbortController()
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  const queue = distinct.values()
  const work = async (): Promise<void> => {
    for (const layer of queue) {
      const what = `The signature payload ${layer.digest}`
      payloads.set(layer.digest, await collectBytes(source.getBlob(layer, either), layer.size, what))
    }
  }
  try {
    await Promise.all(Array.from({ length: Math.min(PARALLEL_BLOBS, distinct.size) }, work))
  } finally {
    // Where one failed, the rest is not waited for.
    failed.abort()
  }
  return payloads
}

function toAttachment(descriptor: Descriptor, payload: Uint8Array): UntrustedAttachment {
  const { annotations = {} } = descriptor
  const signature = annotations[COSIGN.signature]
  const certificate = annotations[COSIGN.certificate]
  const bundle = annotations[COSIGN.bundle]
  return {
    descriptor,
    payload,
    ...(signature === undefined ? {} : { signature }),
    ...(certificate === undefined ? {} : { certificate }),
    ...(bundle === undefined ? {} : { bundle }),
  }
}
