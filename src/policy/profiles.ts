import type { KeyAlgorithm } from '../keys/index.ts'
import type { SignedIdentity } from './policy.ts'
import type { DenialCode, ProfileName } from './verdict.ts'

/** The named rules in which verifiers differ. A profile is a row of these, never a branch in the code. */
export interface ProfileRules {
  /** What a scope with no requirement at all means. */
  readonly emptyRequirements: 'accept' | 'deny'
  /** How the key is found in a PEM file: by the rules of the guest's reader, or by those of Go's. */
  readonly keyPem: 'guest' | 'go'
  /** Public keys that are understood. */
  readonly keyAlgorithms: readonly KeyAlgorithm[]
  /** Sizes of RSA keys in bits, and exponents, that are accepted, both from and to. */
  readonly rsa: { readonly bits: readonly [number, number]; readonly exponent: readonly [bigint, bigint] }
  /** Hash under an ECDSA signature: the one that fits the curve, or always SHA-256. */
  readonly hash: 'key' | 'sha256'
  /** Identity rules that `sigstoreSigned` may carry; with another one the requirement always fails. */
  readonly identityTypes: readonly SignedIdentity['type'][]
  /** Whether every signature that names this image must pass the identity rule, or one is enough. */
  readonly identityOf: 'every' | 'one'
  /** What a layer of another media type in the signature image does: spoils all of it, or is read like the others. */
  readonly foreignLayers: 'refuse-all' | 'read'
  /** A struct of a payload that is written as a list. */
  readonly payloadLists: 'read' | 'refused'
  /** Whether the configuration of the signature image must be there, too. */
  readonly signatureConfig: 'read' | 'not-read'
  /** Signatures in the bundle format of cosign 3: not looked at, or if there are any the only ones that count. */
  readonly bundles: 'ignored' | 'first'
  /** Certificates that signatures carry beside the key: not looked at, or they must be valid, too. */
  readonly certificates: 'ignored' | 'checked'
}

export interface Profile {
  readonly name: ProfileName
  /** The program and release whose source the rules were read from. */
  readonly source: string
  readonly rules: ProfileRules
  /** What the program prints where `sigstoreSigned` fails: for any cause, and for single ones. */
  readonly texts: { readonly any: string } & Readonly<Partial<Record<DenialCode, string>>>
}

/** Every profile, by name. */
export const PROFILES: Readonly<Record<ProfileName, Profile>> = {
  guest: {
    name: 'guest',
    source: 'image-rs of guest-components 8246e5e (2026-08-20) with sigstore-rs 0.13.0',
    rules: {
      emptyRequirements: 'accept',
      keyPem: 'guest',
      keyAlgorithms: ['ecdsa-p256', 'ecdsa-p384', 'ed25519', 'rsa'],
      // Crate rsa 0.9, key.rs: MAX_SIZE, MIN_PUB_EXPONENT, MAX_PUB_EXPONENT.
      rsa: { bits: [1, 4096], exponent: [2n, 2n ** 33n - 1n] },
      hash: 'key',
      identityTypes: ['matchRepository', 'exactRepository'],
      identityOf: 'every',
      foreignLayers: 'refuse-all',
      payloadLists: 'read',
      signatureConfig: 'read',
      bundles: 'ignored',
      certificates: 'ignored',
    },
    // The cause itself shows only in the log of the guest.
    texts: { any: 'Denied by policy: rejected by `sigstoreSigned` rule' },
  },
  cosign: {
    name: 'cosign',
    source: 'cosign 3.1.2, verify --key --insecure-ignore-tlog, legacy signatures',
    rules: {
      emptyRequirements: 'deny',
      keyPem: 'go',
      keyAlgorithms: ['ecdsa-p256', 'ecdsa-p384', 'ecdsa-p521', 'ed25519', 'rsa'],
      // Go 1.24 and later, crypto/rsa: checkKeySize, checkPublicKeySize.
      rsa: { bits: [1024, 16384], exponent: [2n, 2n ** 31n - 1n] },
      hash: 'sha256',
      identityTypes: ['matchRepository', 'exactRepository'],
      identityOf: 'one',
      foreignLayers: 'read',
      payloadLists: 'refused',
      signatureConfig: 'not-read',
      bundles: 'first',
      certificates: 'checked',
    },
    texts: {
      any: 'no matching signatures',
      unsigned: 'no signatures found',
      'wrong-key': 'no matching signatures: invalid signature when validating ASN.1 encoded signature',
      'payload-changed': 'no matching signatures: invalid signature when validating ASN.1 encoded signature',
      'other-image': 'no matching signatures: invalid or missing digest in claim',
    },
  },
}
