import { type SigningKey, verifySignature } from '../keys/index.ts'
import type { Digest, ImageDestination, ImageSource, Manifest, Reference } from '../oci/index.ts'
import { appendSignatures, type Pause, putBytes } from './append-signature.ts'
import { COSIGN, signatureTag } from './cosign-format.ts'
import { cosignRepositoryName, encodePayload } from './payload.ts'
import { readTagged, signatureLayers } from './read-attachments.ts'
import { appendLayers, encodeLayer, isPayloadLayer } from './signature-image.ts'

export interface SignDigestOptions {
  /** The repository that the image is in; the signature goes beside it. */
  readonly store: ImageSource & ImageDestination
  /** Names the repository in the payload; its tag and digest do not matter. */
  readonly reference: Reference
  /** Digest of the image or index to sign. That it is in the store is not checked. */
  readonly digest: Digest
  /** The key, or what will become it: all that needs no key is done meanwhile. */
  readonly key: SigningKey | Promise<SigningKey>
  /** What `cosign sign -a` adds to the payload. Default: none. */
  readonly annotations?: Readonly<Record<string, string>>
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
  readonly payload: Uint8Array
}

/**
 * Signs an image and appends the signature to its signature image, byte for byte as cosign does, without losing a
 * signature that is there, see `appendSignatures`. Blobs are stored before the key is ready; the tag moves last.
 * @throws INVALID_SIGNATURE if the signature tag holds an index; TOO_LARGE beyond the number of signatures that is
 * read; CONFLICT if others keep writing; UNSUPPORTED for a SHA-512 digest; what the key's promise and the store throw.
 */
export async function signDigest(options: SignDigestOptions): Promise<SignedDigest> {
  const { store, reference, digest, annotations, pause } = options
  const tag = signatureTag(digest)
  const payload = encodePayload({
    dockerReference: cosignRepositoryName(reference),
    manifestDigest: digest,
    ...(annotations === undefined ? {} : { annotations }),
  })
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal])
  try {
    const [key, base] = await Promise.all([options.key, prepare(store, tag, payload, signal)])
    const layers = [encodeLayer(payload, key.sign(payload))]
    const has = (manifest: Manifest): boolean => isSigned(store, manifest, key, payload)
    const appended = await appendSignatures({ store, tag, layers, has, signal, pause }, base)
    return { alreadySigned: !appended.written, signatureDigest: appended.digest, tag, payload }
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
    await putBytes(store, appendLayers(base, [encodeLayer(payload, new Uint8Array())]).config, signal)
  }
  return base
}

/** Whether a signature of the key over this payload is there; cosign looks for a duplicate in the same way. */
function isSigned(store: ImageSource, manifest: Manifest, key: SigningKey, payload: Uint8Array): boolean {
  return signatureLayers(manifest, store.name).some((layer) => {
    const signature = layer.annotations?.[COSIGN.signature]
    if (signature === undefined || !isPayloadLayer(layer, payload)) return false
    return verifySignature(key.publicKey, payload, Buffer.from(signature, 'base64'))
  })
}
