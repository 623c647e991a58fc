import { generateKeyPair as generate, type KeyObject, sign } from 'node:crypto'
import { promisify } from 'node:util'
import { CosignetError, quote } from '../core/index.ts'
import { KEY_ALGORITHMS } from './algorithms.ts'
import { kindOf, type PublicKey, publicKeyOf } from './public-key.ts'

/** A private key in memory, ready to sign. */
export interface SigningKey {
  readonly publicKey: PublicKey

  /**
   * Signs a message so that `cosign verify --key` accepts it: SHA-256 with ECDSA (ASN.1 DER) and RSA (PKCS#1 v1.5), pure
   * Ed25519. The guest accepts the same for all but P-384 and P-521, see `KEY_ALGORITHMS`.
   */
  sign(message: Uint8Array): Uint8Array

  /** The private key as PKCS#8 DER, unencrypted: a secret that the caller zeroes after use. */
  exportPkcs8(): Uint8Array
}

/** Makes a key pair on the curve P-256, the only one that every verifier accepts. */
export async function generateKeyPair(): Promise<SigningKey> {
  const { privateKey } = await promisify(generate)('ec', { namedCurve: 'P-256' })
  return signingKeyOf(privateKey)
}

/** Wraps a private key object. @throws INVALID_KEY if no verifier knows its algorithm. */
export function signingKeyOf(privateKey: KeyObject): SigningKey {
  const publicKey = publicKeyOf(privateKey)
  if (publicKey === undefined) {
    throw new CosignetError(
      'INVALID_KEY',
      `The private key is of the kind ${quote(kindOf(privateKey))}, which no verifier knows.`,
    )
  }
  const hash = KEY_ALGORITHMS[publicKey.algorithm].cosignHash
  return {
    publicKey,
    sign: (message) => sign(hash === 'pure' ? null : hash, message, privateKey),
    exportPkcs8: () => privateKey.export({ type: 'pkcs8', format: 'der' }),
  }
}
