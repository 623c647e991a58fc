import { beforeAll, describe, expect, it } from 'vitest'
import { fixtureKey, fixtureSecret, GPG_FIXTURE } from '../../test/fixtures/openpgp-gpg.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import {
  type GeneratedOpenPgpKey,
  generateOpenPgpKey,
  type OpenPgpSigner,
  openOpenPgpSigner,
  parseOpenPgpKeys,
  parseOpenPgpMessage,
} from './index.ts'
import { encodePacket, readPackets } from './openpgp-packets.ts'
import { parseKeyMaterial } from './openpgp-public-key.ts'
import { verifyOpenPgpSignature } from './openpgp-verify.ts'

const NOW = new Date('2026-02-03T04:05:06Z')
const PASSWORD = encodeUtf8(GPG_FIXTURE.password)
const TEXT = encodeUtf8(GPG_FIXTURE.payload)

describe('openOpenPgpSigner', () => {
  it.each(['rsa', 'ed25519', 'p256', 'p521'])('signs with the key %s of gpg', async (name) => {
    const signer = await open(fixtureSecret(name))
    const [publicKey] = parseOpenPgpKeys(fixtureKey(name), 'It')
    expect(signer.key).toEqual(publicKey)
    expect(signer).toMatchObject({ signingFingerprint: publicKey?.fingerprint, bySubkey: false })
    const { untrustedText, onePass, signature } = parseOpenPgpMessage(await signer.sign(TEXT))
    expect(Buffer.from(untrustedText)).toEqual(Buffer.from(TEXT))
    expect(onePass).toEqual({ hashNumber: 10, keyId: publicKey?.keyId })
    expect(publicKey && verifyOpenPgpSignature(publicKey.primary, signature, [TEXT])).toBe(true)
  })

  it('reads an armored key', async () => {
    const signer = await open(encodeUtf8(GPG_FIXTURE.keys.ed25519.armoredSecret))
    expect(signer.key.userIds).toEqual(['ed25519 <ed25519@example.com>'])
  })

  it('writes messages in the shape of gpg', async () => {
    const message = await (await open(fixtureSecret('ed25519'))).sign(TEXT)
    // gpg 2.2.40 --sign: a compressed packet of no length, zip.
    expect([...message.subarray(0, 2)]).toEqual([0xa3, 1])
    const { signature } = parseOpenPgpMessage(message)
    // gpg --list-packets: hashed 33 and 2, then 16; digest algorithm 10, class 0.
    expect(signature).toMatchObject({ type: 0, hashNumber: 10, keyAlgorithm: 22, surplus: 0 })
    expect(signature.hashed.map(({ type }) => type)).toEqual([33, 2])
    expect(signature.unhashed.map(({ type }) => type)).toEqual([16])
    const created = Buffer.from(signature.hashed[1]?.body ?? []).readUInt32BE()
    expect(created).toBe(NOW.getTime() / 1000)
  })

  it('signs with a subkey where the primary key cannot, and says so', async () => {
    const secrets = [fixtureSecret('subkey'), Buffer.from(GPG_FIXTURE.keys.subkey.secretSubkeys, 'base64')]
    for (const secret of secrets) {
      expect(await open(secret)).toMatchObject({
        bySubkey: true,
        signingFingerprint: GPG_FIXTURE.keys['subkey']?.parts[1]?.fingerprint,
      })
    }
    expect(await open(fixtureSecret('both'))).toMatchObject({ bySubkey: false })
  })

  it('takes the time from the clock', async () => {
    const at = new Date('2020-06-01T00:00:00Z')
    const signer = await openOpenPgpSigner(fixtureSecret('expired'), PASSWORD, 'The key', () => at)
    const { signature } = parseOpenPgpMessage(await signer.sign(TEXT))
    expect(signature.hashed.find(({ type }) => type === 2)?.body).toEqual(
      Buffer.from((at.getTime() / 1000).toString(16), 'hex'),
    )
  })

  const armored = GPG_FIXTURE.keys.ed25519.armoredSecret
  it.each<[string, Uint8Array, string, string, RegExp]>([
    [
      'a wrong password',
      fixtureSecret('ed25519'),
      'hunter2',
      'INVALID_PASSWORD',
      /^The key k cannot be opened: the p/,
    ],
    ['no password', fixtureSecret('rsa'), '', 'INVALID_PASSWORD', /the password is wrong/],
    [
      'a public key',
      fixtureKey('ed25519'),
      'hunter2',
      'INVALID_KEY',
      /it is a public key, or its secret part is kept/,
    ],
    [
      'an expired key',
      fixtureSecret('expired'),
      'hunter2',
      'INVALID_KEY',
      /the key expired 2021-01-01T00:00:00\.000Z/,
    ],
    [
      'a key that cannot sign',
      fixtureSecret('encrypt-only'),
      'hunter2',
      'INVALID_KEY',
      /neither the key, RSA-2048, nor a/,
    ],
    ['a revoked key', fixtureKey('revoked'), 'hunter2', 'INVALID_KEY', /the key is revoked/],
    [
      'a DSA key',
      fixtureKey('dsa'),
      'hunter2',
      'INVALID_KEY',
      /neither the key, DSA, nor a subkey of it can sign/,
    ],
    [
      'two keys',
      Buffer.concat([fixtureSecret('rsa'), fixtureSecret('p256')]),
      'hunter2',
      'INVALID_KEY',
      /more than one/,
    ],
    ['half of a key', fixtureSecret('rsa').subarray(0, 500), 'hunter2', 'INVALID_KEY', /ends in the middle/],
    ['text', Buffer.from('key'), 'hunter2', 'INVALID_KEY', /neither an armored nor a binary/],
    [
      'a damaged checksum',
      encodeUtf8(armored.replace(/\n=.../, '\n=AAA')),
      'hunter2',
      'INVALID_KEY',
      /checksum/,
    ],
    ['too much', Buffer.alloc(LIMITS.keyringBytes + 1), 'hunter2', 'TOO_LARGE', /limit/],
  ])('refuses %s', async (_, bytes, password, code, message) => {
    const opened = openOpenPgpSigner(bytes, encodeUtf8(password), 'The key k', () => NOW)
    await expect(opened).rejects.toThrow(
      expect.objectContaining({ code, message: expect.stringMatching(message) }),
    )
    if (password !== '') await expect(opened).rejects.not.toThrow(password)
  })

  it('signs nothing with a public half that is not its own', async () => {
    const [victim] = parseOpenPgpKeys(fixtureKey('ed25519'), 'It')
    const packets = readPackets(fixtureSecret('ed25519'), 'It')
    const stranger = parseKeyMaterial(
      readPackets(fixtureKey('subkey'), 'It')[0]?.body ?? Buffer.alloc(0),
      'It',
    )
    // The point of another key before the secret of this one (Klima and Rosa, 2002).
    const body = Buffer.from(packets[0]?.body ?? [])
    const offset = body.indexOf(victim?.primary.hashable.slice(-32) ?? '')
    Buffer.from(stranger.hashable.slice(-32)).copy(body, offset)
    const forged = Buffer.concat([
      encodePacket(5, body),
      ...packets.slice(1).map((packet) => encodePacket(packet.tag, packet.body)),
    ])
    await expect(open(forged)).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: expect.stringMatching(/signed no user ID of its own/),
    })
  })
})

