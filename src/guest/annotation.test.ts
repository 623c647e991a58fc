import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import {
  annotationSizeWarning,
  decodeAnnotation,
  encodeAnnotation,
  INITDATA_ANNOTATION,
} from './annotation.ts'
import { initDataDigest, parseInitData } from './initdata.ts'

// The init data of the CoCo guide; GNU gzip 1.12: cat initdata.toml | gzip | base64 -w 0
const GNU =
  'H4sIAAAAAAAAA42QwWrDMBBE7/qKoItOsdxASwj0S4wQm/XGFpYlY61L8vdZJe2hubQnMbvzlhlBHPIaeJx3nztdRji8f2j1RWsJOdVR27w1rVaq64HBKQ3QcJ6jlp0xRnWcJ0oec7qEobgX3WDG7EHm2xorMTIvJ2unc2noCvMS6XRsj61Rr6A4/oZqAKWxH39FKhkn4iq2FK4C2nVL9nG4p8QB4l4EQ0jS0la6EkbhSt/7InDnJNN0RqcSzFSvIXrR5h9VwgwDOfV4fCHc5INvfskx4M2LqLhwNVpPF9gi2x/X/umyTIWfBe/tdzysoQEAAA=='
// The same by "gzip -k named.toml": with a time and a name in its header.
const GNU_NAMED =
  'H4sICHM4A2sAA25hbWVkLnRvbWwAjZDBasMwEETv+oqgi06x3EBLCPRLjBCb9cYWliVjrUvy91kl7aG5tCcxu/OWGUEc8hp4nHefO11GOLx/aPVFawk51VHbvDWtVqrrgcEpDdBwnqOWnTFGdZwnSh5zuoShuBfdYMbsQebbGisxMi8na6dzaegK8xLpdGyPrVGvoDj+hmoApbEff0UqGSfiKrYUrgLadUv2cbinxAHiXgRDSNLSVroSRuFK3/sicOck03RGpxLMVK8hetHmH1XCDAM59Xh8Idzkg29+yTHgzYuouHA1Wk8X2CLbH9f+6bJMhZ8F7+13PKyhAQAA'
const SHA256 = '879b88ad5242aae02fc9502a05186f2124a003bcdeaa7ee9bf89bcbdbbdb4e2e'

const TOML = 'algorithm = "sha256"\nversion = "0.1.0"\n[data]\n'
const b64 = (bytes: Uint8Array | string): string => Buffer.from(bytes).toString('base64')

