import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { encodeInitData, initDataDigest, parseInitData } from './initdata.ts'
import { teeBindings } from './initdata-bindings.ts'
import { tomlString } from './initdata-toml.ts'

/** The file of the CoCo guide "Signed images", with its variables filled in. */
const GUIDE = `algorithm = "sha256"
version = "0.1.0"

[data]
"aa.toml" = '''
[token_configs]
[token_configs.coco_as]
url = 'http://kbs.example:8080'

[token_configs.kbs]
url = 'http://kbs.example:8080'
'''

"cdh.toml" = '''
socket = 'unix:///run/confidential-containers/cdh.sock'
credentials = []

[kbc]
name = 'cc_kbc'
url = 'http://kbs.example:8080'

[image]
image_security_policy_uri = 'kbs:///default/security-policy/test'
'''
`
// GNU coreutils 9: sha256sum, sha384sum initdata.toml
const GUIDE_SHA256 = '879b88ad5242aae02fc9502a05186f2124a003bcdeaa7ee9bf89bcbdbbdb4e2e'
const GUIDE_SHA384 =
  '573505be3ffb54ffddfb547f7127c9827c73a45c59ffffb30f6026d1be053dd001affb9338db977ef2bc1edc598a12c0'
// (32 zero bytes; the SHA-256 above as bytes) | sha256sum
const GUIDE_PCR8 = 'b5d2afae030d8405d81ebfcb5c74925f0640cbe78af6375fd1bc9d24849032e4'