describe('generateOpenPgpKey', () => {
  const made: GeneratedOpenPgpKey[] = []
  beforeAll(async () => {
    for (const algorithm of ['rsa3072', 'ed25519'] as const) {
      made.push(
        await generateOpenPgpKey({
          ...{ userId: 'Søren (release) <s@example.com>', algorithm, clock: () => NOW },
          password: encodeUtf8('Paßwort 1'),
        }),
      )
    }
  })

  it('makes keys whose primary key signs, and no subkey', () => {
    const common = {
      userIds: ['Søren (release) <s@example.com>'],
      created: NOW,
      revoked: false,
      selfSigned: true,
      primary: { canSign: true },
      subkeys: [],
    }
    expect(made.map(({ key }) => key)).toMatchObject([
      { algorithm: 'rsa', algorithmName: 'RSA-3072', ...common },
      { algorithm: 'ed25519', algorithmName: 'Ed25519', ...common },
    ])
    expect(made.every(({ key }) => key.expires === undefined)).toBe(true)
  })

  it('writes both halves armored, the private one encrypted as gpg reads it', async () => {
    for (const { secretKey, publicKey, key } of made) {
      expect(parseOpenPgpKeys(encodeUtf8(publicKey), 'It')).toEqual([key])
      expect(secretKey).toMatch(/^-----BEGIN PGP PRIVATE KEY BLOCK-----\n\n/)
      const signer = await openOpenPgpSigner(encodeUtf8(secretKey), encodeUtf8('Paßwort 1'), 'It', () => NOW)
      expect(signer).toMatchObject({ bySubkey: false, signingFingerprint: key.fingerprint })
      await expect(openOpenPgpSigner(encodeUtf8(secretKey), encodeUtf8('x'), 'It')).rejects.toMatchObject({
        code: 'INVALID_PASSWORD',
      })
      // After the public part: 254 (SHA-1 protects it), 9 (AES-256), 3 (iterated and salted), 8 (SHA-256).
      const [packet] = readPackets(Buffer.from(secretKey.split('\n').slice(2, -3).join(''), 'base64'), 'It')
      const publicSize = key.primary.hashable.byteLength - 3
      expect([...(packet?.body.subarray(publicSize, publicSize + 4) ?? [])]).toEqual([254, 9, 3, 8])
    }
  })

  it('does not encrypt with an empty password', async () => {
    const password = new Uint8Array()
    const { secretKey } = await generateOpenPgpKey({ userId: 'a', password, algorithm: 'ed25519' })
    const signer = await openOpenPgpSigner(encodeUtf8(secretKey), password, 'It')
    await expect(signer.sign(TEXT)).resolves.toBeInstanceOf(Uint8Array)
  })

  it.each(['', 'a\nb', 'a\u0000', 'x'.repeat(256)])('refuses the user ID %j', async (userId) => {
    const made = generateOpenPgpKey({ userId, password: new Uint8Array() })
    await expect(made).rejects.toMatchObject({ code: 'USAGE' })
  })
})

function open(bytes: Uint8Array): Promise<OpenPgpSigner> {
  return openOpenPgpSigner(bytes, PASSWORD, 'The key', () => NOW)
}
