import { describe, expect, it } from 'vitest'
import {
  formatOpenPgpPublicKey,
  generateOpenPgpKey,
  importOpenPgpKey,
  inspectKey,
  openOpenPgpSigner,
  parseOpenPgpKeys,
} from './index.ts'

/**
 * Written by gpg 2.2.40: gpg --passphrase pw --quick-generate-key 'S <s@example.com>' ed25519 sign never;
 * gpg --armor --export-secret-keys; gpg --armor --export.
 */
const SECRET = `-----BEGIN PGP PRIVATE KEY BLOCK-----

lIYEawOKchYJKwYBBAHaRw8BAQdASwmge08CZyb4jkbe96yPAJreo1e2zABipfPD
0Uzlvsn+BwMCY7iYM2zim7L/s6PN76W0PxN/o4w5nyROa52Oj+Jb2pUY/W/lEetF
Zw4ytmyTMEkl+w4edGflHVw0BANKttdToGJp4Hx6yhTQ4E3KHte/f7QRUyA8c0Bl
eGFtcGxlLmNvbT6IkAQTFggAOBYhBBVFKcKP16AW0nVSnM7nAt4ezGHQBQJrA4py
AhsDBQsJCAcCBhUKCQgLAgQWAgMBAh4BAheAAAoJEM7nAt4ezGHQ13AA/RI/Viav
zB6oyxfvqlG2ST5aTRjKW2GFbmA5obZ96pezAQD6ZlFP7KNqSH7MJhjdY/9l03pD
QwAXHpdV/zDwlEZwCw==
=Herb
-----END PGP PRIVATE KEY BLOCK-----
`
const PUBLIC = `-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawOKchYJKwYBBAHaRw8BAQdASwmge08CZyb4jkbe96yPAJreo1e2zABipfPD
0Uzlvsm0EVMgPHNAZXhhbXBsZS5jb20+iJAEExYIADgWIQQVRSnCj9egFtJ1UpzO
5wLeHsxh0AUCawOKcgIbAwULCQgHAgYVCgkICwIEFgIDAQIeAQIXgAAKCRDO5wLe
Hsxh0NdwAP0SP1Ymr8weqMsX76pRtkk+Wk0YylthhW5gOaG2feqXswEA+mZRT+yj
akh+zCYY3WP/ZdN6Q0MAFx6XVf8w8JRGcAs=
=L03o
-----END PGP PUBLIC KEY BLOCK-----
`
const FINGERPRINT = '154529C28FD7A016D275529CCEE702DE1ECC61D0'

const what = 'The key s.asc'
const bytes = (text: string) => async (): Promise<Uint8Array> => Buffer.from(text)
const nobody = async (): Promise<Uint8Array> => {
  throw new Error('a password was asked for')
}

describe('importOpenPgpKey', () => {
  it.each([
    ['armored', Buffer.from(SECRET)],
    ['binary', binary(SECRET)],
  ])('encrypts a key of gpg, %s, with another password', async (_, file) => {
    const pair = await importOpenPgpKey(file, { old: bytes('pw'), new: bytes('näw') }, what)
    expect(pair.key.fingerprint).toBe(FINGERPRINT)
    expect(pair.publicKey).toBe(PUBLIC)
    const secret = Buffer.from(pair.secretKey)
    const signer = await openOpenPgpSigner(secret, Buffer.from('näw'), what)
    expect(signer.key.fingerprint).toBe(FINGERPRINT)
    await expect(openOpenPgpSigner(secret, Buffer.from('pw'), what)).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
    })
  })

  it('takes a key without a password, and makes one', async () => {
    const made = await generateOpenPgpKey({ userId: 'U', password: Buffer.alloc(0), algorithm: 'ed25519' })
    const file = Buffer.from(made.secretKey)
    const closed = await importOpenPgpKey(file, { old: nobody, new: bytes('new') }, what)
    expect(closed.publicKey).toBe(await formatOpenPgpPublicKey(Buffer.from(made.publicKey), what))
    const opened = { old: bytes('new'), new: bytes('') }
    const again = await importOpenPgpKey(Buffer.from(closed.secretKey), opened, what)
    const signer = await openOpenPgpSigner(Buffer.from(again.secretKey), Buffer.alloc(0), what)
    expect(signer.key.fingerprint).toBe(made.key.fingerprint)
  })

  it('says that the password is wrong, and not what it is', async () => {
    const failure = importOpenPgpKey(Buffer.from(SECRET), { old: bytes('secret-canary'), new: nobody }, what)
    await expect(failure).rejects.toMatchObject({ code: 'INVALID_PASSWORD' })
    await expect(failure).rejects.not.toThrow('canary')
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['a public key', Buffer.from(PUBLIC), /it is an OpenPGP public key, not a private key/],
    ['a key that was cut short', binary(SECRET).subarray(0, 100), /The key s\.asc/],
    ['damaged armor', Buffer.from(SECRET.replace('l', 'm')), /checksum|damaged|armor/],
  ])('refuses %s', async (_, file, message) => {
    await expect(importOpenPgpKey(file, { old: bytes('pw'), new: bytes('new') }, what)).rejects.toMatchObject(
      {
        code: 'INVALID_KEY',
        message: expect.stringMatching(message),
      },
    )
  })

  it('refuses a password that is not text', async () => {
    const passwords = { old: bytes('pw'), new: async () => Buffer.from('ff', 'hex') }
    await expect(importOpenPgpKey(Buffer.from(SECRET), passwords, what)).rejects.toMatchObject({
      code: 'INVALID_PASSWORD',
    })
  })
})

describe('formatOpenPgpPublicKey', () => {
  it.each([
    ['a private key', Buffer.from(SECRET)],
    ['a binary private key', binary(SECRET)],
    ['a public key', Buffer.from(PUBLIC)],
  ])('writes what gpg exports of %s, without a password', async (_, file) => {
    expect(await formatOpenPgpPublicKey(file, what)).toBe(PUBLIC)
  })

  it('writes nothing secret', async () => {
    const text = await formatOpenPgpPublicKey(Buffer.from(SECRET), what)
    expect(parseOpenPgpKeys(Buffer.from(text), what).map(({ fingerprint }) => fingerprint)).toEqual([
      FINGERPRINT,
    ])
    expect(await inspectKey(Buffer.from(text), what)).toMatchObject({ format: 'openpgp', secret: false })
  })
})

function binary(armored: string): Uint8Array {
  const lines = armored.split('\n')
  const content = lines.slice(lines.indexOf('') + 1).filter((line) => !/^(?:=|-----)/.test(line))
  return Buffer.from(content.join(''), 'base64')
}
