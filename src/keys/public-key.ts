import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { quote, reasonOf } from '../core/index.ts'
import { algorithmOf, KEY_ALGORITHMS, type KeyAlgorithm } from './algorithms.ts'
import { type ExpectedBlock, formatPem, invalidKey, type PemBlock, parsePem } from './pem.ts'

/** A public key that was read and is of a kind that some verifier knows. */
export interface PublicKey {
  readonly algorithm: KeyAlgorithm
  /** SubjectPublicKeyInfo, DER (RFC 5280, section 4.1.2.7). */
  readonly spki: Uint8Array
  /** Lower-case hex of the SHA-256 of `spki`. */
  readonly fingerprint: string
  readonly keyObject: KeyObject
}

/** PEM labels that cosign reads a public key from, and what they hold; the guest reads only SPKI. */
const ENCODINGS: Readonly<Record<string, 'spki' | 'pkcs1'>> = {
  'PUBLIC KEY': 'spki',
  'RSA PUBLIC KEY': 'pkcs1',
}

const TAKE_PUB_FILE = 'Give the .pub file that was made together with it.'

const EXPECTED: ExpectedBlock = {
  labels: Object.keys(ENCODINGS),
  kind: 'a public key',
  hints: {
    'PRIVATE KEY': 'Keep it secret; make the public key with: openssl pkey -pubout -in <file>.',
    'EC PRIVATE KEY': 'Keep it secret; make the public key with: openssl pkey -pubout -in <file>.',
    'RSA PRIVATE KEY': 'Keep it secret; make the public key with: openssl pkey -pubout -in <file>.',
    'ENCRYPTED SIGSTORE PRIVATE KEY': TAKE_PUB_FILE,
    'ENCRYPTED COSIGN PRIVATE KEY': TAKE_PUB_FILE,
    CERTIFICATE: 'Take the key out of it with: openssl x509 -pubkey -noout -in <file>.',
    'PGP PUBLIC KEY BLOCK': 'An OpenPGP key belongs into a policy requirement of the type signedBy.',
  },
}

/**
 * Reads a public key from the first PEM block of a file: `PUBLIC KEY` (SPKI) or `RSA PUBLIC KEY` (PKCS#1). What is not
 * exactly DER, or is of an algorithm without a row in `KEY_ALGORITHMS`, is refused. Follows sigstore's
 * cryptoutils.UnmarshalPEMToPublicKey.
 * @param what names the file in messages, for example "The public key cosign.pub".
 * @throws INVALID_KEY that says what the file is instead; TOO_LARGE
 */
export function parsePublicKey(bytes: Uint8Array, what: string): PublicKey {
  const block = parsePem(bytes, what, EXPECTED)
  const type = ENCODINGS[block.label] ?? 'spki'
  const keyObject = readKey(block, type, what)
  const key = publicKeyOf(keyObject)
  if (key === undefined) {
    throw invalidKey(what, `its kind ${quote(kindOf(keyObject))} is none that a verifier of images knows`)
  }
  // OpenSSL forgives odd encodings and what follows the key; Go and the guest do not. PKCS#1 is the tail of SPKI.
  const canonical = type === 'spki' ? key.spki : key.spki.subarray(-block.bytes.byteLength)
  if (!block.bytes.equals(canonical)) {
    throw invalidKey(what, 'its content is not exactly the DER encoding of a key')
  }
  if (!isPlainPoint(key)) {
    throw invalidKey(
      what,
      'its point is compressed or hybrid, or its curve has no name, which not every verifier reads',
    )
  }
  return key
}

/** OpenSSL also reads points that Go and the guest refuse (SEC 1, 2.3.4), and curves by parameters (CVE-2020-0601). */
function isPlainPoint({ algorithm, spki }: PublicKey): boolean {
  const plain = KEY_ALGORITHMS[algorithm].spki
  if (plain === undefined) return true
  return spki.byteLength === plain.bytes && spki[plain.bytes - plain.pointBytes] === UNCOMPRESSED
}

/** The first byte of an uncompressed point. */
const UNCOMPRESSED = 4

/** Writes a public key as PEM `PUBLIC KEY`, byte for byte what cosign writes to cosign.pub. */
export function formatPublicKey(key: PublicKey): string {
  return formatPem('PUBLIC KEY', key.spki)
}

/** Describes a key object, public or private; undefined if its algorithm is not in the table. */
export function publicKeyOf(key: KeyObject): PublicKey | undefined {
  const keyObject = key.type === 'private' ? createPublicKey(key) : key
  const algorithm = algorithmOf(keyObject)
  if (algorithm === undefined) return undefined
  const spki = keyObject.export({ type: 'spki', format: 'der' })
  return { algorithm, spki, fingerprint: createHash('sha256').update(spki).digest('hex'), keyObject }
}

/** Curve or key type of a key object, for messages. */
export function kindOf(key: KeyObject): string {
  return key.asymmetricKeyDetails?.namedCurve ?? key.asymmetricKeyType ?? 'unknown'
}

function readKey(block: PemBlock, type: 'spki' | 'pkcs1', what: string): KeyObject {
  try {
    return createPublicKey({ key: block.bytes, format: 'der', type })
  } catch (error) {
    throw invalidKey(what, `its content is not a public key (${reasonOf(error)})`, { cause: error })
  }
}
