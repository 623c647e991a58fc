import { randomBytes, scryptSync } from 'node:crypto'
import { secretbox } from '@noble/ciphers/salsa.js'
import { describe, expect, it } from 'vitest'
import {
  decryptPrivateKey,
  encryptPrivateKey,
  formatPublicKey,
  generateKeyPair,
  verifySignature,
} from './index.ts'

/** Written by cosign 2.5.0: COSIGN_PASSWORD=pass cosign generate-key-pair. */
const WITH_PASSWORD = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiIrRTdGeDBIUktKSGwyQmFyalB1aEJQUGNrS0dLOEZU
a0FhNlFObkRBbkxNPSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiJJZVVuTmZQSE1YRitEM1B5a0Q3UzBYUFFGNFpaM3Q4TSJ9LCJj
aXBoZXJ0ZXh0Ijoid0lpUGlrbmY3YzdGQWttL093cHFMM0c4Wm9Ya3dCWGwvTHlh
WDJwVGZaNElwa25nYnJDeC91b3RPbjIya2xuS2pjellMQTdmM093M1hPb2NhRENs
TVc3VUVyZnRPUVU1a0RyUFc2K2R5d2FyWmVrekxuT2xxdkNpQXNudFdnZHg3aTYy
YlJQZk9BQXkvaWVrZ0t2SFBobkQyU3lIMUVSS0dlVnB2cDc1dk93S01pRE1Qc1pl
VEVnVmxkVHBvYmxvOUpkTytHekw2WlphQ2c9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`
const WITH_PASSWORD_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2AbSO3h22lbHyY1ugYNQsb5/dCiz
dAuoWzFbLrKKpyJsQMcT0CBuL+y7i+AZRzM6Tx44/jM1e47tTTr7RKBT1Q==
-----END PUBLIC KEY-----
`

