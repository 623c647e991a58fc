import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  addImage,
  attach,
  judge,
  judgeByKeys,
  makeKey,
  pemOf,
  signed,
} from '../../test/fixtures/judged-image.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { isCosignetError } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import type { Digest } from '../oci/index.ts'
import type { ProfileName } from './index.ts'

const KEY = makeKey()
const PEM = pemOf(KEY)
const OTHER = pemOf(makeKey())
const RSA = makeKey('rsa')
const PKCS1 = RSA.publicKey.keyObject.export({ type: 'pkcs1', format: 'pem' }).toString()

/** Whether the verifier finds the key in this file, by a good signature of it. */
async function finds(bytes: string | Uint8Array, profile: ProfileName, key = KEY): Promise<boolean> {
  const store = new MemoryImageStore()
  const manifestDigest = await addImage(store)
  await attach(store, manifestDigest, [signed(key, manifestDigest)])
  if (profile === 'cosign') return (await outcomeByKey(bytes, store, manifestDigest)) === 'allowed'
  const verdict = await judge({
    store,
    manifestDigest,
    requirements: [{ type: 'sigstoreSigned', keyPath: '/key.pub' }],
    resources: async () => ({ outcome: 'found', bytes: Buffer.from(bytes) }),
  })
  return verdict.outcome === 'allowed'
}

describe('the key of a requirement', () => {
  // What the guest makes of each was tried with the crates pem 3.0.6 and rsa 0.9.10 that it locks.
  it.each<[string, string | Uint8Array, boolean, boolean]>([
    ['as cosign writes it', PEM, true, true],
    ['with CR LF', PEM.replaceAll('\n', '\r\n'), true, true],
    ['without the last newline', PEM.trimEnd(), true, true],
    ['after text', `# our key\n${PEM}`, true, true],
    ['before another key', PEM + OTHER, true, true],
    ['after another key', OTHER + PEM, false, false],
    ['before bytes that are no text', Buffer.concat([Buffer.from(PEM), Buffer.from([0xff])]), true, true],
    ['with a blank line before the end', PEM.replace('\n-----END', '\n\n-----END'), false, true],
    ['with a blank line within', PEM.replace(/(.{64}\n)/, '$1\n'), false, true],
    ['under another label', PEM.replaceAll('PUBLIC KEY', 'KEY'), true, false],
    ['with a header', PEM.replace('KEY-----\n', 'KEY-----\nA: b\n\n'), true, false],
    ['that begins within a line', `x ${PEM}`, true, false],
    ['with a dash too many', `-${PEM}`, false, false],
    ['that ends under another label', PEM.replace('END PUBLIC', 'END RSA PUBLIC'), false, false],
    ['that has no end', PEM.slice(0, PEM.indexOf('-----END')), false, false],
    ['that is empty', '', false, false],
  ])('%s', async (_, bytes, guest, cosign) => {
    expect(await finds(bytes, 'guest')).toBe(guest)
    expect(await finds(bytes, 'cosign')).toBe(cosign)
  })

  it('reads PKCS#1 for cosign alone', async () => {
    expect(await finds(PKCS1, 'cosign', RSA)).toBe(true)
    expect(await finds(PKCS1, 'guest', RSA)).toBe(false)
    expect(await finds(pemOf(RSA), 'guest', RSA)).toBe(true)
  })

  it('takes the first of two keys by the rules of the guest, which sees a beginning within a line', async () => {
    const both = `x ${PEM}${OTHER}`
    expect(parsePublicKey(Buffer.from(both), 'The key').spki).toEqual(
      parsePublicKey(Buffer.from(OTHER), 'The key').spki,
    )
    expect(await finds(both, 'guest')).toBe(true)
    expect(await finds(both, 'cosign')).toBe(false)
  })

  it.each<[string, string, string]>([
    [
      'a private key',
      `-----BEGIN PRIVATE KEY-----\nMC4C\n-----END PRIVATE KEY-----\n`,
      'it is an unencrypted private key, not a public key',
    ],
    [
      'a certificate',
      `-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n`,
      'it is a certificate, not a public key',
    ],
    ['base64 of a key', Buffer.from(PEM).toString('base64'), 'it is the base64 of a PEM file'],
    ['PKCS#1', PKCS1, 'the guest cannot read its PEM block, which other programs can'],
    ['a blank line', PEM.replace('\n-----END', '\n\n-----END'), 'the guest cannot read its PEM block'],
  ])('says what the file is instead: %s', async (_, keyData, reason) => {
    const store = new MemoryImageStore()
    const requirements = [{ type: 'sigstoreSigned', keyData }]
    const manifestDigest = await addImage(store)
    expect(await judge({ store, manifestDigest, requirements })).toMatchObject({
      cause: { code: 'key-invalid', message: expect.stringContaining(reason) },
    })
  })

  it('refuses a key that spells out its curve (CVE-2020-0601)', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256', paramEncoding: 'explicit' })
    const pem = publicKey.export({ type: 'spki', format: 'pem' }).toString()
    expect(await reasonFor(pem, 'guest')).toBe('key-invalid')
    expect(await reasonFor(pem, 'cosign')).toBe('key-invalid')
  })

  it.each<[string, number, number, string, string]>([
    ['4096 bits', 4096, 65537, 'unsigned', 'unsigned'],
    ['4104 bits', 4104, 65537, 'key-invalid', 'unsigned'],
    ['1016 bits', 1016, 65537, 'unsigned', 'key-invalid'],
    ['the exponent 3', 2048, 3, 'unsigned', 'unsigned'],
    ['the exponent 1', 2048, 1, 'key-invalid', 'key-invalid'],
    ['an even exponent', 2048, 4, 'key-invalid', 'key-invalid'],
    ['an exponent of 32 bits', 2048, 2 ** 32 + 1, 'unsigned', 'key-invalid'],
    ['an exponent of 34 bits', 2048, 2 ** 33 + 1, 'key-invalid', 'key-invalid'],
  ])('an RSA key of %s', async (_, bits, exponent, guest, cosign) => {
    const pem = rsaPem(bits, exponent)
    expect(await reasonFor(pem, 'guest')).toBe(guest)
    expect(await reasonFor(pem, 'cosign')).toBe(cosign)
  })
})

