import type { KeyObject } from 'node:crypto'

/** A kind of public key that a verifier of image signatures knows. */
export type KeyAlgorithm = 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'rsa' | 'ed25519'

/** How a message is hashed before it is signed; `pure` is Ed25519 without a hash of ours (RFC 8032). */
export type SignatureHash = 'sha256' | 'sha384' | 'sha512' | 'pure'

interface AlgorithmFacts {
  /** What Node calls the key type. */
  readonly keyType: 'ec' | 'rsa' | 'ed25519'
  /** What OpenSSL calls the curve. */
  readonly curve?: string
  /** Bytes of the SPKI with the curve by its name and an uncompressed point, and of that point. */
  readonly spki?: { readonly bytes: number; readonly pointBytes: number }
  /** Hash by which the guest verifies; undefined where it cannot read such a key. */
  readonly guestHash?: SignatureHash
  /** Hash by which `cosign verify --key` verifies unless it is told another. */
  readonly cosignHash: SignatureHash
}

/**
 * What verifiers make of each kind of key. ECDSA signatures are ASN.1 DER, RSA ones PKCS#1 v1.5. Only P-256 and RSA
 * verify everywhere: a P-384 signature over SHA-256 passes cosign and not the guest, one over SHA-384 the reverse.
 * Sources: sigstore-rs 0.13, crypto/verification_key.rs, try_from_der; sigstore, signature.LoadVerifier; seen with cosign
 * 2.2.4, 2.5.0 and 3.1.1, attachments and bundles. What cosign 3 itself signs with P-384, P-521 and Ed25519 it refuses.
 */
export const KEY_ALGORITHMS: Readonly<Record<KeyAlgorithm, AlgorithmFacts>> = {
  'ecdsa-p256': {
    keyType: 'ec',
    curve: 'prime256v1',
    spki: { bytes: 91, pointBytes: 65 },
    guestHash: 'sha256',
    cosignHash: 'sha256',
  },
  'ecdsa-p384': {
    keyType: 'ec',
    curve: 'secp384r1',
    spki: { bytes: 120, pointBytes: 97 },
    guestHash: 'sha384',
    cosignHash: 'sha256',
  },
  'ecdsa-p521': {
    keyType: 'ec',
    curve: 'secp521r1',
    spki: { bytes: 158, pointBytes: 133 },
    cosignHash: 'sha256',
  },
  rsa: { keyType: 'rsa', guestHash: 'sha256', cosignHash: 'sha256' },
  ed25519: { keyType: 'ed25519', guestHash: 'pure', cosignHash: 'pure' },
}

/** Finds the algorithm of a key, public or private; undefined for a kind or curve that the table does not list. */
export function algorithmOf(key: KeyObject): KeyAlgorithm | undefined {
  const curve = key.asymmetricKeyDetails?.namedCurve
  const names = Object.keys(KEY_ALGORITHMS) as KeyAlgorithm[]
  return names.find((name) => {
    const facts = KEY_ALGORITHMS[name]
    return facts.keyType === key.asymmetricKeyType && facts.curve === curve
  })
}
