import type { KeyAlgorithm } from '../keys/index.ts'
import type { DenialCode, ProfileName } from './verdict.ts'

/** The named rules in which verifiers differ. A profile is a row of these, never a branch in the code. */
export interface ProfileRules {
  /** Public keys that are understood. */
  readonly keyAlgorithms: readonly KeyAlgorithm[]
  /** Sizes of RSA keys in bits, and exponents, that are accepted, both from and to. */
  readonly rsa: { readonly bits: readonly [number, number]; readonly exponent: readonly [bigint, bigint] }
  /** Hash under an ECDSA signature: the one that fits the curve, or always SHA-256. */
  readonly hash: 'key' | 'sha256'
  /** A struct of a payload that is written as a list. */
  readonly payloadLists: 'read' | 'refused'
}

export interface Profile {
  readonly name: ProfileName
  /** The program and release whose source the rules were read from. */
  readonly source: string
  readonly rules: ProfileRules
  /** What the program prints where a signature is missing: for any cause, and for single ones. */
  readonly texts: { readonly any: string } & Readonly<Partial<Record<DenialCode, string>>>
}

/** Every profile, by name. */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  guest: {
    name: 'guest',
    source: 'image-rs of guest-components 8246e5e (2026-08-20) with sigstore-rs 0.13.0',
    rules: {
      keyAlgorithms: ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa'],
      // Crate rsa 0.9, key.rs: MAX_SIZE, MIN_PUB_EXPONENT, MAX_PUB_EXPONENT.
      rsa: { bits: [1, 4096], exponent: [2n, 2n ** 33n - 1n] },
      hash: 'key',
      payloadLists: 'read',
    },
    // The cause itself shows only in the log of the guest.
    texts: { any: 'Denied by policy: rejected by `sigstoreSigned` rule' },
  },
  cosign: {
    name: 'cosign',
    source: 'cosign 3.1.2, verify --key',
    rules: {
      keyAlgorithms: ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'ed25519', 'rsa'],
      // Go 1.24 and later, crypto/rsa: checkKeySize, checkPublicKeySize.
      rsa: { bits: [1024, 16384], exponent: [2n, 2n ** 31n - 1n] },
      hash: 'sha256',
      payloadLists: 'refused',
    },
    texts: {
      any: 'no matching signatures',
      unsigned: 'no signatures found',
      'wrong-key': 'no matching signatures: invalid signature when validating ASN.1 encoded signature',
      'payload-changed': 'no matching signatures: invalid signature when validating ASN.1 encoded signature',
      'other-image': 'no matching signatures: invalid or missing digest in claim',
      'annotation-mismatch': 'no matching signatures: missing or incorrect annotation',
    },
  },
}
