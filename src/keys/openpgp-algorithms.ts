/** A hash by the name that node:crypto knows it by. */
export type OpenPgpHash =
  | 'md5'
  | 'sha1'
  | 'ripemd160'
  | 'sha256'
  | 'sha384'
  | 'sha512'
  | 'sha224'
  | 'sha3-256'
  | 'sha3-512'

/** Hash algorithms by their number (RFC 9580, section 9.5). */
export const HASH_ALGORITHMS: Readonly<Record<number, OpenPgpHash>> = {
  1: 'md5',
  2: 'sha1',
  3: 'ripemd160',
  8: 'sha256',
  9: 'sha384',
  10: 'sha512',
  11: 'sha224',
  12: 'sha3-256',
  14: 'sha3-512',
}

/** A kind of OpenPGP key by which signatures are verified here; `other` is listed and verifies nothing. */
export type OpenPgpAlgorithm = 'rsa' | 'ed25519' | 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'other'

/** Numbers of public key algorithms (RFC 9580, section 9.1) that sign. */
export const PUBLIC_KEY_NUMBERS = { rsa: 1, rsaSign: 3, dsa: 17, ecdsa: 19, eddsaLegacy: 22 } as const

/** Numbers in a signature of an algorithm; of one that is not listed nothing is known, so all is taken for one. */
export const SIGNATURE_NUMBERS: Readonly<Record<number, number>> = { 16: 2, 17: 2, 19: 2, 22: 2 }

/** What algorithms are called where a key cannot be used here. */
export const ALGORITHM_NAMES: Readonly<Record<number, string>> = {
  1: 'RSA',
  2: 'RSA for encryption only',
  3: 'RSA for signatures only',
  16: 'Elgamal',
  17: 'DSA',
  18: 'ECDH',
  19: 'ECDSA',
  22: 'EdDSA',
  25: 'X25519',
  26: 'X448',
  27: 'Ed25519 of RFC 9580',
  28: 'Ed448',
}

/** Elliptic curves by their object identifier in hex (RFC 9580, section 9.2). */
export const CURVES: Readonly<
  Record<
    string,
    {
      readonly algorithm: OpenPgpAlgorithm
      readonly jwk: string
      readonly bytes: number
      readonly bits: number
    }
  >
> = {
  '2a8648ce3d030107': { algorithm: 'ecdsa-p256', jwk: 'P-256', bytes: 32, bits: 256 },
  '2b81040022': { algorithm: 'ecdsa-p384', jwk: 'P-384', bytes: 48, bits: 384 },
  '2b81040023': { algorithm: 'ecdsa-p521', jwk: 'P-521', bytes: 66, bits: 521 },
  '2b06010401da470f01': { algorithm: 'ed25519', jwk: 'Ed25519', bytes: 32, bits: 256 },
}
