import { type JsonWebKey, randomBytes } from 'node:crypto'
import { FlattenedEncrypt, flattenedDecrypt, importJWK } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import type { JsonValue } from '../../core/index.ts'
import { concatKdf, decryptForTee, encryptForTee, type JweMessage } from './jwe.ts'
import { generateTeeKey, readTeePublicKey, type TeeKey, type TeeKeyKind } from './tee-key.ts'

const KINDS: readonly TeeKeyKind[] = ['P-256', 'P-521', 'RSA']
const SECRET = new TextEncoder().encode('a secret: ☂')
const keys = {} as Record<TeeKeyKind, TeeKey>

beforeAll(async () => {
  for (const kind of KINDS) keys[kind] = await generateTeeKey(kind)
})

const headerOf = (message: JweMessage) => Buffer.from(message.protected, 'base64url').toString()

/** The same message, its header another and nothing else. */
function withHeader(message: JweMessage, change: (header: Record<string, unknown>) => unknown): JsonValue {
  const header = change(JSON.parse(headerOf(message)) as Record<string, unknown>)
  return { ...message, protected: Buffer.from(JSON.stringify(header)).toString('base64url') }
}

describe('concatKdf', () => {
  it('derives the key of RFC 7518, appendix C', () => {
    const secret = Uint8Array.from([
      158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110, 163, 218, 128,
      106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ])
    const key = concatKdf(secret, 'A128GCM', 128, Buffer.from('Alice'), Buffer.from('Bob'))
    expect(Buffer.from(key).toString('base64url')).toBe('VqqN6vgjbSBcIijNcacQGg')
  })
})

describe.each(KINDS)('with a key %s', (kind) => {
  it('writes what jose decrypts', async () => {
    const message = encryptForTee(keys[kind].publicKey, SECRET)
    const { plaintext } = await flattenedDecrypt({ ...message }, keys[kind].privateKey)
    expect(Buffer.from(plaintext).toString()).toBe('a secret: ☂')
  })

  it('decrypts what jose writes', async () => {
    const { publicKey } = keys[kind]
    const message = await new FlattenedEncrypt(SECRET)
      .setProtectedHeader({ alg: publicKey.alg, enc: 'A256GCM' })
      .encrypt(await importJWK({ ...publicKey } as JsonWebKey & { kty: string }))
    expect(Buffer.from(decryptForTee(keys[kind], { ...message } as unknown as JsonValue)).toString()).toBe(
      'a secret: ☂',
    )
  })

  it('writes base64url without padding, a fresh key and a fresh iv each time', () => {
    const [one, two] = [
      encryptForTee(keys[kind].publicKey, SECRET),
      encryptForTee(keys[kind].publicKey, SECRET),
    ]
    for (const member of ['protected', 'encrypted_key', 'iv', 'ciphertext', 'tag'] as const) {
      expect(one[member]).toMatch(/^[A-Za-z0-9_-]+$/)
    }
    expect(one.encrypted_key).not.toBe(two.encrypted_key)
    expect(one.iv).not.toBe(two.iv)
  })

  it('carries nothing, and two megabytes', () => {
    for (const size of [0, 2 * 1024 * 1024]) {
      const secret = randomBytes(size)
      const message = encryptForTee(keys[kind].publicKey, secret)
      expect(Buffer.compare(decryptForTee(keys[kind], { ...message }), secret)).toBe(0)
    }
  })

  it('refuses what was changed, and what is for another', async () => {
    const message = encryptForTee(keys[kind].publicKey, SECRET)
    const flip = (member: keyof JweMessage): JsonValue => {
      const bytes = Buffer.from(message[member], 'base64url')
      bytes[bytes.byteLength - 1] = (bytes.at(-1) ?? 0) ^ 1
      return { ...message, [member]: bytes.toString('base64url') }
    }
    const cannotDecrypt = expect.objectContaining({
      code: 'BAD_RESPONSE',
      message: expect.stringMatching(/^The KBS answered with a resource that this TEE key cannot decrypt: /),
    })
    for (const member of ['encrypted_key', 'iv', 'ciphertext', 'tag'] as const) {
      expect(() => decryptForTee(keys[kind], flip(member))).toThrow(cannotDecrypt)
    }
    const reordered = withHeader(message, ({ alg, enc, ...rest }) => ({ enc, alg, ...rest }))
    expect(() => decryptForTee(keys[kind], reordered)).toThrow(cannotDecrypt)
    const other = await generateTeeKey(kind)
    expect(() => decryptForTee(other, { ...message })).toThrow(cannotDecrypt)
  })
})

describe('encryptForTee', () => {
  it.each(['P-256', 'P-521'] as const)(
    'writes the header for %s in the order that the guest rebuilds',
    (crv) => {
      const header = headerOf(encryptForTee(keys[crv].publicKey, SECRET))
      const length = crv === 'P-256' ? 43 : 88
      expect(header).toMatch(
        new RegExp(
          `^\\{"alg":"ECDH-ES\\+A256KW","enc":"A256GCM","epk":\\{"crv":"${crv}","kty":"EC",` +
            `"x":"[A-Za-z0-9_-]{${length}}","y":"[A-Za-z0-9_-]{${length}}"\\}\\}$`,
        ),
      )
    },
  )

  it('writes the header for RSA in the order that the guest rebuilds', () => {
    expect(headerOf(encryptForTee(keys.RSA.publicKey, SECRET))).toBe('{"alg":"RSA-OAEP-256","enc":"A256GCM"}')
  })
})

