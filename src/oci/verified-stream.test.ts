import { createHash } from 'node:crypto'
import os from 'node:os'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { type Digest, parseDigest } from './digest.ts'
import { verifiedStream, watchedStream } from './verified-stream.ts'

const MiB = 1024 * 1024
const WHAT = 'The blob of a test'
/** Hashed as they pass, and by another thread where there are processors for it. */
const SIZES = [
  { where: 'here', bytes: Buffer.from('hello') },
  { where: 'on another thread', bytes: Buffer.alloc(16 * MiB + 5, 'some text') },
] as const

const processors = vi.spyOn(os, 'availableParallelism')
beforeAll(() => {
  processors.mockReturnValue(4)
})
afterAll(() => {
  processors.mockRestore()
})

describe('verifiedStream', () => {
  describe.each(SIZES)('hashing $where', ({ bytes }) => {
    it.each([1, 3, 64])('passes on %i chunks as they are', async (count) => {
      const read = await all(verifiedStream(stream(split(bytes, count)), describeBytes(bytes), WHAT))
      expect(Buffer.concat(read).equals(bytes)).toBe(true)
    })

    it.each(['sha384', 'sha512'])('computes %s', async (algorithm) => {
      const good = verifiedStream(stream([bytes]), describeBytes(bytes, algorithm), WHAT)
      expect((await all(good)).length).toBe(1)
      const bad = verifiedStream(stream([flipped(bytes)]), describeBytes(bytes, algorithm), WHAT)
      await expect(all(bad)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    })

    it.each<[string, (bytes: Buffer) => readonly Uint8Array[], (bytes: Buffer) => string]>([
      [
        'other bytes',
        (good) => split(flipped(good), 3),
        (good) =>
          `${WHAT} has the digest ${describeBytes(flipped(good)).digest}, not ${describeBytes(good).digest}.`,
      ],
      [
        'a byte less',
        (good) => split(good.subarray(1), 3),
        (good) => `${WHAT} has ${good.byteLength - 1} bytes instead of ${good.byteLength}.`,
      ],
      ['nothing', () => [], (good) => `${WHAT} has 0 bytes instead of ${good.byteLength}.`],
      [
        'a byte more',
        (good) => [...split(good, 3), Buffer.of(1)],
        (good) => `${WHAT} is longer than its ${good.byteLength} bytes.`,
      ],
    ])('refuses %s, and does not pass on the last chunk', async (_case, chunksOf, messageOf) => {
      const chunks = chunksOf(bytes)
      const read: Uint8Array[] = []
      const reading = (async () => {
        for await (const chunk of verifiedStream(stream(chunks), describeBytes(bytes), WHAT)) read.push(chunk)
      })()
      await expect(reading).rejects.toMatchObject({ code: 'DIGEST_MISMATCH', message: messageOf(bytes) })
      expect(read.length).toBe(Math.max(chunks.length - 1, 0))
    })

    it('ends what it reads from when its reader stops early', async () => {
      let ended = false
      async function* chunks(): AsyncGenerator<Uint8Array> {
        try {
          yield* split(bytes, 5)
        } finally {
          ended = true
        }
      }
      for await (const _ of verifiedStream(chunks(), describeBytes(bytes), WHAT)) break
      expect(ended).toBe(true)
    })
  })

  it('hashes many blobs at a time, each by itself', async () => {
    const blobs = Array.from({ length: 6 }, (_, i) => Buffer.alloc(16 * MiB + i, `blob ${i}`))
    const reads = blobs.map((bytes, i) => {
      const sent = i === 3 ? flipped(bytes) : bytes
      return all(verifiedStream(stream(split(sent, 40)), describeBytes(bytes), WHAT))
    })
    const outcomes = await Promise.allSettled(reads)
    expect(outcomes.map(({ status }) => status)).toEqual(
      blobs.map((_, i) => (i === 3 ? 'rejected' : 'fulfilled')),
    )
  })

  it('opens what it is to read when it is first read', async () => {
    let opened = 0
    const verified = verifiedStream(
      async () => {
        opened += 1
        return stream([Buffer.from('hello')])
      },
      describeBytes(Buffer.from('hello')),
      WHAT,
    )
    expect(opened).toBe(0)
    expect(Buffer.concat(await all(verified)).toString()).toBe('hello')
    expect(opened).toBe(1)
  })

  it('passes an error of what it reads on', async () => {
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('hel')
      throw new Error('lost')
    }
    await expect(all(verifiedStream(broken(), describeBytes(Buffer.from('hello')), WHAT))).rejects.toThrow(
      'lost',
    )
  })

  describe('given a verified stream', () => {
    const hello = Buffer.from('hello')
    const other = Buffer.from('other')

    it('returns it as it is, watched or not', () => {
      const once = verifiedStream(stream([hello]), describeBytes(hello), WHAT)
      expect(verifiedStream(once, describeBytes(hello), WHAT)).toBe(once)
      const watched = watchedStream(once, () => undefined)
      expect(watched).not.toBe(once)
      expect(verifiedStream(watched, describeBytes(hello), WHAT)).toBe(watched)
    })

    it.each([
      ['digest', { digest: describeBytes(other).digest, size: 5 }],
      ['size', { digest: describeBytes(hello).digest, size: 6 }],
      ['algorithm', { digest: describeBytes(other, 'sha512').digest, size: 5 }],
    ])('checks it again for another %s', async (_case, wanted) => {
      const once = verifiedStream(stream([hello]), describeBytes(hello), WHAT)
      await expect(all(verifiedStream(once, wanted, WHAT))).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
      })
    })

    it.each([
      ['itself', (chunks: AsyncIterable<Uint8Array>) => chunks],
      ['watched', (chunks: AsyncIterable<Uint8Array>) => watchedStream(chunks, () => undefined)],
    ])('does not take what is left of one for the whole: %s', async (_case, wrap) => {
      const once = wrap(verifiedStream(stream(split(hello, 5)), describeBytes(hello), WHAT))
      await once[Symbol.asyncIterator]().next()
      await expect(all(verifiedStream(once, describeBytes(hello), WHAT))).rejects.toMatchObject({
        code: 'DIGEST_MISMATCH',
        message: `${WHAT} has 4 bytes instead of 5.`,
      })
    })
  })
})

describe('watchedStream', () => {
  it('tells the size of each chunk and passes it on', async () => {
    const seen: number[] = []
    const chunks = [Buffer.from('a'), Buffer.alloc(0), Buffer.from('bcd')]
    expect(await all(watchedStream(stream(chunks), (bytes) => seen.push(bytes)))).toEqual(chunks)
    expect(seen).toEqual([1, 0, 3])
  })

  it('does not make a stream verified', async () => {
    const watched = watchedStream(stream([Buffer.from('jello')]), () => undefined)
    const verified = verifiedStream(watched, describeBytes(Buffer.from('hello')), WHAT)
    await expect(all(verified)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })
})

function describeBytes(bytes: Uint8Array, algorithm = 'sha256'): { digest: Digest; size: number } {
  const digest = parseDigest(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
  return { digest, size: bytes.byteLength }
}

function flipped(bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes)
  const last = changed.byteLength - 1
  changed[last] = (changed[last] ?? 0) ^ 1
  return changed
}

function split(bytes: Buffer, count: number): Buffer[] {
  const size = Math.ceil(bytes.byteLength / count)
  return Array.from({ length: Math.ceil(bytes.byteLength / size) }, (_, i) =>
    bytes.subarray(i * size, (i + 1) * size),
  )
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const read: Uint8Array[] = []
  for await (const chunk of chunks) read.push(chunk)
  return read
}