/** The code of the denial for an image without signatures: `unsigned` if the key itself was taken. */
async function reasonFor(keyData: string, profile: ProfileName): Promise<string | undefined> {
  const store = new MemoryImageStore()
  const manifestDigest = await addImage(store)
  if (profile === 'cosign') return await outcomeByKey(keyData, store, manifestDigest)
  const requirements = [{ type: 'sigstoreSigned', keyData }]
  const verdict = await judge({ store, manifestDigest, requirements })
  return verdict.outcome === 'denied' ? verdict.cause.code : undefined
}

/** `allowed`, the code of the denial by a key that is given as a file, or `key-invalid` if it is not taken. */
async function outcomeByKey(
  bytes: string | Uint8Array,
  store: MemoryImageStore,
  digest: Digest,
): Promise<string> {
  try {
    const key = parsePublicKey(Buffer.from(bytes), 'The key')
    const keys = [{ kind: 'cosign', key, name: 'The key' } as const]
    const verdict = await judgeByKeys({ source: store, digest, keys })
    return verdict.outcome === 'denied' ? verdict.cause.code : 'allowed'
  } catch (error) {
    if (isCosignetError(error, 'INVALID_KEY')) return 'key-invalid'
    throw error
  }
}

/** An RSA public key of any size and exponent; that nobody has the private key does not matter here. */
function rsaPem(bits: number, exponent: number): string {
  const n = Buffer.alloc(bits / 8, 0xff).toString('base64url')
  const hex = exponent.toString(16)
  const e = Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex').toString('base64url')
  const key = createPublicKey({ key: { kty: 'RSA', n, e }, format: 'jwk' })
  return key.export({ type: 'spki', format: 'pem' }).toString()
}
