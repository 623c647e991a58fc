import { describe, expect, it } from 'vitest'
import { CosignetError, type ErrorCode, exitStatusOf, isCosignetError, quote, reasonOf } from './errors.ts'

// The compiler refuses a code too many or too few.
const EXITS: Record<ErrorCode, 2 | 3> = {
  USAGE: 2,
  INVALID_REFERENCE: 2,
  INVALID_DIGEST: 2,
  INVALID_MANIFEST: 2,
  INVALID_IMAGE: 2,
  INVALID_KEY: 2,
  INVALID_PASSWORD: 2,
  INVALID_SIGNATURE: 2,
  INVALID_POLICY: 2,
  INVALID_JSON: 2,
  INVALID_TOML: 2,
  INVALID_YAML: 2,
  INVALID_BASE64: 2,
  INVALID_GZIP: 2,
  INVALID_INITDATA: 2,
  INVALID_POD: 2,
  INVALID_CONFIG: 2,
  INVALID_RESOURCE_PATH: 2,
  INVALID_REQUEST: 2,
  ALREADY_EXISTS: 2,
  UNAUTHORIZED: 3,
  FORBIDDEN: 3,
  NOT_FOUND: 3,
  CONFLICT: 3,
  TOO_LARGE: 3,
  DIGEST_MISMATCH: 3,
  BAD_RESPONSE: 3,
  UNSUPPORTED: 3,
  UNAVAILABLE: 3,
  TIMEOUT: 3,
  ABORTED: 3,
  FILE: 3,
  INTERNAL: 3,
}
const CODES = Object.keys(EXITS) as ErrorCode[]

describe('the codes of errors', () => {
  it.each(CODES)('%s has an exit status of failure', (code) => {
    expect(exitStatusOf(code)).toBe(EXITS[code])
  })

  it('say what may be tried again', () => {
    const retryable = CODES.filter((code) => new CosignetError(code, 'x').retryable)
    expect(retryable).toEqual(['CONFLICT', 'UNAVAILABLE', 'TIMEOUT'])
  })
})

describe('CosignetError', () => {
  it('carries code, hint and cause', () => {
    const cause = new Error('below')
    const error = new CosignetError('FILE', 'It cannot be read.', { cause, hint: 'Try another.' })
    expect(error).toMatchObject({ name: 'CosignetError', code: 'FILE', hint: 'Try another.', cause })
    expect(error).toBeInstanceOf(Error)
    expect(new CosignetError('FILE', 'x').hint).toBeUndefined()
    expect('cause' in new CosignetError('FILE', 'x')).toBe(false)
  })

  it.each([
    ['one\ntwo', 'one two'],
    ['one  \r\n\r\n  two\n', 'one two'],
    ['\u2028one\u2029two', 'one two'],
    ['one\u0085two\vthree\ffour', 'one two three four'],
    ['a tab\there', 'a tab here'],
    ['\u001b[31mred\u001b[0m\u0007', '[31mred [0m'],
    ['two  spaces stay', 'two  spaces stay'],
    ['\n\n', ''],
  ])('makes one line of %j, without control characters', (message, expected) => {
    expect(new CosignetError('INTERNAL', message).message).toBe(expected)
  })
})

describe('isCosignetError', () => {
  it('tells codes apart, and our errors from others', () => {
    const error: unknown = new CosignetError('FILE', 'x')
    expect(isCosignetError(error)).toBe(true)
    expect(isCosignetError(error, 'NOT_FOUND', 'FILE')).toBe(true)
    expect(isCosignetError(error, 'NOT_FOUND')).toBe(false)
    expect(isCosignetError(Object.assign(new Error('x'), { code: 'FILE' }))).toBe(false)
    expect(isCosignetError({ code: 'FILE' })).toBe(false)
  })
})

describe('quote', () => {
  it.each([
    ['plain', '"plain"'],
    ['a"b\\', '"a\\"b\\\\"'],
    ['a\nb\u001b[2J\0', '"a\\nb\\u001b[2J\\u0000"'],
    ['\u007f\u009b', '"\\u007f\\u009b"'],
    ['\u2028\u2029', '"\\u2028\\u2029"'],
    // The characters of Trojan Source (CVE-2021-42574) and the invisible ones.
    ['\u202a\u202b\u202c\u202d\u202e', '"\\u202a\\u202b\\u202c\\u202d\\u202e"'],
    ['\u2066\u2067\u2068\u2069', '"\\u2066\\u2067\\u2068\\u2069"'],
    ['\u061c\u200e\u200f', '"\\u061c\\u200e\\u200f"'],
    ['\u200b\u200c\u200d\u2060\ufeff\u00ad', '"\\u200b\\u200c\\u200d\\u2060\\ufeff\\u00ad"'],
    ['\u{e0041}', '"\\udb40\\udc41"'],
    ['\ud800', '"\\ud800"'],
    ['é😀', '"é😀"'],
  ])('shows %j as %s', (text, expected) => {
    expect(quote(text)).toBe(expected)
  })

  it('cuts a long value, after it was escaped', () => {
    expect(quote('a'.repeat(118))).toBe(`"${'a'.repeat(118)}"`)
    expect(quote('a'.repeat(119))).toBe(`"${'a'.repeat(115)}…"`)
    expect(quote('\u202e'.repeat(1_000_000))).toHaveLength(118)
  })
})

describe('reasonOf', () => {
  it.each<[unknown, string]>([
    [new Error('It broke.'), 'It broke'],
    [new Error('It\nbroke...'), 'It broke..'],
    [new TypeError(''), 'TypeError'],
    ['text', 'text'],
    [undefined, 'undefined'],
    [{}, '[object Object]'],
  ])('of %j is %j', (error, expected) => {
    expect(reasonOf(error)).toBe(expected)
  })
})
