import { pipeline, Readable } from 'node:stream'
import { createGunzip, createZstdDecompress } from 'node:zlib'
import { CosignetError, isCosignetError, reasonOf } from '../core/index.ts'

/** Four times the speed of the default of 16 KiB. */
const CHUNK_BYTES = 256 * 1024

/** How content may be compressed, by its first bytes (RFC 1952, RFC 8878; bzip2, xz). */
const MAGICS = {
  gzip: [0x1f, 0x8b],
  zstd: [0x28, 0xb5, 0x2f, 0xfd],
  bzip2: [0x42, 0x5a, 0x68],
  xz: [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
} as const

const MAGIC_BYTES = 6

export type Compression = keyof typeof MAGICS

/** How content is compressed, by its first 6 bytes (fewer, if it has not more); undefined if it is plain. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  const names = Object.keys(MAGICS) as Compression[]
  return names.find((name) => MAGICS[name].every((byte, i) => head[i] === byte))
}

/**
 * Unpacks gzip and zstd, recognised by their first bytes; plain content passes as it is.
 * @param limit most bytes that come out (against decompression bombs).
 * @param what names the content in messages, for example "The layer sha256:…".
 * @throws TOO_LARGE; UNSUPPORTED for bzip2 and xz; INVALID_IMAGE if it does not unpack; and as `chunks` does
 */
export async function* decompress(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { head, whole } = await peek(chunks)
  let size = 0
  for await (const chunk of unpack(whole, detectCompression(head), what)) {
    size += chunk.byteLength
    if (size > limit) {
      throw new CosignetError('TOO_LARGE', `${what} unpacks to more than the limit of ${limit} bytes.`)
    }
    yield chunk
  }
}

/** Reads the first bytes of a stream, and gives them back in front of the rest. */
async function peek(
  chunks: AsyncIterable<Uint8Array>,
): Promise<{ readonly head: Uint8Array; readonly whole: AsyncIterable<Uint8Array> }> {
  const iterator = chunks[Symbol.asyncIterator]()
  const first: Uint8Array[] = []
  let size = 0
  while (size < MAGIC_BYTES) {
    const next = await iterator.next()
    if (next.done === true) break
    first.push(next.value)
    size += next.value.byteLength
  }
  async function* whole(): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* first.splice(0)
      for (let next = await iterator.next(); next.done !== true; next = await iterator.next())
        yield next.value
    } finally {
      await iterator.return?.()
    }
  }
  return { head: Buffer.concat(first), whole: whole() }
}

async function* unpack(
  chunks: AsyncIterable<Uint8Array>,
  compression: Compression | undefined,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (compression === undefined) return yield* chunks
  if (compression === 'bzip2' || compression === 'xz') {
    throw new CosignetError('UNSUPPORTED', `${what} is compressed with ${compression}, which is not read.`, {
      hint: `Unpack it with ${compression} first.`,
    })
  }
  const options = { chunkSize: CHUNK_BYTES }
  const decoder = compression === 'gzip' ? createGunzip(options) : createZstdDecompress(options)
  // An error reaches the reader through the decoder, which it destroys.
  pipeline(Readable.from(chunks, { objectMode: false }), decoder, () => undefined)
  try {
    yield* decoder as AsyncIterable<Uint8Array>
  } catch (error) {
    if (isCosignetError(error)) throw error
    throw new CosignetError('INVALID_IMAGE', `${what} is not valid ${compression}: ${reasonOf(error)}.`, {
      cause: error,
    })
  }
}
