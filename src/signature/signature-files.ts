import { type Digest, digestOf, type ImageSource, type Manifest } from '../oci/index.ts'
import { readAttachmentsOf, signatureLayers } from './read-attachments.ts'
import type { SignatureBlob } from './signature-blob.ts'
import { appendLayers, encodeAnnotatedLayer } from './signature-image.ts'

/** A signature image that was made of signature files. */
export interface DetachedSignatures {
  readonly manifest: Manifest
  /** Payloads and configuration, by digest. */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>
}

/** Makes the image that cosign would hang at the signature tag, of the sigstore signatures among `files`. */
export function toSignatureImage(files: readonly SignatureBlob[]): DetachedSignatures | undefined {
  const signatures = files.filter((file) => file.kind === 'sigstore')
  if (signatures.length === 0) return undefined
  return addToSignatureImage(undefined, signatures)
}

/**
 * Adds signatures to a signature image.
 * @param base undefined: there is none yet.
 * @returns the image that follows it, with the blobs that it has beside those of `base`.
 * @throws INVALID_SIGNATURE if `base` is an index; TOO_LARGE beyond the number of signatures that is read
 */
export function addToSignatureImage(
  base: Manifest | undefined,
  signatures: readonly Extract<SignatureBlob, { readonly kind: 'sigstore' }>[],
): DetachedSignatures {
  if (base !== undefined) signatureLayers(base, 'the image')
  const layers = signatures.map(({ mediaType, payload, annotations }) =>
    encodeAnnotatedLayer(mediaType, payload, annotations),
  )
  const { manifest, config } = appendLayers(base, layers)
  const blobs = [config, ...signatures.map(({ payload }) => payload)]
  return { manifest, blobs: new Map(blobs.map((bytes) => [digestOf(bytes), bytes])) }
}

/**
 * Takes a signature image apart into signature files, one a layer.
 * @throws INVALID_SIGNATURE if the manifest is an index; TOO_LARGE, and what the source throws
 */
export async function toSignatureBlobs(
  source: ImageSource,
  manifest: Manifest,
  signal?: AbortSignal,
): Promise<readonly SignatureBlob[]> {
  const attachments = await readAttachmentsOf(source, manifest, signal)
  return attachments.map(({ descriptor: { mediaType, annotations = {} }, payload }) => ({
    kind: 'sigstore',
    mediaType,
    payload,
    annotations,
  }))
}
