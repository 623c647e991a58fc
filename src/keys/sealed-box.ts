import { createPublicKey, diffieHellman, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { CosignetError, decodeBase64Url, encodeBase64Url } from '../core/index.ts'

const KEY_BYTES = 32
const NONCE_BYTES = 24

/**
 * Encrypts a message so that only the owner of an X25519 key can open it, as `crypto_box_seal` of libsodium does: a
 * key pair made for this message, its public half in front, then NaCl's box (X25519, HSalsa20, XSalsa20-Poly1305)
 * under the nonce BLAKE2b-192 of both public keys.
 * @param recipient 32 bytes.
 * @throws INVALID_KEY if `recipient` is no point that a secret can be agreed with
 */
export async function sealBox(message: Uint8Array, recipient: Uint8Array): Promise<Uint8Array> {
  const [{ hsalsa, secretbox }, { blake2b }] = await Promise.all([
    import('@noble/ciphers/salsa.js'),
    import('@noble/hashes/blake2.js'),
  ])
  const once = generateKeyPairSync('x25519')
  const { x = '' } = once.publicKey.export({ format: 'jwk' })
  const ephemeral = decodeBase64Url(x, 'The key of the sealed box')
  const shared = agree(once.privateKey, recipient)
  const key = new Uint32Array(KEY_BYTES / 4)
  hsalsa(SIGMA, words(shared), new Uint32Array(4), key)
  const nonce = blake2b(Buffer.concat([ephemeral, recipient]), { dkLen: NONCE_BYTES })
  const secret = Buffer.from(key.buffer)
  try {
    return Buffer.concat([ephemeral, secretbox(secret, nonce).seal(message)])
  } finally {
    secret.fill(0)
    shared.fill(0)
  }
}

/** "expand 32-byte k", the constant of Salsa20. */
const SIGMA = words(Buffer.from('expand 32-byte k'))

/** A copy, as Salsa20 reads it: little-endian, which every platform of Node is. */
function words(bytes: Uint8Array): Uint32Array {
  return new Uint32Array(new Uint8Array(bytes).buffer)
}

function agree(privateKey: KeyObject, recipient: Uint8Array): Buffer {
  try {
    const jwk = { kty: 'OKP', crv: 'X25519', x: encodeBase64Url(recipient) }
    // OpenSSL refuses points of small order, with which the secret would be none.
    return diffieHellman({ privateKey, publicKey: createPublicKey({ key: jwk, format: 'jwk' }) })
  } catch (error) {
    throw new CosignetError('INVALID_KEY', 'The key to encrypt for is not an X25519 public key.', {
      cause: error,
    })
  }
}
