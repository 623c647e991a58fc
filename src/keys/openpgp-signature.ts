import { isCosignetError } from '../core/index.ts'
import { HASH_ALGORITHMS, type OpenPgpHash, SIGNATURE_NUMBERS } from './openpgp-algorithms.ts'
import { ByteReader, readLength } from './openpgp-packets.ts'

/** One subpacket of a signature (RFC 9580, section 5.2.3.7). */
export interface Subpacket {
  /** Without the bit that says whether it is critical; 0, which nothing uses, for one that is empty. */
  readonly type: number
  readonly critical: boolean
  readonly body: Uint8Array
}

/** A signature packet of version 4, as it was read: nothing in it is verified, and `unhashed` never will be. */
export interface OpenPgpSignature {
  /** What is signed and how it is hashed (RFC 9580, section 5.2.1): 0 a message, 1 a text, 0x10 to 0x13 a user ID. */
  readonly type: number
  /** Number of the public key algorithm. */
  readonly keyAlgorithm: number
  /** Number of the hash algorithm. */
  readonly hashNumber: number
  /** Undefined if it is none that is computed here. */
  readonly hash: OpenPgpHash | undefined
  /** What the signature covers. */
  readonly hashed: readonly Subpacket[]
  /** What anybody can change. */
  readonly unhashed: readonly Subpacket[]
  /** The first two bytes of the hash; not signed. */
  readonly hashStart: Uint8Array
  /** One number for RSA, two for the others; without zeros before them. */
  readonly numbers: readonly Uint8Array[]
  /** What follows the signed content when it is hashed. */
  readonly trailer: Uint8Array
  /** Bytes that follow the numbers: gpg skips them, the guest refuses them. */
  readonly surplus: number
}

/** Types of subpackets by what they say (RFC 9580, section 5.2.3.7). */
export const SUBPACKETS = {
  created: 2,
  expires: 3,
  keyExpires: 9,
  issuer: 16,
  keyFlags: 27,
  embeddedSignature: 32,
  issuerFingerprint: 33,
} as const

/**
 * Reads the body of a signature packet of version 4.
 * @param what names the signature in messages, for example "The signature".
 * @throws INVALID_SIGNATURE if it is malformed or of another version.
 */
export function parseOpenPgpSignature(body: Uint8Array, what: string): OpenPgpSignature {
  const reader = new ByteReader(body, what)
  const version = reader.uint(1)
  if (version !== 4) reader.fail(`a signature is of version ${version}, and only version 4 is read`)
  const type = reader.uint(1)
  const keyAlgorithm = reader.uint(1)
  const hashNumber = reader.uint(1)
  const hashed = readSubpackets(readArea(reader), what)
  const signed = body.subarray(0, body.byteLength - reader.left)
  const unhashed = readSubpackets(readArea(reader), what)
  const hashStart = reader.take(2)
  const numbers = Array.from({ length: SIGNATURE_NUMBERS[keyAlgorithm] ?? 1 }, () => reader.mpi())
  return {
    type,
    keyAlgorithm,
    hashNumber,
    hash: HASH_ALGORITHMS[hashNumber],
    hashed,
    unhashed,
    hashStart,
    numbers,
    trailer: Buffer.concat([signed, encodeTrailerEnd(signed.byteLength)]),
    surplus: reader.left,
  }
}

/** Whether bytes are the body of a signature packet that `parseOpenPgpSignature` reads. */
export function isOpenPgpSignature(body: Uint8Array): boolean {
  return tryParseSignature(body) !== undefined
}

/** Reads the body of a signature packet; undefined for one that is malformed or of another version than 4. */
export function tryParseSignature(body: Uint8Array): OpenPgpSignature | undefined {
  try {
    return parseOpenPgpSignature(body, 'The signature')
  } catch (error) {
    if (isCosignetError(error, 'INVALID_SIGNATURE')) return undefined
    throw error
  }
}

/** The end of what is hashed: the version, 0xff, and how much of the signature packet was hashed before. */
export function encodeTrailerEnd(length: number): Uint8Array {
  const end = Buffer.from([4, 0xff, 0, 0, 0, 0])
  end.writeUInt32BE(length, 2)
  return end
}

/** When a signature says that it was made; undefined if it does not. Only what is signed counts. */
export function creationTime(signature: OpenPgpSignature): Date | undefined {
  const seconds = secondsIn(signature, SUBPACKETS.created)
  return seconds === undefined ? undefined : new Date(seconds * 1000)
}