describe('parseInitData', () => {
  it('reads the file of the guide and keeps its bytes', () => {
    const bytes = encodeUtf8(GUIDE)
    const initData = parseInitData(bytes, 'The init data')
    expect(initData.bytes).toBe(bytes)
    expect(initData.version).toBe('0.1.0')
    expect(initData.algorithm).toBe('sha256')
    expect([...initData.data.keys()]).toEqual(['aa.toml', 'cdh.toml'])
    expect(initData.data.get('cdh.toml')).toMatch(/^socket = /)
    expect(Buffer.from(initDataDigest(initData)).toString('hex')).toBe(GUIDE_SHA256)
  })

  it('hashes the bytes as they are: one space changes the digest', () => {
    const spaced = parseInitData(encodeUtf8(`${GUIDE} `), 'The init data')
    expect(Buffer.from(initDataDigest(spaced)).toString('hex')).not.toBe(GUIDE_SHA256)
  })

  it('keeps a byte order mark in the bytes and skips it in the text', () => {
    const bytes = encodeUtf8(`\ufeff${GUIDE}`)
    const initData = parseInitData(bytes, 'The init data')
    expect(initData.bytes).toEqual(bytes)
    expect(initData.algorithm).toBe('sha256')
  })

  it.each([
    ['version = "0.1.0"\n[data]', 'INVALID_INITDATA', 'The init data has no algorithm.'],
    ['algorithm = 256\nversion = "0.1.0"\n[data]', 'INVALID_INITDATA', 'an algorithm that is not a string'],
    [
      'algorithm = "sha-384"\nversion = "0.1.0"\n[data]',
      'INVALID_INITDATA',
      '"sha-384": the Kata shim panics',
    ],
    ['algorithm = "SHA256"\nversion = "0.1.0"\n[data]', 'INVALID_INITDATA', '"SHA256": the Kata shim panics'],
    ['algorithm = "sm3"\nversion = "0.1.0"\n[data]', 'INVALID_INITDATA', '"sm3": the Kata shim panics'],
    ['algorithm = "sha256"\n[data]', 'INVALID_INITDATA', 'has no version; the guest accepts "0.1.0" alone'],
    ['algorithm = "sha256"\nversion = "0.2.0"\n[data]', 'INVALID_INITDATA', 'has the version "0.2.0"'],
    ['algorithm = "sha256"\nversion = "0.1.0"', 'INVALID_INITDATA', 'has no table [data]'],
    ['algorithm = "sha256"\nversion = "0.1.0"\ndata = []', 'INVALID_INITDATA', 'has no table [data]'],
    [
      'algorithm = "sha256"\nversion = "0.1.0"\n[data]\naa.toml = "x"',
      'INVALID_INITDATA',
      'an entry "aa" that is not a string',
    ],
    ['algorithm = "sha256"\nalgorithm = "sha256"', 'INVALID_TOML', 'line 2, column 1: trying to redefine'],
    ['algorithm = "sha256"\nversion = ', 'INVALID_TOML', 'line 2, column'],
    ['', 'INVALID_INITDATA', 'has no version'],
    [`a = ${'['.repeat(70)}`, 'INVALID_TOML', 'is not TOML'],
  ])('refuses %j', (text, code, message) => {
    expect(() => parseInitData(encodeUtf8(text), 'The init data')).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('tells how to write a misspelt algorithm', () => {
    const text = 'algorithm = "sha-384"\nversion = "0.1.0"\n[data]'
    expect(() => parseInitData(encodeUtf8(text), 'The init data')).toThrowError(
      expect.objectContaining({ hint: 'Write: algorithm = "sha384"' }),
    )
  })

  it('refuses what is not UTF-8, and what is too large', () => {
    expect(() => parseInitData(Uint8Array.of(0x61, 0xff), 'The init data')).toThrowError(
      expect.objectContaining({ code: 'INVALID_INITDATA', message: 'The init data is not UTF-8 text.' }),
    )
    expect(() => parseInitData(new Uint8Array(LIMITS.initdataBytes + 1), 'The init data')).toThrowError(
      expect.objectContaining({ code: 'TOO_LARGE' }),
    )
  })
})

describe('encodeInitData', () => {
  it('writes the files that the guest knows first and texts as literals', () => {
    const data = new Map([
      ['z', 'one line'],
      ['policy.rego', 'package agent_policy\n'],
      ['a"b', 'x'],
      ['cdh.toml', "[kbc]\nname = 'cc_kbc'\n"],
      ['aa.toml', '\nbegins with an empty line\n'],
    ])
    expect(Buffer.from(encodeInitData({ algorithm: 'sha512', data })).toString()).toBe(
      [
        'algorithm = "sha512"',
        'version = "0.1.0"',
        '',
        '[data]',
        `"aa.toml" = '''`,
        '',
        'begins with an empty line',
        `'''`,
        '',
        `"cdh.toml" = '''`,
        '[kbc]',
        "name = 'cc_kbc'",
        `'''`,
        '',
        `"policy.rego" = '''`,
        'package agent_policy',
        `'''`,
        '',
        '"a\\"b" = "x"',
        '',
        '"z" = "one line"',
        '',
      ].join('\n'),
    )
  })

  it('gives the same bytes whatever the order of the files', () => {
    const files: [string, string][] = [
      ['b', '1'],
      ['a', '2'],
      ['cdh.toml', '3'],
    ]
    const one = encodeInitData({ algorithm: 'sha256', data: new Map(files) })
    expect(encodeInitData({ algorithm: 'sha256', data: new Map(files.toReversed()) })).toEqual(one)
  })

  it('is read back by another TOML reader, whatever the files hold', () => {
    const awkward = fc.constantFrom(
      "'''",
      '"""',
      "'",
      '"',
      '\\',
      '\n',
      '\r\n',
      '\r',
      '\0',
      '\u007f',
      '\t',
      'é',
      '😀',
    )
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(fc.oneof(awkward, fc.string()), { maxLength: 12 }).map((parts) => parts.join('')),
    )
    fc.assert(
      fc.property(fc.dictionary(text, text), (files) => {
        const data = new Map(Object.entries(files))
        const toml = Buffer.from(encodeInitData({ algorithm: 'sha384', data })).toString()
        expect(new Map(Object.entries(parse(toml)['data'] ?? {}))).toEqual(data)
      }),
      { numRuns: 500 },
    )
  })

  it('refuses half of a surrogate pair', () => {
    expect(() => encodeInitData({ algorithm: 'sha256', data: new Map([['a', '\ud83d']]) })).toThrowError(
      expect.objectContaining({ code: 'INVALID_TOML' }),
    )
  })
})

describe('tomlString', () => {
  it.each([
    ['a"b\\c', '"a\\"b\\\\c"'],
    ['tab\tbell\u0007', '"tab\tbell\\u0007"'],
    ['{\n "a": ""\n}\n', '"""\n{\n "a": ""\n}\n"""'],
    ['a\n"""b"', '"""\na\n\\"""b\\""""'],
    ['a\r\nb', '"""\na\\u000d\nb"""'],
  ])('writes %j', (value, toml) => {
    expect(tomlString(value)).toBe(toml)
    expect(parse(`a = ${toml}`)['a']).toBe(value)
  })
})

describe('teeBindings', () => {
  const bindings = (algorithm: 'sha256' | 'sha384' | 'sha512') => {
    const rows = teeBindings({ bytes: encodeUtf8(GUIDE), algorithm })
    return Object.fromEntries(rows.map((row) => [row.tee, row]))
  }

  it('fills a SHA-256 digest up with zero bytes at the end', () => {
    const { snp, tdx, cca, se, 'az-vtpm': vtpm } = bindings('sha256')
    expect(snp).toEqual({ tee: 'snp', field: 'HOSTDATA', value: GUIDE_SHA256 })
    expect(tdx).toEqual({ tee: 'tdx', field: 'MRCONFIGID', value: GUIDE_SHA256 + '00'.repeat(16) })
    expect(cca?.value).toBe(GUIDE_SHA256 + '00'.repeat(32))
    expect(cca?.note).toContain('sha512 alone')
    expect(se?.value).toBe(GUIDE_SHA256 + '00'.repeat(224))
    expect(vtpm?.value).toBe(GUIDE_PCR8)
  })

  it('cuts a SHA-384 digest to HOSTDATA and gives none for the vTPM', () => {
    const { snp, tdx, 'az-vtpm': vtpm } = bindings('sha384')
    expect(snp?.value).toBe(GUIDE_SHA384.slice(0, 64))
    expect(tdx?.value).toBe(GUIDE_SHA384)
    expect(vtpm?.value).toBeUndefined()
    expect(vtpm?.note).toContain('sha256')
  })

  it('fits a SHA-512 digest to CCA without a note', () => {
    const { tdx, cca } = bindings('sha512')
    const digest = createHash('sha512').update(GUIDE).digest('hex')
    expect(cca).toEqual({ tee: 'cca', field: 'realm personalization value', value: digest })
    expect(tdx?.value).toBe(digest.slice(0, 96))
  })
})
