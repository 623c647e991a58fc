import { ZstdFrameReader } from '../oci/index.ts'

/**
 * Passes the first zstd frame on and drops what follows, as the guest's decoder does (async-compression, without
 * `multiple_members`): of a layer in several frames (zstd:chunked) the guest sees the first alone. All is read, so that
 * the digest of the blob is checked.
 */
export async function* firstZstdFrame(
  input: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, undefined> {
  const frame = new ZstdFrameReader()
  for await (const chunk of input) {
    const length = frame.take(chunk)
    if (length > 0) yield chunk.subarray(0, length)
  }
}