describe('decryptForTee', () => {
  const valid = () => encryptForTee(keys['P-256'].publicKey, SECRET)
  it.each<[string, () => JsonValue, string]>([
    ['no object', () => 'eyJ', 'the message is not an object'],
    ['null', () => null, 'the message is not an object'],
    ['no header', () => ({}), 'protected is not a string'],
    [
      'the header of kbs-types',
      () => ({ ...valid(), protected: 'eyJhbGciOiJmYWtlYWxnIiwiZW5jIjoiZmFrZWVuYyJ9' }),
      'its header does not have "alg" "ECDH-ES+A256KW"',
    ],
    [
      'a header that is not JSON',
      () => ({ ...valid(), protected: 'e30x' }),
      'its header is not base64url of JSON',
    ],
    [
      'a header that is not base64url',
      () => ({ ...valid(), protected: 'e3=' }),
      'its header is not base64url of JSON',
    ],
    ['a list as header', () => ({ ...valid(), protected: 'W10' }), 'its header is not an object'],
    ['an aad', () => ({ ...valid(), aad: '' }), 'it has parts that the KBS protocol does not use'],
    [
      'another algorithm',
      () => withHeader(valid(), (header) => ({ ...header, alg: 'dir' })),
      'its header does not have "alg" "ECDH-ES+A256KW"',
    ],
    [
      'another cipher',
      () => withHeader(valid(), (header) => ({ ...header, enc: 'A128GCM' })),
      'its header does not have "enc" "A256GCM"',
    ],
    ['crit', () => withHeader(valid(), (header) => ({ ...header, crit: ['exp'] })), 'its header has "crit"'],
    ['zip', () => withHeader(valid(), (header) => ({ ...header, zip: 'DEF' })), 'its header has "zip"'],
    ['no epk', () => withHeader(valid(), ({ epk: _, ...header }) => header), 'epk is not an object'],
    [
      'a key on another curve',
      () => ({ ...valid(), protected: encryptForTee(keys['P-521'].publicKey, SECRET).protected }),
      'its epk is not an EC key on P-256',
    ],
    ['a long iv', () => ({ ...valid(), iv: 'AAAAAAAAAAAAAAAAAAAAAA' }), 'its iv does not have 12 bytes'],
    ['a short tag', () => ({ ...valid(), tag: 'AAAAAA' }), 'its tag does not have 16 bytes'],
    ['padding', () => ({ ...valid(), ciphertext: 'AAAA=' }), 'ciphertext is not base64url without padding'],
    ['a number', () => ({ ...valid(), ciphertext: 1 }), 'ciphertext is not a string'],
  ])('refuses %s', (_, message, reason) => {
    expect(() => decryptForTee(keys['P-256'], message())).toThrow(
      expect.objectContaining({
        code: 'BAD_RESPONSE',
        message: `The KBS answered with a JWE that is not valid: ${reason}.`,
      }),
    )
  })

  it('refuses a point that is not on the curve', () => {
    const message = withHeader(valid(), (header) => ({
      ...header,
      epk: { crv: 'P-256', kty: 'EC', x: 'A'.repeat(43), y: 'A'.repeat(43) },
    }))
    expect(() => decryptForTee(keys['P-256'], message)).toThrow(
      expect.objectContaining({ code: 'BAD_RESPONSE' }),
    )
  })
})

describe('readTeePublicKey', () => {
  const ec = () => ({ ...keys['P-256'].publicKey }) as Record<string, JsonValue>
  const rsa = () => ({ ...keys.RSA.publicKey }) as Record<string, JsonValue>

  it('keeps the members of the protocol and no other', () => {
    expect(readTeePublicKey({ ...ec(), kid: 'x', use: 'enc' }).publicKey).toEqual(keys['P-256'].publicKey)
    expect(Object.keys(readTeePublicKey({ ...rsa(), kid: 'x' }).publicKey)).toEqual(['kty', 'alg', 'n', 'e'])
  })

  it.each<[string, () => JsonValue, string]>([
    ['no object', () => 'EC', 'it is not an object'],
    ['no kind', () => ({}), '"kty" is not a string'],
    ['P-384', () => ({ ...ec(), crv: 'P-384' }), '"EC P-384 ECDH-ES+A256KW" is not supported'],
    ['another algorithm', () => ({ ...ec(), alg: 'ECDH-ES' }), '"EC P-256 ECDH-ES" is not supported'],
    ['RSA1_5', () => ({ ...rsa(), alg: 'RSA1_5' }), '"RSA RSA1_5" is not supported'],
    [
      'AKP',
      () => ({ kty: 'AKP', alg: 'ML-KEM-768+A192KW', pub: '' }),
      '"AKP ML-KEM-768+A192KW" is not supported',
    ],
    ['a short x', () => ({ ...ec(), x: 'eA' }), 'its coordinates do not have the 32 bytes of P-256'],
    [
      'a coordinate of P-521',
      () => ({ ...ec(), crv: 'P-521' }),
      'its coordinates do not have the 66 bytes of P-521',
    ],
    ['a padded x', () => ({ ...ec(), x: `${ec()['x']}=` }), '"x" is not base64url without padding'],
    ['a point off the curve', () => ({ ...ec(), x: 'A'.repeat(43) }), 'it is not a valid public key'],
    ['a long exponent', () => ({ ...rsa(), e: 'A'.repeat(12) }), 'its exponent is too long'],
    [
      'a modulus of 1024 bits',
      () => ({ ...rsa(), n: Buffer.alloc(128, 0xc5).toString('base64url') }),
      'its modulus has 1024 bits, not 2048 to 8192',
    ],
  ])('refuses %s', (_, key, reason) => {
    expect(() => readTeePublicKey(key())).toThrow(
      expect.objectContaining({
        code: 'INVALID_KEY',
        message: `The TEE public key cannot be used: ${reason}.`,
      }),
    )
  })
})
