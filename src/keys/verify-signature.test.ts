import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import {
  KEY_ALGORITHMS,
  type PublicKey,
  parsePublicKey,
  type SignatureHash,
  verifySignature,
} from './index.ts'

const message = Buffer.from('a payload')
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const ed25519 = generateKeyPairSync('ed25519')

describe('verifySignature', () => {
  it.each<[string, { publicKey: KeyObject; privateKey: KeyObject }, SignatureHash]>([
    ['P-256', p256, 'sha256'],
    ['P-384', p384, 'sha256'],
    ['P-384', p384, 'sha384'],
    ['P-521', p521, 'sha256'],
    ['P-521', p521, 'sha512'],
    ['RSA', rsa, 'sha256'],
    ['Ed25519', ed25519, 'pure'],
  ])('verifies %s with %3$s and nothing else', (_, { publicKey, privateKey }, hash) => {
    const key = keyOf(publicKey)
    const signature = sign(hash === 'pure' ? null : hash, message, privateKey)
    const hashes: readonly SignatureHash[] = ['sha256', 'sha384', 'sha512', 'pure']
    expect(hashes.filter((each) => verifySignature(key, message, signature, each))).toEqual([hash])
    expect(verifySignature(key, Buffer.from('another'), signature, hash)).toBe(false)
    expect(verifySignature(key, message, signature)).toBe(hash === KEY_ALGORITHMS[key.algorithm].cosignHash)
  })

  it('verifies with no other key', () => {
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey
    expect(verifySignature(keyOf(other), message, sign('sha256', message, p256.privateKey))).toBe(false)
  })

  const good = sign('sha256', message, p256.privateKey)
  it.each<[string, Uint8Array]>([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('signature')],
    ['a byte too many', Buffer.concat([good, Buffer.from([0])])],
    ['a byte too few', good.subarray(0, -1)],
    ['a long form of the length', Buffer.concat([Buffer.from([0x30, 0x81]), good.subarray(1)])],
    ['r and s without DER', sign('sha256', message, { key: p256.privateKey, dsaEncoding: 'ieee-p1363' })],
    ['r and s of zero', Buffer.from('3006020100020100', 'hex')],
    ['a megabyte', Buffer.alloc(1024 * 1024, 0x30)],
  ])('takes %s for a signature that does not verify', (_, signature) => {
    const keys = [p256, p384, rsa, ed25519].map(({ publicKey }) => keyOf(publicKey))
    expect(keys.map((key) => verifySignature(key, message, signature))).toEqual([false, false, false, false])
  })
})

function keyOf(publicKey: KeyObject): PublicKey {
  return parsePublicKey(Buffer.from(publicKey.export({ type: 'spki', format: 'pem' })), 'The key')
}
