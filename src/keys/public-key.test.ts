import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { formatPublicKey, parsePublicKey } from './index.ts'

/** Written by cosign 2.5.0: cosign generate-key-pair. */
const COSIGN_PUB = `-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE2AbSO3h22lbHyY1ugYNQsb5/dCiz
dAuoWzFbLrKKpyJsQMcT0CBuL+y7i+AZRzM6Tx44/jM1e47tTTr7RKBT1Q==
-----END PUBLIC KEY-----
`

/** Written by OpenSSL 3.0.19: openssl ecparam -name secp256k1 -genkey, openssl ec -pubout. */
const SECP256K1_PUB = `-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAE/+IUJsXbSqBwiN5ABvoMjGHYu1BDsO+m
IElwsuoRbyHSim8A1IoqBHQ7BDTc08vNZdOJdgTarRMB7mDQTbp5GA==
-----END PUBLIC KEY-----
`

const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey

const WHAT = 'The public key x.pub'

describe('parsePublicKey', () => {
  it('reads the key of cosign and writes the same bytes', () => {
    const key = parsePublicKey(Buffer.from(COSIGN_PUB), WHAT)
    const der = derOf(COSIGN_PUB)
    expect(key.algorithm).toBe('ecdsa-p256')
    expect(Buffer.from(key.spki)).toEqual(der)
    expect(key.fingerprint).toBe(createHash('sha256').update(der).digest('hex'))
    expect(formatPublicKey(key)).toBe(COSIGN_PUB)
  })

  it('takes the first block, whatever stands around it, and CRLF', () => {
    const other = pem('ec', { namedCurve: 'P-384' })
    const text = `a note\n${COSIGN_PUB}${other}`.replaceAll('\n', '\r\n')
    expect(formatPublicKey(parsePublicKey(Buffer.from(text), WHAT))).toBe(COSIGN_PUB)
  })

  it.each([
    ['ecdsa-p256', pem('ec', { namedCurve: 'P-256' })],
    ['ecdsa-p384', pem('ec', { namedCurve: 'P-384' })],
    ['ecdsa-p521', pem('ec', { namedCurve: 'P-521' })],
    ['ed25519', generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'pem' })],
    ['rsa', RSA.export({ type: 'spki', format: 'pem' })],
    ['rsa', RSA.export({ type: 'pkcs1', format: 'pem' })],
  ])('knows %s', (algorithm, text) => {
    expect(parsePublicKey(Buffer.from(text), WHAT).algorithm).toBe(algorithm)
  })

  it('gives a PKCS#1 key the fingerprint of its SPKI', () => {
    const pkcs1 = parsePublicKey(Buffer.from(RSA.export({ type: 'pkcs1', format: 'pem' })), WHAT)
    const spki = RSA.export({ type: 'spki', format: 'der' })
    expect(pkcs1.fingerprint).toBe(createHash('sha256').update(spki).digest('hex'))
  })

  it.each([
    ['', 'it is empty'],
    [' \n', 'it is empty'],
    ['hello', 'it is base64 without the lines BEGIN and END of a PEM file'],
    ['hello, world', 'it holds no PEM block'],
    [`\ufeff${COSIGN_PUB}`, 'it holds no PEM block'],
    ['<!DOCTYPE html><html>', 'it is a web page, not a PEM file'],
    [Buffer.from(COSIGN_PUB).toString('base64'), 'it is the base64 of a PEM file'],
    ['ssh-ed25519 AAAA', 'it is an OpenSSH public key, not PEM'],
    [Buffer.from([0x99, 1, 0x8d, 4]), 'it is a binary OpenPGP key, not PEM'],
    [RSA.export({ type: 'spki', format: 'der' }), 'it is DER, not PEM'],
    [COSIGN_PUB.slice(0, 80), 'its block "PUBLIC KEY" has no end, so it was cut short'],
    [COSIGN_PUB.replace('MFkw', 'MFk*'), 'its block "PUBLIC KEY" does not hold plain base64'],
    [block('PUBLIC KEY', Buffer.from('junk')), /^its content is not a public key/],
    [block('PUBLIC KEY', Buffer.alloc(0)), /^its content is not a public key/],
    [
      withTail('RSA PUBLIC KEY', RSA.export({ type: 'pkcs1', format: 'der' })),
      'its content is not exactly the DER encoding of a key',
    ],
    [withTail('PUBLIC KEY', derOf(COSIGN_PUB)), 'its content is not exactly the DER encoding of a key'],
    [SECP256K1_PUB, 'its kind "secp256k1" is none that a verifier of images knows'],
    [pem('x25519'), 'its kind "x25519" is none that a verifier of images knows'],
    [block('PRIVATE KEY', 'x'), 'it is an unencrypted private key, not a public key'],
    [block('EC PRIVATE KEY', 'x'), 'it is an unencrypted private key, not a public key'],
    [
      block('ENCRYPTED SIGSTORE PRIVATE KEY', 'x'),
      'it is an encrypted private key of cosign, not a public key',
    ],
    [
      block('ENCRYPTED COSIGN PRIVATE KEY', 'x'),
      'it is an encrypted private key of cosign, not a public key',
    ],
    [block('CERTIFICATE', 'x'), 'it is a certificate, not a public key'],
    [
      block('PGP PUBLIC KEY BLOCK', 'x').replace('eA', '\neA'),
      'it is an OpenPGP public key, not a public key',
    ],
    [block('WHATEVER', 'x'), 'it is a PEM block "WHATEVER", not a public key'],
  ])('refuses file %#', (content, reason) => {
    const error = thrown(() => parsePublicKey(Buffer.from(content), WHAT))
    expect(error.code).toBe('INVALID_KEY')
    const prefix = `${WHAT} is not valid: `
    expect(error.message.startsWith(prefix)).toBe(true)
    const said = error.message.slice(prefix.length).replace(/\.$/, '')
    if (typeof reason === 'string') expect(said).toBe(reason)
    else expect(said).toMatch(reason)
  })

  it.each([
    ['P-256', 65],
    ['P-384', 97],
    ['P-521', 133],
  ])('refuses a %s point in the hybrid form, which OpenSSL reads', (namedCurve, pointBytes) => {
    const der = derOf(pem('ec', { namedCurve }))
    // SEC 1, 2.3.3: 06 or 07 by the parity of y, then x and y as in the uncompressed form.
    der[der.byteLength - pointBytes] = 6 + ((der.at(-1) ?? 0) & 1)
    expect(createPublicKey({ key: der, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec')
    const error = thrown(() => parsePublicKey(Buffer.from(block('PUBLIC KEY', der)), WHAT))
    expect([error.code, error.message]).toEqual([
      'INVALID_KEY',
      expect.stringContaining('compressed or hybrid'),
    ])
  })

  it('refuses a compressed point', () => {
    const point = derOf(COSIGN_PUB).subarray(-64)
    const compressed = [2 + ((point.at(-1) ?? 0) & 1), ...point.subarray(0, 32)]
    // The header of the uncompressed form with its two lengths changed (RFC 5480).
    const header = Buffer.from('3039301306072a8648ce3d020106082a8648ce3d030107032200', 'hex')
    const der = Buffer.concat([header, Buffer.from(compressed)])
    expect(createPublicKey({ key: der, format: 'der', type: 'spki' }).asymmetricKeyType).toBe('ec')
    expect(thrown(() => parsePublicKey(Buffer.from(block('PUBLIC KEY', der)), WHAT)).code).toBe('INVALID_KEY')
  })

  it('refuses a huge file', () => {
    expect(thrown(() => parsePublicKey(Buffer.alloc(64 * 1024 + 1, 'a'), WHAT)).code).toBe('TOO_LARGE')
  })
})

function pem(type: 'ec' | 'x25519', options?: { namedCurve: string }): string {
  const { publicKey } =
    type === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: options?.namedCurve ?? 'P-256' })
      : generateKeyPairSync('x25519')
  return publicKey.export({ type: 'spki', format: 'pem' }).toString()
}

function block(label: string, content: string | Uint8Array): string {
  return `-----BEGIN ${label}-----\n${Buffer.from(content).toString('base64')}\n-----END ${label}-----\n`
}

function withTail(label: string, der: Uint8Array): string {
  return block(label, Buffer.concat([der, Buffer.from([0])]))
}

function derOf(text: string): Buffer {
  return Buffer.from(text.split('\n').slice(1, -2).join(''), 'base64')
}

function thrown(act: () => unknown): CosignetError {
  try {
    act()
  } catch (error) {
    if (error instanceof CosignetError) return error
    throw error
  }
  throw new Error('nothing was thrown')
}
