import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import { type Descriptor, DigestVerifier, type ImageSource } from '../oci/index.ts'

/**
 * Streams a blob as the guest reads it: its digest is checked when it ends, its size is not (oci-client,
 * `VerifyingStream`). The first read sends the request.
 * @throws DIGEST_MISMATCH, TOO_LARGE beyond `LIMITS.blobBytes`, and what the source throws
 */
export async function* readBlob(
  source: ImageSource,
  { digest }: Pick<Descriptor, 'digest'>,
  what: string,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, undefined> {
  const verifier = new DigestVerifier(digest, what)
  let size = 0
  // The source compares the size as well; with this one it can only find, at the end, that there was less.
  const blob = source.getBlob({ digest, size: Number.MAX_SAFE_INTEGER }, signal)
  try {
    for await (const chunk of blob) {
      size += chunk.byteLength
      if (size > LIMITS.blobBytes)
        throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.blobBytes} bytes.`)
      verifier.update(chunk)
      yield chunk
    }
  } catch (error) {
    if (!isCosignetError(error, 'DIGEST_MISMATCH')) throw error
  }
  verifier.finish()
}
