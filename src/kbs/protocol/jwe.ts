import {
  type CipherGCMTypes,
  constants,
  createCipheriv,
  createDecipheriv,
  createHash,
  createPublicKey,
  diffieHellman,
  generateKeyPairSync,
  type JsonWebKey,
  type KeyObject,
  privateDecrypt,
  publicEncrypt,
  randomBytes,
} from 'node:crypto'
import { CosignetError, encodeBase64Url, encodeUtf8, type JsonValue, reasonOf } from '../../core/index.ts'
import { readFlattenedJwe, type UntrustedJwe } from './jwe-reader.ts'
import { readTeePublicKey, type TeeKey, type TeePublicKey } from './tee-key.ts'

/** A resource on its way to one TEE: flattened JWE (RFC 7516, section 7.2.2), every member base64url. */
export interface JweMessage {
  readonly protected: string
  readonly encrypted_key: string
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
}

const CONTENT_CIPHER: CipherGCMTypes = 'aes-256-gcm'
const WRAP_CIPHER = 'id-aes256-wrap'
const ECDH = 'ECDH-ES+A256KW'
const KEY_BYTES = 32
const IV_BYTES = 12
const TAG_BYTES = 16
/** Initial value of the AES key wrap (RFC 3394, section 2.2.3.1). */
const WRAP_IV = Buffer.alloc(8, 0xa6)

/**
 * Encrypts for a TEE as Trustee does (kbs/src/jwe/mod.rs): A256GCM under a fresh key, which goes along by
 * ECDH-ES+A256KW or RSA-OAEP-256. The guest writes the header anew to rebuild the authenticated data, so its JSON is
 * compact and its members stand in the order `alg`, `enc`, `epk{crv, kty, x, y}`, with nothing else.
 * @throws INVALID_KEY
 */
export function encryptForTee(recipient: TeePublicKey, plaintext: Uint8Array): JweMessage {
  const { publicKey, keyObject } = readTeePublicKey({ ...recipient })
  const contentKey = randomBytes(KEY_BYTES)
  const { header, encryptedKey } =
    publicKey.kty === 'RSA'
      ? wrapByRsa(keyObject, contentKey)
      : wrapByEcdh(keyObject, publicKey.crv, contentKey)
  const protectedHeader = encodeBase64Url(encodeUtf8(JSON.stringify(header)))
  const iv = randomBytes(IV_BYTES)
  const cipher = createCipheriv(CONTENT_CIPHER, contentKey, iv, { authTagLength: TAG_BYTES })
  cipher.setAAD(Buffer.from(protectedHeader, 'ascii'))
  const ciphertext = Buffer.concat([cipher.update(plaintext), cipher.final()])
  return {
    protected: protectedHeader,
    encrypted_key: encodeBase64Url(encryptedKey),
    iv: encodeBase64Url(iv),
    ciphertext: encodeBase64Url(ciphertext),
    tag: encodeBase64Url(cipher.getAuthTag()),
  }
}

/**
 * Decrypts what a KBS answered. The algorithm is the one of our own key, whatever the header says, and the
 * authenticated data is the header as it was sent.
 * @throws BAD_RESPONSE if the message is malformed, is for another key, or was changed on the way.
 */
export function decryptForTee(key: TeeKey, message: JsonValue): Uint8Array {
  const untrusted = readFlattenedJwe(message, key.publicKey)
  try {
    const contentKey =
      key.publicKey.kty === 'RSA'
        ? privateDecrypt(
            { key: key.privateKey, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
            untrusted.encryptedKey,
          )
        : unwrapByEcdh(key.privateKey, untrusted)
    const decipher = createDecipheriv(CONTENT_CIPHER, contentKey, untrusted.iv, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(untrusted.protectedHeader, 'ascii'))
    decipher.setAuthTag(untrusted.tag)
    return Buffer.concat([decipher.update(untrusted.ciphertext), decipher.final()])
  } catch (error) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The KBS answered with a resource that this TEE key cannot decrypt: ${reasonOf(error)}.`,
      { cause: error },
    )
  }
}

/**
 * The Concat KDF of RFC 7518, section 4.6.2, for keys of up to 256 bits (one round of SHA-256).
 * @param bits length of the key; a multiple of 8.
 * @param partyU `apu` and `partyV` `apv`, decoded; the KBS protocol leaves both empty.
 */
export function concatKdf(
  secret: Uint8Array,
  algorithm: string,
  bits: 128 | 192 | 256,
  partyU: Uint8Array = new Uint8Array(),
  partyV: Uint8Array = new Uint8Array(),
): Uint8Array {
  return createHash('sha256')
    .update(uint32(1))
    .update(secret)
    .update(lengthPrefixed(encodeUtf8(algorithm)))
    .update(lengthPrefixed(partyU))
    .update(lengthPrefixed(partyV))
    .update(uint32(bits))
    .digest()
    .subarray(0, bits / 8)
}

interface Wrapped {
  readonly header: { readonly [key: string]: JsonValue }
  readonly encryptedKey: Uint8Array
}

function wrapByRsa(recipient: KeyObject, contentKey: Uint8Array): Wrapped {
  return {
    header: { alg: 'RSA-OAEP-256', enc: 'A256GCM' },
    encryptedKey: publicEncrypt(
      { key: recipient, padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' },
      contentKey,
    ),
  }
}

function wrapByEcdh(recipient: KeyObject, crv: string, contentKey: Uint8Array): Wrapped {
  const ephemeral = generateKeyPairSync('ec', { namedCurve: crv })
  const { x = '', y = '' } = ephemeral.publicKey.export({ format: 'jwk' })
  const cipher = createCipheriv(WRAP_CIPHER, wrappingKey(ephemeral.privateKey, recipient), WRAP_IV)
  return {
    header: { alg: ECDH, enc: 'A256GCM', epk: { crv, kty: 'EC', x, y } },
    encryptedKey: Buffer.concat([cipher.update(contentKey), cipher.final()]),
  }
}

function unwrapByEcdh(privateKey: KeyObject, untrusted: UntrustedJwe): Uint8Array {
  const ephemeral = createPublicKey({ key: { ...untrusted.ephemeralKey } as JsonWebKey, format: 'jwk' })
  const decipher = createDecipheriv(WRAP_CIPHER, wrappingKey(privateKey, ephemeral), WRAP_IV)
  return Buffer.concat([decipher.update(untrusted.encryptedKey), decipher.final()])
}

function wrappingKey(privateKey: KeyObject, publicKey: KeyObject): Uint8Array {
  return concatKdf(diffieHellman({ privateKey, publicKey }), ECDH, 256)
}

function lengthPrefixed(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([uint32(bytes.byteLength), bytes])
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
