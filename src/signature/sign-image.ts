import { isCosignetError } from '../core/index.ts'
import type { Digest } from '../oci/index.ts'
import { decodeSignatureBlob, encodeSignatureBlob, type SignatureBlob } from './signature-blob.ts'
import type { SignatureStore } from './signature-store.ts'

/** Makes signatures of one key on manifests, each in a blob of its own, wherever it is kept then. */
export interface ImageSigner {
  /** In which kind of blob. */
  readonly kind: SignatureBlob['kind']
  /** Whether a blob is a signature of the same key that says the same of the manifest. */
  isOwn(blob: SignatureBlob, digest: Digest): Promise<boolean>
  /** Makes a signature. @throws what the key does */
  sign(digest: Digest, signal?: AbortSignal): Promise<SignatureBlob>
}

/** What became of a signature in a store. */
export interface StoredSignature {
  /** True if the store held the like of it, and nothing was written. */
  readonly alreadySigned: boolean
  /** What was made, or was there. */
  readonly signature: SignatureBlob
}

/**
 * Signs a manifest into a store that keeps signatures in files, unless the store has a signature of the same key that
 * says the same. What is there and cannot be read is passed over, and stays.
 * @throws UNSUPPORTED if the store does not take it; what the key and the store throw
 */
export async function signIntoStore(
  store: SignatureStore,
  signer: ImageSigner,
  digest: Digest,
  signal?: AbortSignal,
): Promise<StoredSignature> {
  const own = await findOwn(signer, await store.list(digest, signal), digest)
  if (own !== undefined) return { alreadySigned: true, signature: own }
  const signature = await signer.sign(digest, signal)
  await store.add(digest, [encodeSignatureBlob(signature)], signal)
  return { alreadySigned: false, signature }
}

/**
 * Finds the signature that a signer would make once more. Files that cannot be read are passed over.
 * @param files in the framing of `encodeSignatureBlob`.
 */
export async function findOwn(
  signer: ImageSigner,
  files: readonly Uint8Array[],
  digest: Digest,
): Promise<SignatureBlob | undefined> {
  for (const bytes of files) {
    const blob = readBlob(bytes)
    if (blob !== undefined && (await signer.isOwn(blob, digest))) return blob
  }
  return undefined
}

function readBlob(bytes: Uint8Array): SignatureBlob | undefined {
  try {
    return decodeSignatureBlob(bytes, 'The signature')
  } catch (error) {
    if (isCosignetError(error)) return undefined
    throw error
  }
}
