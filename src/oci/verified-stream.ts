import { CosignetError } from '../core/index.ts'
import { DigestVerifier } from './digest.ts'
import type { Descriptor } from './manifest.ts'

/**
 * Passes a blob on and checks size and digest as it goes: fails as soon as it is too long, or at its end. Who has read
 * it whole without an error has the right bytes.
 * @throws DIGEST_MISMATCH
 */
export async function* verifiedStream(
  chunks: AsyncIterable<Uint8Array>,
  { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const verifier = new DigestVerifier(digest, what)
  let read = 0
  for await (const chunk of chunks) {
    read += chunk.byteLength
    if (read > size) throw new CosignetError('DIGEST_MISMATCH', `${what} is longer than its ${size} bytes.`)
    verifier.update(chunk)
    yield chunk
  }
  if (read < size) {
    throw new CosignetError('DIGEST_MISMATCH', `${what} has ${read} bytes instead of ${size}.`)
  }
  verifier.finish()
}
