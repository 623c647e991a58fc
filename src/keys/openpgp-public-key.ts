import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto'
import { encodeBase64Url } from '../core/index.ts'
import { ALGORITHM_NAMES, CURVES, type OpenPgpAlgorithm, PUBLIC_KEY_NUMBERS } from './openpgp-algorithms.ts'
import { ByteReader } from './openpgp-packets.ts'
import { toHex } from './openpgp-signature.ts'

/** A public key or subkey packet of version 4. */
export interface OpenPgpKeyMaterial {
  /** 40 characters of upper-case hex: SHA-1 of the packet (RFC 9580, section 5.5.4.2). */
  readonly fingerprint: string
  /** The last 16 characters of the fingerprint. */
  readonly keyId: string
  readonly algorithm: OpenPgpAlgorithm
  /** Number of the algorithm (RFC 9580, section 9.1). */
  readonly algorithmNumber: number
  /** For people: `RSA-3072`, `Ed25519`, `DSA`. */
  readonly algorithmName: string
  readonly created: Date
  /** Undefined if signatures of this key cannot be verified here. */
  readonly keyObject: KeyObject | undefined
  /** The packet as it is hashed into signatures on it. */
  readonly hashable: Uint8Array
}

/**
 * Reads the body of a public key packet of version 4; what follows the public part in a secret key is not looked at.
 * @param what names the file in messages.
 * @throws INVALID_SIGNATURE if it is malformed or of another version.
 */
export function parseKeyMaterial(body: Uint8Array, what: string): OpenPgpKeyMaterial {
  const reader = new ByteReader(body, what)
  const version = reader.uint(1)
  if (version !== 4) reader.fail(`a key is of version ${version}, and only version 4 is read`)
  const created = new Date(reader.uint(4) * 1000)
  const algorithmNumber = reader.uint(1)
  const material = readMaterial(reader, algorithmNumber)
  const packet = body.subarray(0, body.byteLength - reader.left)
  const hashable = Buffer.concat([
    Uint8Array.of(0x99, packet.byteLength >> 8, packet.byteLength & 0xff),
    packet,
  ])
  const fingerprint = toHex(createHash('sha1').update(hashable).digest())
  return { fingerprint, keyId: fingerprint.slice(-16), algorithmNumber, created, hashable, ...material }
}

type Material = Pick<OpenPgpKeyMaterial, 'algorithm' | 'algorithmName' | 'keyObject'>

function readMaterial(reader: ByteReader, algorithm: number): Material {
  switch (algorithm) {
    case PUBLIC_KEY_NUMBERS.rsa:
    case PUBLIC_KEY_NUMBERS.rsaSign: {
      const [n, e] = [reader.mpi(), reader.mpi()]
      const jwk = { kty: 'RSA', n: encodeBase64Url(n), e: encodeBase64Url(e) }
      return usable('rsa', `RSA-${bitLength(n)}`, jwk)
    }
    case PUBLIC_KEY_NUMBERS.ecdsa:
    case PUBLIC_KEY_NUMBERS.eddsaLegacy:
      return readCurve(reader, algorithm)
    default: {
      // Not read: its secret part, if there is one, could not be told from the public one anyway.
      reader.rest()
      const algorithmName = ALGORITHM_NAMES[algorithm] ?? `algorithm ${algorithm}`
      return { algorithm: 'other', algorithmName, keyObject: undefined }
    }
  }
}

function readCurve(reader: ByteReader, algorithm: number): Material {
  const curve = CURVES[Buffer.from(reader.take(reader.uint(1))).toString('hex')]
  const point = reader.mpi()
  const isEdwards = algorithm === PUBLIC_KEY_NUMBERS.eddsaLegacy
  const unusable = { algorithm: 'other', keyObject: undefined } as const
  const name = ALGORITHM_NAMES[algorithm] ?? ''
  if (curve === undefined || isEdwards !== (curve.algorithm === 'ed25519')) {
    return { ...unusable, algorithmName: `${name} on an unknown curve` }
  }
  const algorithmName = isEdwards ? 'Ed25519' : `ECDSA ${curve.jwk}`
  const prefix = isEdwards ? NATIVE_POINT : UNCOMPRESSED_POINT
  const coordinates = isEdwards ? 1 : 2
  if (point[0] !== prefix || point.byteLength !== 1 + coordinates * curve.bytes) {
    return { ...unusable, algorithmName: `${algorithmName} with a malformed point` }
  }
  const x = encodeBase64Url(point.subarray(1, 1 + curve.bytes))
  const jwk = isEdwards
    ? { kty: 'OKP', crv: curve.jwk, x }
    : { kty: 'EC', crv: curve.jwk, x, y: encodeBase64Url(point.subarray(1 + curve.bytes)) }
  return usable(curve.algorithm, algorithmName, jwk)
}

/** First bytes of a point: with both coordinates (SEC 1), and as EdDSA has it (RFC 9580, section 11.2). */
const UNCOMPRESSED_POINT = 0x04
const NATIVE_POINT = 0x40

/** Numbers that are no key, a point that is not on its curve for example, make one that verifies nothing. */
function usable(algorithm: OpenPgpAlgorithm, algorithmName: string, jwk: JsonWebKey): Material {
  try {
    return { algorithm, algorithmName, keyObject: createPublicKey({ key: jwk, format: 'jwk' }) }
  } catch {
    return { algorithm: 'other', algorithmName, keyObject: undefined }
  }
}

function bitLength(number: Uint8Array): number {
  return number.byteLength === 0 ? 0 : number.byteLength * 8 - Math.clz32(number[0] ?? 0) + 24
}
