import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { checkDigest, DigestVerifier, digestOf, digestParts, isDigest, parseDigest } from './digest.ts'

/** SHA-256 of the empty string (FIPS 180-4 examples). */
const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'

describe('parseDigest', () => {
  it.each([EMPTY, `sha384:${'0'.repeat(96)}`, `sha512:${'f'.repeat(128)}`])('takes %s', (text) => {
    expect(parseDigest(text)).toBe(text)
  })

  it.each([
    ['a path (CVE-2024-3727)', 'sha256:../../../etc/passwd'],
    ['a path of the right length', `sha256:${'../'.repeat(21)}x`],
    ['upper case', EMPTY.toUpperCase()],
    ['upper-case hex', `sha256:${'A'.repeat(64)}`],
    ['too short', EMPTY.slice(0, -1)],
    ['too long', `${EMPTY}0`],
    ['a line after it', `${EMPTY}\n`],
    ['another length', `sha512:${'0'.repeat(64)}`],
    ['an unknown algorithm', `md5:${'0'.repeat(32)}`],
    ['a name of Object', `constructor:${'0'.repeat(64)}`],
    ['no algorithm', 'e'.repeat(64)],
    ['no digits', 'sha256:'],
    ['nothing', ''],
  ])('refuses %s', (_name, text) => {
    expect(isDigest(text)).toBe(false)
    expect(() => parseDigest(text)).toThrow(expect.objectContaining({ code: 'INVALID_DIGEST' }))
  })
})

describe('digests', () => {
  it('are computed and taken apart', () => {
    expect(digestOf(new Uint8Array())).toBe(EMPTY)
    const expected = createHash('sha512').update('x').digest('hex')
    expect(digestOf(Buffer.from('x'), 'sha512')).toBe(`sha512:${expected}`)
    expect(digestParts(parseDigest(EMPTY))).toEqual({ algorithm: 'sha256', hex: EMPTY.slice(7) })
  })

  it('are checked over bytes and over chunks', () => {
    const digest = digestOf(Buffer.from('hello'))
    expect(() => checkDigest(Buffer.from('hello'), digest, 'It')).not.toThrow()
    const verifier = new DigestVerifier(digest, 'It')
    verifier.update(Buffer.from('hel'))
    verifier.update(Buffer.from('lo'))
    expect(() => verifier.finish()).not.toThrow()
  })

  it('tell the actual one where they do not match', () => {
    const wanted = digestOf(Buffer.from('hello'))
    expect(() => checkDigest(new Uint8Array(), wanted, 'The blob')).toThrow(
      new CosignetError('DIGEST_MISMATCH', `The blob has the digest ${EMPTY}, not ${wanted}.`),
    )
  })
})
