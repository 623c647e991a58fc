import { CosignetError, collectBytes, isCosignetError, LIMITS } from '../core/index.ts'
import type { Descriptor, Digest, ImageSource, Manifest } from '../oci/index.ts'
import { COSIGN, signatureTag } from './cosign-format.ts'
import { inParallel } from './in-parallel.ts'

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

/** A layer of a signature image whose payload cannot be had, and why. */
export interface UnreadableAttachment {
  readonly descriptor: Descriptor
  readonly failure: CosignetError
}

/** What is wrong with one blob, whoever asks for it; anything else may be different the next time. */
const BLOB_FAULTS = ['NOT_FOUND', 'DIGEST_MISMATCH', 'TOO_LARGE'] as const

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
  const found = await readEachAttachment(source, manifest, signal)
  return found.map((one) => {
    if ('failure' in one) throw one.failure
    return one
  })
}

/**
 * Reads the signatures of a signature image, each for itself: one whose payload is missing, too large or not what its
 * digest says spoils no other.
 * @throws INVALID_SIGNATURE if the manifest is an index; TOO_LARGE beyond the number of signatures and the size of all
 * of them together; and all that `source` throws because it cannot be reached.
 */
export async function readEachAttachment(
  source: ImageSource,
  manifest: Manifest,
  signal?: AbortSignal,
): Promise<readonly (UntrustedAttachment | UnreadableAttachment)[]> {
  const layers = signatureLayers(manifest, source.name)
  const payloads = await fetchPayloads(source, layers, signal)
  const found: (UntrustedAttachment | UnreadableAttachment)[] = []
  for (const descriptor of layers) {
    const payload = payloads.get(blobOf(descriptor))
    if (payload instanceof CosignetError) found.push({ descriptor, failure: payload })
    else if (payload !== undefined) found.push(toAttachment(descriptor, payload))
  }
  return found
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
): Promise<ReadonlyMap<string, Uint8Array | CosignetError>> {
  const payloads = new Map<string, Uint8Array | CosignetError>()
  const distinct = new Map(layers.map((layer) => [blobOf(layer), layer]))
  let total = 0
  for (const [blob, { size, digest }] of distinct) {
    const excess = new CosignetError(
      'TOO_LARGE',
      `The signature payload ${digest} in ${source.name} exceeds the limit: ${LIMITS.payloadBytes} bytes each, ` +
        `${LIMITS.payloadsBytes} bytes together.`,
    )
    if (size > LIMITS.payloadBytes) {
      payloads.set(blob, excess)
      distinct.delete(blob)
    } else {
      total += size
      if (total > LIMITS.payloadsBytes) throw excess
    }
  }
  await inParallel([...distinct], signal, async ([blob, layer], either) => {
    const what = `The signature payload ${layer.digest}`
    try {
      payloads.set(blob, await collectBytes(source.getBlob(layer, either), layer.size, what))
    } catch (error) {
      if (!isCosignetError(error, ...BLOB_FAULTS)) throw error
      payloads.set(blob, error)
    }
  })
  return payloads
}

/** What is read once. With the size: a descriptor that lies about it must not spoil another of the same payload. */
function blobOf({ digest, size }: Descriptor): string {
  return `${digest} ${size}`
}

/** A signature as it stands in a layer. @param payload bytes that have the digest of the descriptor. */
export function toAttachment(descriptor: Descriptor, payload: Uint8Array): UntrustedAttachment {
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
