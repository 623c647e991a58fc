import { deflateRawSync, deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { fixtureKey, fixtureMessage, GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { LIMITS } from '../core/index.ts'
import { type OpenPgpKey, parseOpenPgpKeys } from '../keys/index.ts'
import {
  OPENPGP_RULES,
  type OpenPgpFailure,
  type OpenPgpVerifier,
  type VerifiedOpenPgp,
  verifyOpenPgpMessage,
} from './index.ts'

const NOW = new Date('2026-02-03T04:05:06Z')
const VERIFIERS: readonly OpenPgpVerifier[] = ['gpg', 'guest']

/** What is refused here although gpg, the guest or both take it, and under which name. */
const STRICTER: Readonly<Record<string, OpenPgpFailure['failure']>> = {
  bzip2: 'unsupported',
  dsa: 'unsupported',
  'clear-text': 'malformed-message',
  armored: 'malformed-message',
  twice: 'malformed-message',
}

describe('verifyOpenPgpMessage', () => {
  describe.each(GPG_FIXTURE.messages)('$name, by $command', ({ name, key, message, gpg, guest }) => {
    const bytes = Buffer.from(message, 'base64')
    // Two signers are two of gpg's; containers/image takes a message with one signature (mechanism_gpgme.go).
    const expected = { gpg: gpg === 'GOODSIG', guest: guest === 'ok' }

    it.each(VERIFIERS)('is for us what it is for %s', (verifier) => {
      const result = verify(bytes, keysOf(key), verifier)
      const stricter = STRICTER[name]
      if (stricter !== undefined) expect(result).toMatchObject({ failure: stricter })
      else
        expect('failure' in result ? result.message : 'good').toEqual(
          expected[verifier] ? 'good' : expect.any(String),
        )
      if ('failure' in result) {
        if (stricter === undefined) expect(expected[verifier]).toBe(false)
        expect(result.message).toMatch(/^[A-Z].*\.$/)
      } else {
        expect(Buffer.from(result.payload).toString()).toBe(GPG_FIXTURE.payload)
        expect(result.fingerprint).toBe(GPG_FIXTURE.keys[key]?.parts[0]?.fingerprint)
      }
    })

    it('is by an unknown key for those who do not have it', () => {
      const result = verify(bytes, keysOf(key === 'encrypt-only' ? 'rsa' : 'encrypt-only'), 'gpg')
      expect(['unknown-key', 'malformed-message', 'unsupported']).toContain(failureOf(result))
    })
  })

  it.each<[string, string, OpenPgpFailure['failure'], RegExp]>([
    ['expired', 'gpg', 'key-expired', /^The key 4FE0\w+ expired 2021-01-01T00:00:00\.000Z\.$/],
    ['expired-subkey', 'gpg', 'key-expired', /^The subkey \w{40} expired 2021-01-01T00:00:00\.000Z\.$/],
    ['revoked', 'gpg', 'key-revoked', /^The key F2E6\w+ is revoked\.$/],
    ['revoked-subkey', 'gpg', 'key-revoked', /^The subkey \w{40} is revoked\.$/],
    ['signature-expired', 'gpg', 'signature-expired', /^The signature expired 2025-01-03T03:04:05\.000Z\.$/],
    [
      'signature-expires-late',
      'gpg',
      'signature-expired',
      /^The signature expired 2025-01-02T03:04:06\.000Z/,
    ],
    ['critical-notation', 'gpg', 'malformed-message', /critical and that the verifier does not know/],
    ['detached', 'gpg', 'malformed-message', /and is a signature\.$/],
    ['not-signed', 'gpg', 'malformed-message', /and is a text\.$/],
    [
      'two-signers',
      'guest',
      'malformed-message',
      /is a one-pass signature, a one-pass signature, a text, a sig/,
    ],
    ['encrypted', 'gpg', 'malformed-message', /a packet of the type 1, a packet of the type 18/],
    ['armored', 'gpg', 'malformed-message', /it is armored or plain text/],
    ['bzip2', 'gpg', 'unsupported', /compressed with bzip2, which is not read here/],
    ['dsa', 'gpg', 'unsupported', /is of the kind DSA, which is not verified here/],
    ['subkey', 'guest', 'unknown-key', /is none of the trusted keys/],
    ['ed25519-SHA1', 'guest', 'signature-mismatch', /did not make this signature/],
  ])('says of %s to %s: %s', (name, verifier, failure, message) => {
    const key = GPG_FIXTURE.messages.find((each) => each.name === name)?.key ?? ''
    const result = verify(fixtureMessage(name), keysOf(key), verifier as OpenPgpVerifier)
    expect(result).toMatchObject({ failure, message: expect.stringMatching(message) })
  })

  it('says who signed, when and with which part', () => {
    const { parts = [] } = GPG_FIXTURE.keys['both'] ?? {}
    expect(verify(fixtureMessage('both'), keysOf('both'), 'gpg')).toMatchObject({
      fingerprint: parts[0]?.fingerprint,
      signingFingerprint: parts[1]?.fingerprint,
      created: new Date('2025-01-02T03:04:05Z'),
      hash: 'sha512',
    })
    expect(verify(fixtureMessage('both-primary'), keysOf('both'), 'guest')).toMatchObject({
      signingFingerprint: parts[0]?.fingerprint,
    })
    expect(verify(fixtureMessage('rsa-SHA1'), keysOf('rsa'), 'gpg')).toMatchObject({ hash: 'sha1' })
  })

  it('names the key that a failing message names, and says that nobody vouched for it', () => {
    const result = verify(fixtureMessage('rsa'), keysOf('ed25519'), 'gpg')
    expect(result).toMatchObject({
      failure: 'unknown-key',
      untrustedIssuer: GPG_FIXTURE.keys['rsa']?.parts[0]?.fingerprint,
    })
  })

  it('judges expiry by the time that it is given', () => {
    const at = (time: string): string =>
      failureOf(verifyOpenPgpMessage(fixtureMessage('expired'), keysOf('expired'), 'gpg', new Date(time)))
    expect(at('2020-12-31T23:59:59Z')).toBe('good')
    // Gpg: a key is expired when its time is less than the clock (getkey.c, has_expired).
    expect(at('2021-01-01T00:00:00Z')).toBe('good')
    expect(at('2021-01-01T00:00:01Z')).toBe('key-expired')
    expect(at('2019-01-01T00:00:00Z')).toBe('made-before-key')
  })

  it('takes a key that is given twice only if it is good each time', () => {
    const now = (): readonly OpenPgpKey[] => parseOpenPgpKeys(fixtureKey('revoked'), 'It')
    const unrevoked = now().map((key) => ({
      ...key,
      revoked: false,
      primary: { ...key.primary, revoked: false },
    }))
    expect(failureOf(verify(fixtureMessage('revoked'), unrevoked, 'gpg'))).toBe('good')
    expect(failureOf(verify(fixtureMessage('revoked'), [...unrevoked, ...now()], 'gpg'))).toBe('key-revoked')
  })

  // What is stricter: gpg takes a length that says more than there is, of the last packet.
  const MORE_THAN_THERE_IS: Readonly<Record<string, readonly string[]>> = {
    uncompressed: ['low 294'],
    'uncompressed-rsa': ['low 295', 'high 294'],
  }

  describe.each(Object.entries(GPG_FIXTURE.mutations))('every changed byte of %s', (name, harmless) => {
    const original = fixtureMessage(name)
    const key = GPG_FIXTURE.messages.find((each) => each.name === name)?.key ?? ''
    const offsets = [...original.keys()]
    it.each(VERIFIERS)('is for us what it is for %s', (verifier) => {
      const keys = keysOf(key)
      for (const mask of ['low', 'high'] as const) {
        const good = offsets.filter((offset) => {
          const bytes = Buffer.from(original)
          bytes[offset] = (bytes[offset] ?? 0) ^ (mask === 'high' ? 0x80 : 1 << (offset % 7))
          const result = verify(bytes, keys, verifier)
          if ('failure' in result) return false
          // CVE-2025-47934: what is returned is what was signed.
          expect(Buffer.from(result.payload).toString()).toBe(GPG_FIXTURE.payload)
          return true
        })
        const stricter = verifier === 'gpg' ? (MORE_THAN_THERE_IS[name] ?? []) : []
        expect(good).toEqual(harmless[verifier][mask].filter((at) => !stricter.includes(`${mask} ${at}`)))
      }
    })
  })

  it.each(['ed25519', 'rsa', 'zlib'])(
    'returns from no changed byte of the compressed %s another text',
    (name) => {
      const key = name === 'rsa' ? 'rsa' : 'ed25519'
      const keys = keysOf(key)
      const original = fixtureMessage(name)
      for (const offset of original.keys()) {
        const bytes = Buffer.from(original)
        bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (offset % 8))
        for (const verifier of VERIFIERS) {
          const result = verify(bytes, keys, verifier)
          if (!('failure' in result)) expect(Buffer.from(result.payload).toString()).toBe(GPG_FIXTURE.payload)
        }
      }
    },
  )

  it.each(VERIFIERS)('refuses a message that is cut short anywhere, for %s', (verifier) => {
    const keys = keysOf('ed25519')
    for (const name of ['uncompressed', 'ed25519']) {
      const bytes = fixtureMessage(name)
      for (let size = 0; size < bytes.length; size += 1) {
        expect(['malformed-message', 'unsupported']).toContain(
          failureOf(verify(bytes.subarray(0, size), keys, verifier)),
        )
      }
    }
  })
})

describe('the one shape of a message', () => {
  const message = fixtureMessage('uncompressed')
  // gpg --list-packets: the packets begin at 0, 15 and 293.
  const [onePass, text, signature] = [
    message.subarray(0, 15),
    message.subarray(15, 293),
    message.subarray(293),
  ]
  const forged = Buffer.concat([Buffer.from([0xcb, 8, 0x62, 0, 0, 0, 0, 0]), Buffer.from('{}')])
  const marker = Buffer.from('ca03504750', 'hex')
  const zip = (bytes: Uint8Array): Buffer => Buffer.concat([Buffer.from([0xa3, 1]), deflateRawSync(bytes)])
  const long = (tag: number, body: Uint8Array): Buffer => {
    const header = Buffer.from([tag, 0xff, 0, 0, 0, 0])
    header.writeUInt32BE(body.byteLength, 2)
    return Buffer.concat([header, body])
  }
  const body = text.subarray(3)

  it.each<[string, Buffer]>([
    ['as it is', Buffer.concat([onePass, text, signature])],
    ['compressed', zip(message)],
    ['compressed by zlib', Buffer.concat([Buffer.from([0xa3, 2]), deflateSync(message)])],
    ['in a compressed packet that says its length', long(0xc8, zip(message).subarray(1))],
    ['with a length of five bytes', Buffer.concat([onePass, long(0xcb, body), signature])],
    ['with an old header', Buffer.concat([onePass, Buffer.from([0xad, 1, 0x13]), body, signature])],
  ])('is taken %s', (_, bytes) => {
    for (const verifier of VERIFIERS) {
      expect(failureOf(verify(bytes, keysOf('ed25519'), verifier))).toBe('good')
    }
  })

  it('may have its text in parts, of 512 bytes at least', () => {
    const big = Buffer.concat([Buffer.from('b\0\0\0\0\0'), Buffer.alloc(600, 'x')])
    const parts = (first: number, bytes: Buffer): Buffer =>
      Buffer.concat([
        ...[Buffer.from([0xcb, 0xe0 | first]), bytes.subarray(0, 2 ** first)],
        ...[Buffer.from([bytes.length - 2 ** first]), bytes.subarray(2 ** first)],
      ])
    const good = Buffer.concat([onePass, parts(9, big), signature])
    // Another text than the signed one: it was read.
    expect(failureOf(verify(good, keysOf('ed25519'), 'gpg'))).toBe('signature-mismatch')
    const small = Buffer.concat([onePass, parts(8, body), signature])
    expect(verify(small, keysOf('ed25519'), 'gpg')).toMatchObject({
      message: expect.stringMatching(/first part/),
    })
  })

  it.each<[string, Buffer]>([
    ['with another text before (CVE-2025-47934)', Buffer.concat([forged, message])],
    ['with another text after (CVE-2025-47934)', Buffer.concat([message, forged])],
    ['with another text within (CVE-2025-47934)', Buffer.concat([onePass, forged, text, signature])],
    ['with another text beside a compressed packet (CVE-2025-47934)', Buffer.concat([forged, zip(message)])],
    ['with another message compressed beside it', Buffer.concat([onePass, zip(text), signature])],
    ['compressed twice', zip(zip(message))],
    ['with something after the compressed data', Buffer.concat([zip(message), Buffer.from([0])])],
    [
      'with something after the compressed packet',
      Buffer.concat([long(0xc8, zip(message).subarray(1)), forged]),
    ],
    ['with a marker', Buffer.concat([marker, message])],
    ['with padding', Buffer.concat([message, Buffer.from('d50100', 'hex')])],
    ['with two signatures', Buffer.concat([onePass, text, signature, signature])],
    ['without the one-pass signature', Buffer.concat([text, signature])],
    ['with the signature first, as PGP 2 had it', Buffer.concat([signature, text])],
    ['with the text last', Buffer.concat([onePass, signature, text])],
    [
      'with a text that ends with the message',
      Buffer.concat([onePass, Buffer.from([0xaf]), body, signature]),
    ],
    [
      'with a signature in parts',
      Buffer.concat([onePass, text, Buffer.from([0xc2, 0xe9]), Buffer.alloc(512)]),
    ],
    ['of no packets', Buffer.alloc(300, 0x20)],
    ['of an unknown compression', Buffer.concat([Buffer.from([0xa3, 9]), deflateRawSync(message)])],
  ])('is not one %s', (_, bytes) => {
    for (const verifier of VERIFIERS) {
      const result = verify(bytes, keysOf('ed25519'), verifier)
      expect(['malformed-message', 'unsupported']).toContain(failureOf(result))
    }
  })

  it.each<[string, Buffer]>([
    ['more than a payload may have', Buffer.alloc(LIMITS.payloadBytes + 1, 0xa3)],
    ['a decompression bomb', zip(Buffer.alloc(64 * 1024 * 1024))],
    ['packets without end', Buffer.alloc(100_000, Buffer.from([0xca, 0]))],
    ['compressed packets without end', zip(Buffer.alloc(100_000, Buffer.from([0xca, 0])))],
  ])('is not %s', (_, bytes) => {
    expect(verify(bytes, keysOf('ed25519'), 'gpg')).toMatchObject({
      failure: 'malformed-message',
      message: expect.stringMatching(/limit of 1048576 bytes|more than 10000 OpenPGP packets/),
    })
  })
})

describe('the rules for the guest', () => {
  it('want the ID of the key before the text, where gpg wants the hash', () => {
    const message = fixtureMessage('uncompressed')
    const otherId = Buffer.from(message)
    otherId[6] = 0
    expect(failureOf(verify(otherId, keysOf('ed25519'), 'gpg'))).toBe('good')
    expect(failureOf(verify(otherId, keysOf('ed25519'), 'guest'))).toBe('key-id-mismatch')
    const otherHash = Buffer.from(message)
    otherHash[4] = 10
    expect(failureOf(verify(otherHash, keysOf('ed25519'), 'gpg'))).toBe('malformed-message')
    expect(failureOf(verify(otherHash, keysOf('ed25519'), 'guest'))).toBe('good')
  })

  it('know their sources', () => {
    expect(OPENPGP_RULES.gpg.source).toMatch(/2\.2\.40/)
    expect(OPENPGP_RULES.guest.source).toMatch(/rPGP 0\.20\.0/)
  })
})

function keysOf(name: string): readonly OpenPgpKey[] {
  return parseOpenPgpKeys(fixtureKey(name), 'The key')
}

function verify(
  bytes: Uint8Array,
  keys: readonly OpenPgpKey[],
  verifier: OpenPgpVerifier,
): VerifiedOpenPgp | OpenPgpFailure {
  return verifyOpenPgpMessage(bytes, keys, verifier, NOW)
}

function failureOf(result: VerifiedOpenPgp | OpenPgpFailure): string {
  return 'failure' in result ? result.failure : 'good'
}