describe('decodeAnnotation', () => {
  it.each([
    ['from a pipe', GNU],
    ['with a name', GNU_NAMED],
  ])('reads what GNU gzip and base64 write %s', (_, annotation) => {
    const initData = parseInitData(decodeAnnotation(annotation), 'The init data')
    expect(Buffer.from(initDataDigest(initData)).toString('hex')).toBe(SHA256)
  })

  it('reads a header with extra field, comment and checksum', () => {
    const plain = gzipSync(TOML)
    const header = Buffer.from([
      0x1f,
      0x8b,
      8,
      2 | 4 | 16,
      0,
      0,
      0,
      0,
      0,
      3,
      2,
      0,
      0xaa,
      0xbb,
      0x63,
      0,
      0x12,
      0x34,
    ])
    expect(Buffer.from(decodeAnnotation(b64(Buffer.concat([header, plain.subarray(10)])))).toString()).toBe(
      TOML,
    )
  })

  const packed = gzipSync(TOML)
  const damaged = (at: number): Buffer => {
    const copy = Buffer.from(packed)
    copy[at] = (copy[at] ?? 0) ^ 0xff
    return copy
  }

  it.each([
    ['nothing', '', 'INVALID_BASE64', 'is empty'],
    ['the TOML itself', TOML, 'INVALID_BASE64', 'holds the TOML itself'],
    ['line breaks', `${GNU.slice(0, 76)}\n${GNU.slice(76)}`, 'INVALID_BASE64', 'has line breaks'],
    ['a line break at the end', `${GNU}\n`, 'INVALID_BASE64', 'has line breaks'],
    ['base64url', GNU.replaceAll('+', '-').replaceAll('/', '_'), 'INVALID_BASE64', 'is base64url'],
    ['no padding', GNU.replace(/=+$/, ''), 'INVALID_BASE64', 'without its padding, or cut short'],
    ['stray bits in the last character', 'H4sIAAB=', 'INVALID_BASE64', 'is not base64'],
    [
      'another character',
      `${GNU.slice(0, 8)} ${GNU.slice(8)}`,
      'INVALID_BASE64',
      'not base64: " " at character 9',
    ],
    ['plain TOML', b64(TOML), 'INVALID_GZIP', 'is base64 of the TOML, not compressed'],
    ['something else', b64('PK\u0003\u0004'), 'INVALID_GZIP', 'is base64, but not of gzip'],
    [
      'bytes after the end',
      b64(Buffer.concat([packed, Buffer.from('x')])),
      'INVALID_GZIP',
      'has 1 bytes after',
    ],
    [
      'a second member',
      b64(Buffer.concat([packed, packed])),
      'INVALID_GZIP',
      'after the end of its gzip member',
    ],
    ['the magic number alone', b64(packed.subarray(0, 2)), 'INVALID_GZIP', 'unknown kind'],
    ['the header alone', b64(packed.subarray(0, 10)), 'INVALID_GZIP', 'is cut short'],
    ['half of it', b64(packed.subarray(0, 30)), 'INVALID_GZIP', 'is cut short'],
    ['no trailer', b64(packed.subarray(0, -8)), 'INVALID_GZIP', 'is cut short'],
    ['half of its trailer', b64(packed.subarray(0, -4)), 'INVALID_GZIP', 'is cut short'],
    ['another checksum', b64(damaged(packed.length - 8)), 'INVALID_GZIP', 'has a wrong checksum'],
    ['another length', b64(damaged(packed.length - 1)), 'INVALID_GZIP', 'has a wrong checksum'],
    ['reserved flags', b64(damaged(3)), 'INVALID_GZIP', 'unknown kind'],
    [
      'an endless name',
      b64(Uint8Array.of(0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3, 0x61)),
      'INVALID_GZIP',
      'is cut short',
    ],
    ['a bomb', b64(gzipSync(Buffer.alloc(LIMITS.initdataBytes + 1))), 'TOO_LARGE', 'more than the limit'],
    ['too much text', 'A'.repeat(2 * LIMITS.initdataBytes + 4), 'TOO_LARGE', 'more than the limit'],
  ])('refuses %s', (_, text, code, message) => {
    expect(() => decodeAnnotation(text)).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('survives any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (tail) => {
        try {
          decodeAnnotation(b64(Buffer.concat([packed.subarray(0, 10), tail])))
        } catch (error) {
          expect(error).toMatchObject({ code: 'INVALID_GZIP' })
        }
      }),
    )
  })
})

describe('encodeAnnotation', () => {
  it('writes a header without time, name or system', () => {
    const packed = Buffer.from(encodeAnnotation(encodeUtf8(TOML)), 'base64')
    expect(packed.subarray(0, 10).toString('hex')).toBe('1f8b08000000000002ff')
  })

  it('is undone by decodeAnnotation', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(Buffer.from(decodeAnnotation(encodeAnnotation(bytes)))).toEqual(Buffer.from(bytes))
      }),
    )
  })
})

describe('annotationSizeWarning', () => {
  const sized = (total: number) =>
    new Map([[INITDATA_ANNOTATION, 'x'.repeat(total - INITDATA_ANNOTATION.length)]])

  it.each([
    [128 * 1024, undefined],
    [128 * 1024 + 1, 'will be refused: use "kubectl apply --server-side"'],
    [256 * 1024, 'will be refused: use "kubectl apply --server-side"'],
    [256 * 1024 + 1, 'Kubernetes refuses more than 262144'],
  ])('judges %i bytes', (total, message) => {
    const warning = annotationSizeWarning(sized(total))
    if (message === undefined) expect(warning).toBeUndefined()
    else expect(warning).toContain(message)
  })
})
