import { verify } from 'node:crypto'
import { KEY_ALGORITHMS, type SignatureHash } from './algorithms.ts'
import type { PublicKey } from './public-key.ts'

/**
 * Verifies a signature over a message: ECDSA as strict ASN.1 DER without anything after it, RSA PKCS#1 v1.5, pure
 * Ed25519. A malformed signature is one that does not verify, so it never throws for what a stranger sent.
 * @param hash how the message was hashed. Default: as `cosign verify --key` does. A hash that does not go with the key
 * (`pure` with ECDSA, SHA-256 with Ed25519) verifies nothing.
 */
export function verifySignature(
  key: PublicKey,
  message: Uint8Array,
  signature: Uint8Array,
  hash: SignatureHash = KEY_ALGORITHMS[key.algorithm].cosignHash,
): boolean {
  if ((hash === 'pure') !== (key.algorithm === 'ed25519')) return false
  return verify(hash === 'pure' ? null : hash, message, key.keyObject, signature)
}
