import { describe, expect, it } from 'vitest'
import { fixtureKey, fixtureSecret, GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { encodeBase64, LIMITS } from '../core/index.ts'
import { decodeArmor, encodeArmor } from './openpgp-armor.ts'
import { type OpenPgpKey, parseOpenPgpKeys } from './openpgp-key.ts'
import { encodePacket, type OpenPgpPacket, PACKET_TAGS, readPackets } from './openpgp-packets.ts'

const names = Object.keys(GPG_FIXTURE.keys)
const NOW = Date.UTC(2026, 0)

describe('parseOpenPgpKeys', () => {
  it.each(names)('reads the key %s as gpg lists it', (name) => {
    const [key, ...others] = parseOpenPgpKeys(fixtureKey(name), 'The key')
    const listed = GPG_FIXTURE.keys[name]
    expect(others).toEqual([])
    // Gpg says of the user IDs of a revoked key that they are revoked; those of a DSA key cannot be verified here.
    if (!['revoked', 'dsa'].includes(name)) expect(key?.userIds).toEqual(listed?.userIds)
    const parts = key === undefined ? [] : [key.primary, ...key.subkeys]
    expect(parts.map(({ fingerprint }) => fingerprint)).toEqual(
      listed?.parts.map(({ fingerprint }) => fingerprint),
    )
    for (const [i, part] of parts.entries()) {
      const { validity = '', created = 0, expires = null, capabilities = '' } = listed?.parts[i] ?? {}
      expect(part.created.getTime()).toBe(created * 1000)
      expect(part.expires?.getTime() ?? null).toBe(expires === null ? null : expires * 1000)
      expect(part.revoked).toBe(validity === 'r')
      expect((part.expires?.getTime() ?? NOW) < NOW).toBe(validity === 'e')
      // DSA signs for gpg, and is not verified here.
      expect(part.canSign).toBe(capabilities.includes('s') && part.algorithmName !== 'DSA')
    }
    expect(key?.subkeys.map(({ bound }) => bound)).toEqual(key?.subkeys.map(() => true))
    expect(key?.subkeys.map(({ backSigned }) => backSigned)).toEqual(
      key?.subkeys.map(({ canSign }) => canSign),
    )
  })

  it.each([
    ['rsa', 'rsa', 'RSA-3072'],
    ['ed25519', 'ed25519', 'Ed25519'],
    ['p256', 'ecdsa-p256', 'ECDSA P-256'],
    ['p384', 'ecdsa-p384', 'ECDSA P-384'],
    ['p521', 'ecdsa-p521', 'ECDSA P-521'],
    ['dsa', 'other', 'DSA'],
  ])('names the algorithm of %s', (name, algorithm, algorithmName) => {
    expect(parse(fixtureKey(name))).toMatchObject({ algorithm, algorithmName })
  })

  it('reads an armored key, with what stands around it', () => {
    const { armored } = GPG_FIXTURE.keys.ed25519
    for (const text of [armored, `My key:\n${armored}\nThat was it.`, armored.replaceAll('\n', '\r\n')]) {
      expect(parse(Buffer.from(text)).fingerprint).toBe(parse(fixtureKey('ed25519')).fingerprint)
    }
  })

  it('reads many keys, and what is said of one in two places', () => {
    const together = Buffer.concat(names.map(fixtureKey))
    expect(parseOpenPgpKeys(together, 'The keys')).toHaveLength(names.length)
    const [primary, revocation, ...rest] = readPackets(fixtureKey('revoked'), 'It')
    const unrevoked = join([primary, ...rest])
    expect(parse(unrevoked).revoked).toBe(false)
    expect(parse(Buffer.concat([unrevoked, join([primary, revocation])])).revoked).toBe(true)
  })

  it('does not take the word of a stranger for a user ID, a subkey or a revocation', () => {
    const [primary, userId, certification] = readPackets(fixtureKey('ed25519'), 'It')
    const [stranger, , foreignCertification] = readPackets(fixtureKey('p256'), 'It')
    expect(parse(join([primary, userId]))).toMatchObject({ selfSigned: false, userIds: [] })
    expect(parse(join([primary, userId, foreignCertification]))).toMatchObject({ selfSigned: false })
    const renamed = { tag: PACKET_TAGS.userId, body: Buffer.from('root <root@example.com>') }
    expect(parse(join([primary, renamed, certification]))).toMatchObject({ selfSigned: false })
    const [, , , subkey, binding] = readPackets(fixtureKey('subkey'), 'It')
    const adopted = parse(join([primary, userId, certification, subkey, binding]))
    expect(adopted.subkeys).toMatchObject([{ bound: false, canSign: false, backSigned: false }])
    expect(parse(join([stranger, userId, certification])).userIds).toEqual([])
    const [, revocation] = readPackets(fixtureKey('revoked'), 'It')
    expect(parse(join([primary, revocation, userId, certification])).revoked).toBe(false)
  })

  it('takes no subkey for one that signs which has not signed back', () => {
    const [primary, userId, certification, subkey, binding] = readPackets(fixtureKey('subkey'), 'It')
    if (binding === undefined) throw new Error('no binding')
    // The embedded signature is the last subpacket, not signed: its type is made one that nobody knows.
    const body = Buffer.from(binding.body)
    const embedded = body.indexOf(Buffer.from([32, 4, 0x19]))
    body[embedded] = 101
    const stripped = parse(join([primary, userId, certification, subkey, { ...binding, body }]))
    expect(stripped.subkeys).toMatchObject([{ bound: true, canSign: true, backSigned: false }])
  })

  it('passes over keys of other versions', () => {
    const old = encodePacket(PACKET_TAGS.publicKey, Buffer.from('0312345678000001', 'hex'))
    expect(parseOpenPgpKeys(Buffer.concat([old, fixtureKey('ed25519')]), 'It')).toHaveLength(1)
  })

  const good = fixtureKey('ed25519')
  const { armored } = GPG_FIXTURE.keys.ed25519
  it.each<[string, Uint8Array, string, RegExp]>([
    ['nothing', Buffer.alloc(0), 'INVALID_KEY', /neither an armored nor a binary OpenPGP key/],
    ['text', Buffer.from('a key'), 'INVALID_KEY', /neither an armored nor a binary/],
    ['PEM', Buffer.from('-----BEGIN PUBLIC KEY-----\n'), 'INVALID_KEY', /neither an armored/],
    ['a private key', fixtureSecret('ed25519'), 'INVALID_KEY', /it is an OpenPGP private key/],
    ['half of a key', good.subarray(0, 30), 'INVALID_KEY', /ends in the middle of a packet/],
    ['no key', join(readPackets(good, 'It').slice(1)), 'INVALID_KEY', /holds no OpenPGP key of version 4/],
    ['an old key alone', encodePacket(6, Buffer.from([3, 0])), 'INVALID_KEY', /no OpenPGP key of version 4/],
    [
      'a key of no numbers',
      encodePacket(6, Buffer.from([4, 0, 0, 0, 0, 1])),
      'INVALID_KEY',
      /middle of a packet/,
    ],
    ['an endless key', Buffer.from([0x9b, 4]), 'INVALID_KEY', /does not say how long it is/],
    [
      'a number of 65535 bits',
      encodePacket(6, Buffer.from('040000000001ffff00', 'hex')),
      'INVALID_KEY',
      /too large/,
    ],
    ['two armored blocks', Buffer.from(armored + armored), 'INVALID_KEY', /2 armored blocks/],
    ['armor cut short', Buffer.from(armored.slice(0, 200)), 'INVALID_KEY', /damaged or was cut short/],
    [
      'armor without a blank line',
      Buffer.from(armored.replace('\n\n', '\n')),
      'INVALID_KEY',
      /damaged or was cut/,
    ],
    ['armor with another end', Buffer.from(armored.replace('END PGP', 'END PGQ')), 'INVALID_KEY', /damaged/],
    ['a wrong checksum', Buffer.from(armored.replace(/\n=.../, '\n=AAA')), 'INVALID_KEY', /checksum/],
    ['armor of no base64', Buffer.from(armored.replace('\n\n', '\n\n!')), 'INVALID_KEY', /plain base64/],
    ['too much', Buffer.alloc(LIMITS.keyringBytes + 1, 0x99), 'TOO_LARGE', /limit of 1048576 bytes/],
    ['packets without end', Buffer.alloc(30_000, Buffer.from([0xb4, 0])), 'TOO_LARGE', /more than 10000/],
  ])('refuses %s', (_, bytes, code, message) => {
    expect(() => parseOpenPgpKeys(bytes, 'The key k')).toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
  })

  it('takes any damage to a key for one that says less or is refused, and says never more', () => {
    const before = parse(fixtureKey('subkey'))
    for (let offset = 0; offset < fixtureKey('subkey').length; offset += 1) {
      const bytes = fixtureKey('subkey')
      bytes[offset] = (bytes[offset] ?? 0) ^ (1 << (offset % 8))
      const key = tryParse(bytes)
      if (key?.fingerprint !== before.fingerprint) continue
      for (const { fingerprint, bound, canSign } of key.subkeys) {
        expect([before.subkeys[0]?.fingerprint, undefined]).toContain(bound ? fingerprint : undefined)
        if (!bound) expect(canSign).toBe(false)
      }
      for (const userId of key.userIds) expect(before.userIds).toContain(userId)
    }
  })
})

describe('armor', () => {
  // Python, as RFC 9580, section 6.1.1 has it: the CRC-24 of "123456789" is 0x21cf02.
  it('writes and reads the checksum of the standard', () => {
    const text = encodeArmor('PGP PUBLIC KEY BLOCK', Buffer.from('123456789'))
    expect(text.split('\n')).toEqual([
      '-----BEGIN PGP PUBLIC KEY BLOCK-----',
      '',
      encodeBase64(Buffer.from('123456789')),
      `=${encodeBase64(Buffer.from('21cf02', 'hex'))}`,
      '-----END PGP PUBLIC KEY BLOCK-----',
      '',
    ])
    expect(decodeArmor(Buffer.from(text), 'It')?.bytes).toEqual(Buffer.from('123456789'))
  })

  it('writes what gpg writes', () => {
    expect(encodeArmor('PGP PUBLIC KEY BLOCK', fixtureKey('ed25519'))).toBe(GPG_FIXTURE.keys.ed25519.armored)
  })

  it('reads armor without a checksum (RFC 9580, section 6.1)', () => {
    const text = GPG_FIXTURE.keys.ed25519.armored.replace(/\n=.*\n/, '\n')
    expect(decodeArmor(Buffer.from(text), 'It')?.bytes).toEqual(fixtureKey('ed25519'))
  })
})

function parse(bytes: Uint8Array): OpenPgpKey {
  const [key] = parseOpenPgpKeys(bytes, 'The key')
  if (key === undefined) throw new Error('no key')
  return key
}

function tryParse(bytes: Uint8Array): OpenPgpKey | undefined {
  try {
    return parse(bytes)
  } catch (error) {
    expect(error).toMatchObject({ name: 'CosignetError', code: 'INVALID_KEY' })
    return undefined
  }
}

function join(packets: readonly (OpenPgpPacket | undefined)[]): Buffer {
  return Buffer.concat(
    packets.map((packet) => encodePacket(packet?.tag ?? 0, packet?.body ?? Buffer.alloc(0))),
  )
}
