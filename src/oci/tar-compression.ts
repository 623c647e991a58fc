import type { Gunzip, ZstdDecompress } from 'node:zlib'
import { CosignetError, isCosignetError, reasonOf } from '../core/index.ts'
import { zstdFrames } from './tar-zstd-frames.ts'

/** Three times the speed of the default of 16 KiB. */
const OPTIONS = { chunkSize: 256 * 1024 }

/** How content may be compressed, by its first bytes (RFC 1952; RFC 8878, a frame and a skippable one; bzip2, xz). */
const MAGICS = [
  ['gzip', /^1f8b/],
  ['zstd', /^(?:28b52ffd|5.2a4d18)/],
  ['bzip2', /^425a68/],
  ['xz', /^fd377a585a00/],
] as const

/** Bytes that tell how content is compressed. */
export const MAGIC_BYTES = 6

export type Compression = (typeof MAGICS)[number][0]

/** How content is compressed, by its first `MAGIC_BYTES` (fewer, if it has not more); undefined if it is plain. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  const hex = Buffer.from(head.subarray(0, MAGIC_BYTES)).toString('hex')
  return MAGICS.find(([, magic]) => magic.test(hex))?.[0]
}

/** Content that may have been compressed, as it unpacks. */
export interface UnpackedContent {
  /** How it was compressed; undefined if it is as it was. */
  readonly compression: Compression | undefined
  readonly chunks: AsyncIterable<Uint8Array>
}

/**
 * Unpacks gzip and zstd, recognised by their first bytes, all members and frames; plain content passes as it is.
 * `chunks` is read to its end before the last of it is passed on, so that a check which it makes there is made.
 * @param limit most bytes that come out (against decompression bombs).
 * @param what names the content in messages, for example "The layer sha256:…".
 * @throws TOO_LARGE; UNSUPPORTED for bzip2 and xz; INVALID_IMAGE if it does not unpack; and as `chunks` does
 */
export async function* decompress(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* (await openCompressed(chunks, limit, what)).chunks
}

/** Unpacks as `decompress`, and tells first what it found. @throws as `chunks` does; the rest comes when it is read. */
export async function openCompressed(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): Promise<UnpackedContent> {
  const { head, whole } = await peek(chunks)
  const compression = detectCompression(head)
  return { compression, chunks: bounded(unpack(whole, compression, what), limit, what) }
}

async function* bounded(
  chunks: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let size = 0
  for await (const chunk of chunks) {
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
  return { head: Buffer.concat(first.map((chunk) => chunk.subarray(0, MAGIC_BYTES))), whole: whole() }
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
  try {
    // Taken when it is needed: loading it takes longer than a short command does.
    const { createGunzip, createZstdDecompress } = process.getBuiltinModule('node:zlib')
    if (compression === 'gzip') yield* through(chunks, createGunzip(OPTIONS))
    else yield* through(zstdFrames(chunks), createZstdDecompress(OPTIONS))
  } catch (error) {
    if (isCosignetError(error)) throw error
    throw new CosignetError('INVALID_IMAGE', `${what} is not valid ${compression}: ${reasonOf(error)}.`, {
      cause: error,
    })
  }
}

async function* through(
  chunks: AsyncIterable<Uint8Array>,
  decoder: Gunzip | ZstdDecompress,
): AsyncGenerator<Uint8Array, void, undefined> {
  // It reaches the reader of the decoder; one that comes later is nobody's.
  decoder.on('error', () => undefined)
  const feeding = feed(chunks, decoder)
  feeding.catch(() => undefined)
  let held: Uint8Array | undefined
  for await (const chunk of decoder as AsyncIterable<Uint8Array>) {
    if (held !== undefined) yield held
    held = chunk
  }
  // The decoder is done where its format ends; what follows must be read, too.
  await feeding
  if (held !== undefined) yield held
}

async function feed(chunks: AsyncIterable<Uint8Array>, decoder: Gunzip | ZstdDecompress): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (decoder.readableEnded) continue
      // Nobody wants more.
      if (decoder.destroyed) return
      if (!decoder.write(chunk)) await drained(decoder)
    }
    decoder.end()
  } catch (error) {
    decoder.destroy(error instanceof Error ? error : new Error(reasonOf(error)))
    throw error
  }
}

async function drained(decoder: Gunzip | ZstdDecompress): Promise<void> {
  if (decoder.destroyed) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      decoder.off('drain', done)
      decoder.off('close', done)
      resolve()
    }
    decoder.on('drain', done)
    decoder.on('close', done)
  })
}
