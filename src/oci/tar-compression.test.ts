import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { CosignetError, collectBytes } from '../core/index.ts'
import { decompress, detectCompression } from './tar-compression.ts'

const ONE = Buffer.alloc(300_000, 'one')
const TWO = Buffer.alloc(200_000, 'two')
/** RFC 8878, 3.1.2: the magic with any low bits, a size of 4, 4 bytes. */
const SKIPPABLE = Buffer.from('532a4d180400000001020304', 'hex')
const WHAT = 'The layer a'

describe('unpacking content', () => {
  it.each([
    ['plain', Buffer.from('plain'), undefined],
    ['nothing', Buffer.alloc(0), undefined],
    ['gzip', gzipSync('a'), 'gzip'],
    ['zstd', zstdCompressSync('a'), 'zstd'],
    ['zstd after a skippable frame', SKIPPABLE, 'zstd'],
    ['bzip2', Buffer.from('BZh91AY&SY'), 'bzip2'],
    ['xz', Buffer.from('fd377a585a000004', 'hex'), 'xz'],
    ['half a magic', Buffer.from([0x1f]), undefined],
  ])('tells by the first bytes: %s', (_name, bytes, expected) => {
    expect(detectCompression(bytes)).toBe(expected)
  })

  it.each([
    ['plain', ONE, ONE],
    ['gzip', gzipSync(ONE), ONE],
    ['gzip in two members', Buffer.concat([gzipSync(ONE), gzipSync(TWO)]), Buffer.concat([ONE, TWO])],
    ['gzip and zeros', Buffer.concat([gzipSync(ONE), Buffer.alloc(5000)]), ONE],
    ['zstd', zstdCompressSync(ONE), ONE],
    [
      'zstd in two frames',
      Buffer.concat([zstdCompressSync(ONE), zstdCompressSync(TWO)]),
      Buffer.concat([ONE, TWO]),
    ],
    [
      'zstd:chunked',
      Buffer.concat([zstdCompressSync(ONE), SKIPPABLE, zstdCompressSync(TWO), SKIPPABLE, SKIPPABLE]),
      Buffer.concat([ONE, TWO]),
    ],
    ['pzstd', Buffer.concat([SKIPPABLE, zstdCompressSync(ONE)]), ONE],
  ])('unpacks %s, however it is cut', async (_name, bytes, expected) => {
    for (const length of [1, 7, 4096, bytes.byteLength]) {
      const unpacked = await collectBytes(decompress(cut(bytes, length), 10 ** 6, WHAT), 10 ** 6, WHAT)
      expect(Buffer.compare(unpacked, expected)).toBe(0)
    }
  })

  it.each([
    [
      'a bomb',
      gzipSync(Buffer.alloc(2_000_000)),
      'TOO_LARGE',
      'The layer a unpacks to more than the limit of 1000000 bytes.',
    ],
    [
      'half a gzip',
      gzipSync(ONE).subarray(0, 100),
      'INVALID_IMAGE',
      'The layer a is not valid gzip: unexpected end of file.',
    ],
    [
      'half a zstd',
      zstdCompressSync(ONE).subarray(0, 20),
      'INVALID_IMAGE',
      'The layer a is not valid zstd: unexpected end of file.',
    ],
    ['a wrong gzip', Buffer.from('1f8b0800ffff', 'hex'), 'INVALID_IMAGE', 'The layer a is not valid gzip'],
    [
      'a zstd and more',
      Buffer.concat([zstdCompressSync(ONE), Buffer.from('more')]),
      'INVALID_IMAGE',
      'The layer a is not valid zstd',
    ],
    [
      'bzip2',
      Buffer.from('BZh91AY&SY'),
      'UNSUPPORTED',
      'The layer a is compressed with bzip2, which is not read.',
    ],
  ])('refuses %s', async (_name, bytes, code, message) => {
    const unpacked = collectBytes(decompress(cut(bytes, 4096), 10 ** 6, WHAT), 10 ** 7, WHAT)
    await expect(unpacked).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })

  it('reads to the end, where the digest is checked, whatever follows the format', async () => {
    const wrong = new CosignetError('DIGEST_MISMATCH', 'The digest is wrong.')
    async function* checked(): AsyncGenerator<Uint8Array> {
      yield Buffer.concat([gzipSync(ONE), Buffer.alloc(100)])
      for (let i = 0; i < 5; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 2))
        yield Buffer.alloc(100)
      }
      throw wrong
    }
    let size = 0
    const read = async (): Promise<void> => {
      for await (const chunk of decompress(checked(), 10 ** 6, WHAT)) size += chunk.byteLength
    }
    await expect(read()).rejects.toBe(wrong)
    expect(size).toBeLessThan(ONE.byteLength)
  })

  it('closes what it reads from when nobody wants more', async () => {
    const closed = Promise.withResolvers<void>()
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield gzipSync(ONE)
      } finally {
        closed.resolve()
      }
    }
    for await (const chunk of decompress(endless(), 10 ** 9, WHAT)) {
      expect(chunk.byteLength).toBeGreaterThan(0)
      break
    }
    await closed.promise
  })
})

async function* cut(bytes: Uint8Array, length: number): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.byteLength; offset += length)
    yield bytes.subarray(offset, offset + length)
}
