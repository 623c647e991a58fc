import type { KeyAlgorithm } from './algorithms.ts'

/** What a verifier makes of signatures by a kind of key. */
export interface KeyAcceptance {
  /** Whether it accepts what this tool signs with such a key. */
  readonly accepts: boolean
  /** Why not, or what else to know, as the rest of a sentence. */
  readonly note?: string
  /** Where it was read, or how it was seen. */
  readonly source: string
}

/** A verifier of images, by the releases that do alike. */
export interface KeyVerifier {
  readonly name: string
  readonly keys: Readonly<Record<KeyAlgorithm | 'openpgp', KeyAcceptance>>
}

const GUEST_P256 = 'guest-components v0.18.0, image-rs/src/signature/policy/cosign/mod.rs, line 168'
const GUEST_ANY = 'guest-components fdcc6cd, and sigstore-rs 0.13.0, crypto/verification_key.rs, try_from_der'
const GUEST_OPENPGP = 'image-rs/src/signature/policy/simple/verify.rs'
const COSIGN = 'sigstore, signature.LoadVerifier with SHA-256; seen with cosign 2.2.4, 2.5.0 and 3.1.1'
const CONTAINERS = 'containers/image, signature/internal/sigstore_payload.go, sigstoreHarcodedHashAlgorithm'

const onlyP256: KeyAcceptance = { accepts: false, note: 'it reads P-256 keys alone', source: GUEST_P256 }
const seen: KeyAcceptance = { accepts: true, source: COSIGN }
const taken: KeyAcceptance = { accepts: true, source: CONTAINERS }
const noOpenPgp: KeyAcceptance = {
  accepts: false,
  note: 'it reads no OpenPGP signatures',
  source: 'cosign, pkg/cosign/verify.go',
}

/** What cosign signs with some keys since 2.6, and does not verify unless it is told the hash. */
function trap(hash: string, issue: string): KeyAcceptance {
  return {
    accepts: true,
    note: `but what it signs itself with such a key (${hash}) it does not verify: ${issue}`,
    source: `cosign 3.1.1, pkg/cosign/keys.go, LoadPrivateKey; seen; ${issue}`,
  }
}

/**
 * Who verifies what this tool signs with which kind of key, in the order in which they are shown. Signatures are over
 * SHA-256, or pure Ed25519, see `KEY_ALGORITHMS`. A guest is named by its release of guest-components.
 */
export const KEY_VERIFIERS: readonly KeyVerifier[] = [
  {
    name: 'CoCo guest up to v0.18 (before 2026-04-08)',
    keys: {
      'ecdsa-p256': { accepts: true, source: GUEST_P256 },
      'ecdsa-p384': onlyP256,
      'ecdsa-p521': onlyP256,
      rsa: onlyP256,
      ed25519: onlyP256,
      openpgp: {
        accepts: true,
        note: 'with the primary key alone, and of compressed messages alone, as gpg writes them',
        source: `guest-components v0.18.0, ${GUEST_OPENPGP}, path_ref(&[0, 0])`,
      },
    },
  },
  {
    name: 'CoCo guest since v0.19',
    keys: {
      'ecdsa-p256': { accepts: true, source: GUEST_ANY },
      'ecdsa-p384': {
        accepts: false,
        note: 'it wants SHA-384 with such a key, and cosign and podman SHA-256',
        source: GUEST_ANY,
      },
      'ecdsa-p521': { accepts: false, note: 'it cannot read such a key', source: GUEST_ANY },
      rsa: { accepts: true, source: GUEST_ANY },
      ed25519: { accepts: true, source: GUEST_ANY },
      openpgp: {
        accepts: true,
        note: 'with the primary key alone; v0.19 of compressed messages alone',
        source: `guest-components v0.19.0 and v0.20.0, ${GUEST_OPENPGP}, pubkey.primary_key`,
      },
    },
  },
  {
    name: 'cosign up to v2.5',
    keys: {
      'ecdsa-p256': seen,
      'ecdsa-p384': seen,
      'ecdsa-p521': seen,
      rsa: seen,
      ed25519: seen,
      openpgp: noOpenPgp,
    },
  },
  {
    name: 'cosign v2.6 and v3',
    keys: {
      'ecdsa-p256': seen,
      'ecdsa-p384': trap('SHA-384', 'cosign#5091'),
      'ecdsa-p521': trap('SHA-512', 'cosign#5091'),
      rsa: seen,
      ed25519: trap('Ed25519ph', 'cosign#5063'),
      openpgp: noOpenPgp,
    },
  },
  {
    name: 'podman, CRI-O, skopeo',
    keys: {
      'ecdsa-p256': taken,
      'ecdsa-p384': taken,
      'ecdsa-p521': taken,
      rsa: taken,
      ed25519: taken,
      openpgp: { accepts: true, source: 'containers/image, signature/mechanism_gpgme.go' },
    },
  },
  {
    name: 'gpg 2.2',
    keys: {
      ...everyKind({ accepts: false, note: 'it reads OpenPGP keys alone', source: 'RFC 4880' }),
      openpgp: { accepts: true, source: 'RFC 4880; seen with gpg 2.2.40' },
    },
  },
]

function everyKind(acceptance: KeyAcceptance): Record<KeyAlgorithm, KeyAcceptance> {
  return {
    'ecdsa-p256': acceptance,
    'ecdsa-p384': acceptance,
    'ecdsa-p521': acceptance,
    rsa: acceptance,
    ed25519: acceptance,
  }
}
