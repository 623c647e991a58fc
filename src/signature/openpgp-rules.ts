import type { OpenPgpHash } from '../keys/index.ts'

/** The rules by which verifiers of OpenPGP messages differ. */
export interface OpenPgpRules {
  /** The program whose source the rules were read from and that they were tried against. */
  readonly source: string
  /** Keys that may have signed: the primary key, or a bound signing subkey too. */
  readonly keys: 'primary' | 'primary-and-subkeys'
  /** Whether expiry, revocation, flags and self-signatures of the key, and the times of the signature, are looked at. */
  readonly keyState: 'checked' | 'ignored'
  /** How the key is found: by the issuer that the signature names, or any that the signature does not contradict. */
  readonly issuer: 'named' | 'not-contradicted'
  /** What the one-pass signature before the text must name rightly: the hash, or the ID of the key. */
  readonly onePass: 'hash' | 'key-id'
  /** Hashes that are taken. */
  readonly hashes: readonly OpenPgpHash[]
  /** Least bits of a hash that Ed25519 may sign. */
  readonly ed25519HashBits: number
  /** The line ends in what was signed as text: as they stand, or each as CR LF. */
  readonly text: 'as-it-stands' | 'crlf'
  /** The two bytes of the hash that a signature shows. */
  readonly hashStart: 'ignored' | 'compared'
  /** Bytes after the numbers of a signature. */
  readonly surplus: 'ignored' | 'refused'
  /** Whose reader of subpackets counts: which must be known, and what form they must have. */
  readonly subpackets: OpenPgpVerifier
}

/** Whose rules a message is verified by: gpg 2.2 as podman and skopeo use it, or the guest. */
export type OpenPgpVerifier = 'gpg' | 'guest'

/** The rules, by verifier. */
export const OPENPGP_RULES: Readonly<Record<OpenPgpVerifier, OpenPgpRules>> = {
  gpg: {
    source:
      'gpg 2.2.40 (g10/mainproc.c, sig-check.c), as containers/image asks it (signature/mechanism_gpgme.go)',
    keys: 'primary-and-subkeys',
    keyState: 'checked',
    issuer: 'named',
    onePass: 'hash',
    // MD5 is weak for it; SHA-1 is not, and SHA-3 it does not know.
    hashes: ['sha1', 'ripemd160', 'sha224', 'sha256', 'sha384', 'sha512'],
    ed25519HashBits: 0,
    text: 'as-it-stands',
    hashStart: 'ignored',
    surplus: 'ignored',
    subpackets: 'gpg',
  },
  guest: {
    source:
      'image-rs of guest-components 8246e5e (2026-08-20), signature/policy/simple/verify.rs, with rPGP 0.20.0',
    keys: 'primary',
    keyState: 'ignored',
    issuer: 'not-contradicted',
    onePass: 'key-id',
    hashes: ['md5', 'sha1', 'ripemd160', 'sha224', 'sha256', 'sha384', 'sha512', 'sha3-256', 'sha3-512'],
    ed25519HashBits: 256,
    text: 'crlf',
    hashStart: 'compared',
    surplus: 'refused',
    subpackets: 'guest',
  },
}