/** Written by cosign 3.1.1: COSIGN_PASSWORD= cosign generate-key-pair. */
const WITHOUT_PASSWORD = `-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----
eyJrZGYiOnsibmFtZSI6InNjcnlwdCIsInBhcmFtcyI6eyJOIjo2NTUzNiwiciI6
OCwicCI6MX0sInNhbHQiOiJMTDAxL24zLzgrWWJyMWRsMXpyTDFTanFGN040VmZn
TlpRaWZkODlkV1o4PSJ9LCJjaXBoZXIiOnsibmFtZSI6Im5hY2wvc2VjcmV0Ym94
Iiwibm9uY2UiOiI4Y1JBREswVGFaUVFYc0NmdFNQaHNXOGc4SGVxYWJ2RSJ9LCJj
aXBoZXJ0ZXh0IjoiQndQaWhOdmlMa1RpRFRXSXZWK0ZCTFh6bW1KQlRLVUVWZ1A0
SGx0cXl1VU5RcTVVOFNsaDFUenc3bERhRnFIS1JGdmtjUjkxeUZJaFB6N054Ni8x
SmVEYnRGa1ErZXEwZHd4Yk4vdlFCeFRnYjduMzBDZkRCTG5XaVRxKzcwT3U5M2R4
V1lrSm9XUHQ2ZjlwZ016bi81MnpxR0R3alNJNm9LZEFNSGxRN0hmNUFESnZnakg2
eE9BUWYraFk3OU1JMVZkMFZHMVJlelBya0E9PSJ9
-----END ENCRYPTED SIGSTORE PRIVATE KEY-----
`
const WITHOUT_PASSWORD_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEsSIqktI3ode6QB2HpFVKbWdHdYpq
JfdwGW0WShd8T/AFEyTVsy6xxtjHTMZcIGg7rKKwBMSc6966t2G+53H3Og==
-----END PUBLIC KEY-----
`

const PASS = Buffer.from('pass')

describe.concurrent('decryptPrivateKey', () => {
  it.each([
    ['of cosign 2.5.0', WITH_PASSWORD, 'pass', WITH_PASSWORD_PUB],
    ['of cosign 3.1.1 with an empty password', WITHOUT_PASSWORD, '', WITHOUT_PASSWORD_PUB],
  ])('opens a key %s', async (_, file, password, pub) => {
    const key = await decryptPrivateKey(Buffer.from(file), Buffer.from(password))
    expect(formatPublicKey(key.publicKey)).toBe(pub)
    const message = Buffer.from('message')
    expect(verifySignature(key.publicKey, message, key.sign(message))).toBe(true)
  })

  it.each([32768, 131072])('opens the older header with N=%i', async (cost) => {
    const key = await generateKeyPair()
    const file = encrypted(key.exportPkcs8(), { cost, label: 'ENCRYPTED COSIGN PRIVATE KEY' })
    expect((await decryptPrivateKey(file, PASS)).publicKey.fingerprint).toBe(key.publicKey.fingerprint)
  })

  it('says that the password is wrong, and not what it is', async () => {
    const failure = decryptPrivateKey(
      Buffer.from(WITH_PASSWORD),
      Buffer.from('secret-canary'),
      'The key x.key',
    )
    await expect(failure).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
      message: 'The key x.key cannot be decrypted with the password given.',
      hint: expect.stringContaining('COSIGN_PASSWORD'),
    })
    await expect(failure).rejects.not.toThrow('canary')
  })

  it('takes a damaged ciphertext for a wrong password', async () => {
    const file = changed((json) => json.replace(/"ciphertext":"..../, '"ciphertext":"AAAA'))
    await expect(decryptPrivateKey(file, PASS)).rejects.toMatchObject({ code: 'INVALID_PASSWORD' })
  })

  it('refuses content that is not PKCS#8', async () => {
    await expect(decryptPrivateKey(encrypted(Buffer.from('secret-canary')), PASS)).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: 'The private key is not valid: what it encrypts is not a private key in PKCS#8.',
    })
  })

  const reasons: readonly [string, Uint8Array, string][] = [
    ['empty', Buffer.alloc(0), 'it is empty'],
    [
      'a public key',
      Buffer.from(WITH_PASSWORD_PUB),
      'it is a public key, not an encrypted private key of cosign',
    ],
    [
      'an unencrypted key',
      Buffer.from('-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n'),
      'it is an unencrypted private key, not an encrypted private key of cosign',
    ],
    ['not JSON', pemOf('x'), 'its content is not JSON: line 1, column 1: a value expected'],
    ['not an object', pemOf('[]'), 'it is not encrypted with "scrypt"'],
    ['another KDF', changed((json) => json.replace('scrypt', 'argon2')), 'it is not encrypted with "scrypt"'],
    [
      'another cipher',
      changed((json) => json.replace('nacl/', '')),
      'it is not encrypted with "nacl/secretbox"',
    ],
    [
      'a huge cost',
      changed((json) => json.replace('65536', '1048576')),
      'its scrypt parameters "{\\"N\\":1048576,\\"r\\":8,\\"p\\":1}" are none that cosign uses',
    ],
    [
      'a low cost',
      changed((json) => json.replace('65536', '2')),
      'its scrypt parameters "{\\"N\\":2,\\"r\\":8,\\"p\\":1}" are none that cosign uses',
    ],
    [
      'another r',
      changed((json) => json.replace('"r":8', '"r":16')),
      'its scrypt parameters "{\\"N\\":65536,\\"r\\":16,\\"p\\":1}" are none that cosign uses',
    ],
    [
      'another p',
      changed((json) => json.replace('"p":1', '"p":1073741824')),
      'its scrypt parameters "{\\"N\\":65536,\\"r\\":8,\\"p\\":1073741824}" are none that cosign uses',
    ],
    [
      'a cost as text',
      changed((json) => json.replace('65536', '"65536"')),
      'its scrypt parameters "{\\"N\\":\\"65536\\",\\"r\\":8,\\"p\\":1}" are none that cosign uses',
    ],
    [
      'two costs',
      changed((json) => json.replace('"N":65536', '"N":65536,"N":1048576')),
      'its content has the key "N" twice in one object',
    ],
    [
      'a number beyond all numbers',
      changed((json) => json.replace('65536', '1e999')),
      'its content is not JSON: line 1, column 39: a number that a double can hold expected',
    ],
    ['a deep document', pemOf('['.repeat(10_000)), 'its content is nested deeper than 127 levels'],
    [
      'a short nonce',
      changed((json) => json.replace(/"nonce":"[^"]*/, '"nonce":"AAAA')),
      'its nonce is not the base64 of 24 bytes',
    ],
    ['a bad salt', changed((json) => json.replace(/"salt":"/, '"salt":"*')), 'its salt is not base64'],
    [
      'no ciphertext',
      changed((json) => json.replace('"ciphertext"', '"other"')),
      'its ciphertext is not base64',
    ],
  ]
  it.each(reasons)('refuses %s', async (_, file, reason) => {
    await expect(decryptPrivateKey(file, PASS)).rejects.toMatchObject({
      code: 'INVALID_KEY',
      message: `The private key is not valid: ${reason}.`,
    })
  })

  it.each(['PRIVATE KEY', 'EC PRIVATE KEY', 'RSA PRIVATE KEY', 'ENCRYPTED PRIVATE KEY'])(
    'says how a %s becomes one of cosign',
    async (label) => {
      await expect(decryptPrivateKey(pemOf('x', label), PASS)).rejects.toMatchObject({
        code: 'INVALID_KEY',
        hint: 'Encrypt it first with: cosignet key import <file>.',
      })
    },
  )

  it('refuses a huge file', async () => {
    await expect(decryptPrivateKey(Buffer.alloc(64 * 1024 + 1), PASS)).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
  })
})

describe.concurrent('encryptPrivateKey', () => {
  it('writes what cosign writes, given its salt and nonce', async () => {
    const key = await decryptPrivateKey(Buffer.from(WITH_PASSWORD), PASS)
    const { kdf, cipher } = JSON.parse(jsonOf(WITH_PASSWORD))
    const values = [kdf.salt, cipher.nonce].map((text) => Buffer.from(text, 'base64'))
    const random = (size: number): Uint8Array => {
      const next = values.shift()
      if (next?.byteLength !== size) throw new Error(`${size} random bytes were not expected`)
      return next
    }
    expect(await encryptPrivateKey(key, PASS, random)).toBe(WITH_PASSWORD)
  })

  it('takes a new salt and nonce each time', async () => {
    const key = await generateKeyPair()
    const [a, b] = await Promise.all([encryptPrivateKey(key, PASS), encryptPrivateKey(key, PASS)])
    expect(JSON.parse(jsonOf(a)).kdf.salt).not.toBe(JSON.parse(jsonOf(b)).kdf.salt)
    expect(JSON.parse(jsonOf(a)).cipher.nonce).not.toBe(JSON.parse(jsonOf(b)).cipher.nonce)
  })

  it('zeroes the private key that it was handed', async () => {
    const key = await generateKeyPair()
    const pkcs8 = key.exportPkcs8()
    await encryptPrivateKey({ ...key, exportPkcs8: () => pkcs8 }, PASS)
    expect(pkcs8.every((byte) => byte === 0)).toBe(true)
  })
})

function jsonOf(file: string): string {
  return Buffer.from(file.split('\n').slice(1, -2).join(''), 'base64').toString()
}

function pemOf(json: string, label = 'ENCRYPTED SIGSTORE PRIVATE KEY'): Uint8Array {
  return Buffer.from(
    `-----BEGIN ${label}-----\n${Buffer.from(json).toString('base64')}\n-----END ${label}-----\n`,
  )
}

function changed(change: (json: string) => string): Uint8Array {
  const before = jsonOf(WITH_PASSWORD)
  const after = change(before)
  if (after === before) throw new Error('the change changed nothing')
  return pemOf(after)
}

/** The envelope of cosign around any content, made with other calls than the code under test. */
function encrypted(content: Uint8Array, options: { cost?: number; label?: string } = {}): Uint8Array {
  const { cost = 32768, label } = options
  const [salt, nonce] = [randomBytes(32), randomBytes(24)]
  const secret = scryptSync(PASS, salt, 32, { N: cost, r: 8, p: 1, maxmem: 2 ** 28 })
  const json = {
    kdf: { name: 'scrypt', params: { N: cost, r: 8, p: 1 }, salt: salt.toString('base64') },
    cipher: { name: 'nacl/secretbox', nonce: nonce.toString('base64') },
    ciphertext: Buffer.from(secretbox(secret, nonce).seal(content)).toString('base64'),
  }
  return pemOf(JSON.stringify(json), label)
}
