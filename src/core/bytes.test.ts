import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  collectBytes,
  constantTimeEqual,
  decodeBase64,
  decodeBase64Url,
  decodeUtf8,
  encodeBase64,
  encodeBase64Url,
  encodeUtf8,
} from './bytes.ts'

// RFC 4648, section 10.
const VECTORS: readonly [string, string][] = [
  ['', ''],
  ['f', 'Zg=='],
  ['fo', 'Zm8='],
  ['foo', 'Zm9v'],
  ['foob', 'Zm9vYg=='],
  ['fooba', 'Zm9vYmE='],
  ['foobar', 'Zm9vYmFy'],
]

describe('base64', () => {
  it.each(VECTORS)('of %j is %s', (text, base64) => {
    expect(encodeBase64(encodeUtf8(text))).toBe(base64)
    expect(encodeBase64Url(encodeUtf8(text))).toBe(base64.replaceAll('=', ''))
    expect(decodeBase64(base64, 'It')).toEqual(Buffer.from(text))
    expect(decodeBase64Url(base64.replaceAll('=', ''), 'It')).toEqual(Buffer.from(text))
  })

  it('encodes the bytes of a view, not of the buffer beneath', () => {
    const view = new Uint8Array([1, 0xfb, 0xff, 4]).subarray(1, 3)
    expect(encodeBase64(view)).toBe('+/8=')
    expect(encodeBase64Url(view)).toBe('-_8')
  })

  it.each([
    'Zg',
    'Zg=',
    'Zg===',
    'Zh==',
    'Zm9v\n',
    ' Zm9v',
    'Zm 9v',
    '-_8=',
    'Zm9v=',
    '=',
    '!',
    'Zg==Zg==',
    'Zé==',
  ])('refuses %j', (text) => {
    expect(() => decodeBase64(text, 'The nonce')).toThrow(
      expect.objectContaining({
        code: 'INVALID_BASE64',
        message: expect.stringContaining('The nonce is not base64: "'),
      }),
    )
  })

  it.each(['Zg==', 'Zh', '+/8', 'Zm9v\n', 'Z', 'Zm.9v'])('refuses %j as base64url', (text) => {
    expect(() => decodeBase64Url(text, 'The token')).toThrow('The token is not base64url without padding: "')
  })

  it('reads what it wrote, and nothing that differs in a character', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 1 }),
        fc.nat(),
        fc.string({ minLength: 1, maxLength: 1 }),
        (bytes, at, other) => {
          const text = encodeBase64(bytes)
          expect(Buffer.from(bytes).equals(decodeBase64(text, 'It'))).toBe(true)
          const i = at % text.length
          fc.pre(text[i] !== other)
          const changed = text.slice(0, i) + other + text.slice(i + 1)
          let read: Uint8Array | undefined
          try {
            read = decodeBase64(changed, 'It')
          } catch {
            return
          }
          expect(Buffer.from(bytes).equals(read)).toBe(false)
        },
      ),
    )
  })
})

describe('UTF-8', () => {
  it('keeps a byte order mark and refuses what is not well-formed', () => {
    expect(decodeUtf8(Buffer.from([0xef, 0xbb, 0xbf, 0x61]))).toBe('\ufeffa')
    expect(decodeUtf8(Buffer.from([0xf0, 0x9f, 0x98, 0x80]))).toBe('😀')
    for (const bytes of [
      [0x80],
      [0xc3],
      [0xc0, 0x80],
      [0xed, 0xa0, 0x80],
      [0xf4, 0x90, 0x80, 0x80],
      [0xff],
    ]) {
      expect(decodeUtf8(Buffer.from(bytes))).toBeUndefined()
    }
  })
})

describe('constantTimeEqual', () => {
  it('compares bytes, and lengths first', () => {
    expect(constantTimeEqual(encodeUtf8('abc'), encodeUtf8('abc'))).toBe(true)
    expect(constantTimeEqual(encodeUtf8('abc'), encodeUtf8('abd'))).toBe(false)
    expect(constantTimeEqual(encodeUtf8('abc'), encodeUtf8('abcd'))).toBe(false)
    expect(constantTimeEqual(new Uint8Array(), new Uint8Array())).toBe(true)
  })
})

describe('collectBytes', () => {
  it('gives all bytes up to the limit', async () => {
    expect(await collectBytes(chunks('ab', '', 'cd'), 4, 'It')).toEqual(Buffer.from('abcd'))
    expect(await collectBytes(chunks(), 0, 'It')).toEqual(Buffer.alloc(0))
  })

  it('stops reading as soon as there is more', async () => {
    let closed = false
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield encodeUtf8('xx')
      } finally {
        closed = true
      }
    }
    await expect(collectBytes(endless(), 5, 'The body')).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: 'The body is larger than the limit of 5 bytes.',
    })
    expect(closed).toBe(true)
  })
})

async function* chunks(...texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const text of texts) yield encodeUtf8(text)
}
