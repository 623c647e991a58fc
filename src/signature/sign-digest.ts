import type { SigningKey } from '../keys/index.ts'
import type { Digest, ImageDestination, ImageSource, Manifest } from '../oci/index.ts'
import { appendSignatures, type Pause, putBytes } from './append-signature.ts'
import { COSIGN, signatureTag } from './cosign-format.ts'
import { readTagged, signatureLayers } from './read-attachments.ts'
import {
  type CosignClaim,
  type CosignSignature,
  carriesSignature,
  payloadFor,
  signPayload,
} from './sign-payload.ts'
import { appendLayers, encodeAnnotatedLayer, isPayloadLayer, layersOf } from './signature-image.ts'

export interface SignDigestOptions extends CosignClaim {
  /** Where the signature goes: the repository that the image is in, or another one (`COSIGN_REPOSITORY`). */
  readonly store: ImageSource & ImageDestination
  /** Digest of the image or index to sign. That it is in the store is not checked. */
  readonly digest: Digest
  /** The key, or what will become it: all that needs no key is done meanwhile. */
  readonly key: SigningKey | Promise<SigningKey>
  readonly signal?: AbortSignal
  /** Waits after a write and while others write. Default: a timer. */
  readonly pause?: Pause
}

export interface SignedDigest {
  /** True if a signature of this key over this payload was there, and nothing was written under the tag. */
  readonly alreadySigned: boolean
  /** Digest of the signature image. */
  readonly signatureDigest: Digest
  /** Tag of the signature image. */
  readonly tag: string
  /** The signature that was made, or was there. */
  readonly signature: CosignSignature
}

/**
 * Signs an image and appends the signature to its signature image, byte for byte as cosign does, without losing a
 * signature that is there, see `appendSignatures`. Blobs are stored before the key is ready; the tag moves last.
 * @throws INVALID_SIGNATURE if the signature tag holds an index; TOO_LARGE beyond the number of signatures that is
 * read; CONFLICT if others keep writing; UNSUPPORTED for a SHA-512 digest; what the key's promise and the store throw.
 */
export async function signDigest(options: SignDigestOptions): Promise<SignedDigest> {
  const { store, digest, log, pause } = options
  const tag = signatureTag(digest)
  const payload = payloadFor(options, digest)
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal])
  try {
    const [key, base] = await Promise.all([options.key, prepare(store, tag, payload, signal)])
    const own = base === undefined ? undefined : findOwn(options, base, key, payload)
    if (base !== undefined && own !== undefined) {
      return { alreadySigned: true, signatureDigest: base.digest, tag, signature: own }
    }
    const signature = await signPayload(payload, key, log, signal)
    const layer = encodeAnnotatedLayer(signature.mediaType, payload, signature.annotations)
    // Another writer's signature of the same key is as good, but the log knows this one.
    const has = (manifest: Manifest): boolean =>
      log === undefined
        ? findOwn(options, manifest, key, payload) !== undefined
        : layersOf(manifest).includes(layer)
    const { written, digest: signatureDigest } = await appendSignatures(
      { store, tag, layers: [layer], has, signal, pause },
      base,
    )
    return { alreadySigned: !written, signatureDigest, tag, signature }
  } catch (error) {
    // A wrong password must not leave an upload running.
    failed.abort()
    throw error
  }
}

/** Reads the signature image and stores the blobs of its successor, none of which depends on the signature. */
async function prepare(
  store: ImageSource & ImageDestination,
  tag: string,
  payload: Uint8Array,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  const [base] = await Promise.all([readTagged(store, tag, signal), putBytes(store, payload, signal)])
  const layers = base === undefined ? [] : signatureLayers(base, store.name)
  // Where the payload is there already, the signature may be too.
  if (!layers.some((layer) => isPayloadLayer(layer, payload))) {
    const unsigned = encodeAnnotatedLayer(COSIGN.payloadMediaType, payload, {})
    await putBytes(store, appendLayers(base, [unsigned]).config, signal)
  }
  return base
}

/** The signature of the key over this payload that is there; cosign looks for a duplicate in the same way. */
function findOwn(
  { store, log }: SignDigestOptions,
  manifest: Manifest,
  { publicKey }: SigningKey,
  payload: Uint8Array,
): CosignSignature | undefined {
  const layers = signatureLayers(manifest, store.name).filter((layer) => isPayloadLayer(layer, payload))
  const own = layers.find(({ annotations }) => carriesSignature(annotations, payload, publicKey, log))
  if (own === undefined) return undefined
  return { kind: 'sigstore', mediaType: own.mediaType, payload, annotations: own.annotations ?? {} }
}