/** Seconds that a signed subpacket of this type holds; undefined if there is none. */
export function secondsIn({ hashed }: OpenPgpSignature, type: number): number | undefined {
  const body = hashed.find((subpacket) => subpacket.type === type)?.body
  return body === undefined || body.byteLength < 4 ? undefined : Buffer.from(body).readUInt32BE(0)
}

/**
 * When what began at `start` ends; undefined for never, which is no time or one of zero. Times of OpenPGP have 32 bits:
 * what would end after 2106 ends in the past for gpg, and so it does here.
 */
export function endOf(start: Date, seconds: number | undefined): Date | undefined {
  if (seconds === undefined || seconds === 0) return undefined
  return new Date(((start.getTime() / 1000 + seconds) % 2 ** 32) * 1000)
}

/** Fingerprint of the key that a signature says it is by, in upper-case hex; only what is signed counts. */
export function issuerFingerprint({ hashed }: OpenPgpSignature): string | undefined {
  return hashed.map(fingerprintIn).find((fingerprint) => fingerprint !== undefined)
}

/** ID of the key that a signature says it is by, in upper-case hex; mostly it is not signed. */
export function issuerKeyId({ hashed, unhashed }: OpenPgpSignature): string | undefined {
  return [...hashed, ...unhashed].map(keyIdIn).find((keyId) => keyId !== undefined)
}

/** The fingerprint of version 4 in a subpacket. */
export function fingerprintIn({ type, body }: Subpacket): string | undefined {
  const isFingerprint = type === SUBPACKETS.issuerFingerprint && body.byteLength === 21 && body[0] === 4
  return isFingerprint ? toHex(body.subarray(1)) : undefined
}

/** The key ID in a subpacket. */
export function keyIdIn({ type, body }: Subpacket): string | undefined {
  return type === SUBPACKETS.issuer && body.byteLength >= 8 ? toHex(body.subarray(0, 8)) : undefined
}

/** Upper-case hex, as fingerprints and key IDs are written. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex').toUpperCase()
}

/**
 * Whether a subpacket that the signer calls critical is one that gpg 2.2 does not know; such a signature is bad for it,
 * wherever the subpacket stands (parse-packet.c, can_handle_critical).
 */
export function hasCriticalUnknownToGpg({ hashed, unhashed }: OpenPgpSignature): boolean {
  return [...hashed, ...unhashed].some(({ type, critical, body }) => critical && !isKnownToGpg(type, body))
}

const KNOWN_TO_GPG: readonly number[] = [
  2, 3, 4, 5, 6, 7, 9, 11, 12, 16, 21, 22, 24, 25, 26, 27, 29, 30, 32, 33,
]
const NOTATION = 20
const KEY_BLOCK = 38
const NOTATIONS_KNOWN_TO_GPG: readonly string[] = [
  'preferred-email-encoding@pgp.com',
  'pka-address@gnupg.org',
]

function isKnownToGpg(type: number, body: Uint8Array): boolean {
  if (type === KEY_BLOCK) return body[0] === 0
  if (type !== NOTATION) return KNOWN_TO_GPG.includes(type)
  const name = Buffer.from(body).subarray(8, 8 + 256 * (body[4] ?? 0) + (body[5] ?? 0))
  return NOTATIONS_KNOWN_TO_GPG.includes(name.toString('latin1'))
}

/** Gpg takes no more of subpackets, signed or not (parse-packet.c, parse_signature). */
const AREA_BYTES_MAX = 10_000

function readArea(reader: ByteReader): Uint8Array {
  const size = reader.uint(2)
  if (size > AREA_BYTES_MAX) reader.fail(`a signature has more than ${AREA_BYTES_MAX} bytes of subpackets`)
  return reader.take(size)
}

function readSubpackets(area: Uint8Array, what: string): readonly Subpacket[] {
  const reader = new ByteReader(area, what)
  const subpackets: Subpacket[] = []
  while (reader.left > 0) {
    // Subpackets know no parts: 224 to 254 begin a length of two bytes as 192 does.
    const size = readLength(reader, reader.uint(1))
    // gpg steps over an empty one, unless the next byte looks like the type of something critical.
    if (size === 0) {
      const isLast = reader.left === 0
      if (isLast || ((area.at(-reader.left) ?? 0) & CRITICAL) !== 0) reader.fail('a subpacket has no type')
      subpackets.push({ type: 0, critical: false, body: new Uint8Array() })
      continue
    }
    const type = reader.uint(1)
    subpackets.push({
      type: type & ~CRITICAL,
      critical: (type & CRITICAL) !== 0,
      body: reader.take(size - 1),
    })
  }
  return subpackets
}

const CRITICAL = 0x80
