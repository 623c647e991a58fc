import { describe, expect, it } from 'vitest'
import { formatResourceUri, isResourcePath, parseResourcePath, parseResourceUri } from './resource-path.ts'

// The table of Trustee's own test (kbs/src/plugins/implementations/resource/backend.rs), and what would climb out.
const VALID = [
  'default/1/2',
  'repo/type/tag',
  '123--_default/1Abff-_/___-afds44BC',
  '1.ok/2ok./3...',
  'a/b/c',
]
const INVALID = [
  '',
  '/1/2',
  '/repo/type/tag',
  '1/2',
  '1/2/3/4',
  '.1.ok/2ok./3...',
  '1.ok/.2ok./3...',
  '1.ok/2ok./.3...',
  '../type/tag',
  'repo/../tag',
  'repo/type/..',
  'repo/type/tag/',
  'repo/type/tag\n',
  'repo//tag',
  'repo/ty pe/tag',
  'repo/type/t%2e',
  'repo/type/t?a=b',
  'repo/type/t#a',
  'repo\\x2Ftype/a/b',
  'repo/type/täg',
  'repo/type/tag\0',
  `repo/type/${'t'.repeat(191)}`,
]

describe('parseResourcePath', () => {
  it.each(VALID)('takes %j', (text) => {
    expect(parseResourcePath(text)).toBe(text)
    expect(formatResourceUri(parseResourcePath(text))).toBe(`kbs:///${text}`)
    expect(parseResourceUri(`kbs:///${text}`)).toBe(text)
  })

  it('takes 200 characters', () => {
    expect(isResourcePath(`repo/type/${'t'.repeat(190)}`)).toBe(true)
  })

  it.each(INVALID)('refuses %j', (text) => {
    expect(isResourcePath(text)).toBe(false)
    expect(() => parseResourcePath(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_RESOURCE_PATH',
        message: expect.stringContaining('such as repository/type/tag.'),
      }),
    )
    expect(() => parseResourceUri(`kbs:///${text}`)).toThrow(
      expect.objectContaining({ code: 'INVALID_RESOURCE_PATH' }),
    )
  })
})

describe('parseResourceUri', () => {
  it.each([
    'repo/type/tag',
    'kbs://repo/type/tag',
    'kbs://kbs.example:8080/repo/type/tag',
    'kbs+pkcs11:///repo/type/tag',
    'KBS:///repo/type/tag',
    'file:///repo/type/tag',
    'kbs:////repo/type/tag',
    'kbs:///repo/type/tag?version=1',
  ])('refuses %j', (text) => {
    expect(() => parseResourceUri(text)).toThrow(
      expect.objectContaining({
        code: 'INVALID_RESOURCE_PATH',
        message: `${JSON.stringify(text)} is not a resource URI such as kbs:///repository/type/tag.`,
      }),
    )
  })
})
