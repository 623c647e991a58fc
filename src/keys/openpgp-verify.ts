import { createHash, verify } from 'node:crypto'
import { constantTimeEqual } from '../core/index.ts'
import { CURVES } from './openpgp-algorithms.ts'
import type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
import type { OpenPgpSignature } from './openpgp-signature.ts'

/**
 * Verifies that a key made a signature over content, and nothing else: not whether the key may sign, has expired or was
 * revoked, nor what type the signature has. A malformed signature, or one with a hash that is too short for the curve,
 * is one that does not verify, so it never throws for what a stranger sent.
 * @param content what is signed, as the type of the signature has it hashed; the trailer is added here.
 */
export function verifyOpenPgpSignature(
  key: OpenPgpKeyMaterial,
  signature: OpenPgpSignature,
  content: readonly Uint8Array[],
): boolean {
  const { hash, numbers, trailer } = signature
  const { keyObject, algorithm } = key
  if (hash === undefined || keyObject === undefined) return false
  const message = Buffer.concat([...content, trailer])
  if (algorithm === 'rsa') {
    const modulusBytes = Math.ceil((keyObject.asymmetricKeyDetails?.modulusLength ?? 0) / 8)
    const value = padded(numbers, 1, modulusBytes)
    return value !== undefined && verify(hash, message, keyObject, value)
  }
  const curve = Object.values(CURVES).find((each) => each.algorithm === algorithm)
  const value = curve === undefined ? undefined : padded(numbers, 2, curve.bytes)
  if (curve === undefined || value === undefined) return false
  const digest = createHash(hash).update(message).digest()
  // EdDSA of OpenPGP signs the hash, not the content (RFC 9580, section 5.2.3.3).
  if (algorithm === 'ed25519') return verify(null, digest, keyObject, value)
  if (digest.byteLength * 8 < Math.min(curve.bits, 512)) return false
  return verify(hash, message, { key: keyObject, dsaEncoding: 'ieee-p1363' }, value)
}

/** Whether the two bytes of the hash that a signature shows, unsigned, are those of the content. */
export function hashStartMatches(signature: OpenPgpSignature, content: readonly Uint8Array[]): boolean {
  if (signature.hash === undefined) return false
  const digest = createHash(signature.hash)
    .update(Buffer.concat([...content, signature.trailer]))
    .digest()
  return constantTimeEqual(digest.subarray(0, 2), signature.hashStart)
}

/** The numbers of a signature side by side, each as long as the key has it; undefined if one is longer. */
function padded(numbers: readonly Uint8Array[], count: number, bytes: number): Uint8Array | undefined {
  if (numbers.length !== count || numbers.some((number) => number.byteLength > bytes)) return undefined
  return Buffer.concat(
    numbers.map((number) => Buffer.concat([Buffer.alloc(bytes - number.byteLength), number])),
  )
}
