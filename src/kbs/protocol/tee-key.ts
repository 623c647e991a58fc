import { createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import { CosignetError, decodeBase64Url, isCosignetError, type JsonValue, quote } from '../../core/index.ts'

/**
 * Public half of the key that a TEE makes for itself, as it goes over the wire (kbs-types 0.18, `TeePubKey`): a JWK
 * with the members below and no other.
 */
export type TeePublicKey =
  | {
      readonly kty: 'EC'
      readonly crv: 'P-256' | 'P-521'
      readonly alg: 'ECDH-ES+A256KW'
      readonly x: string
      readonly y: string
    }
  | { readonly kty: 'RSA'; readonly alg: 'RSA-OAEP-256'; readonly n: string; readonly e: string }

/** The key of one TEE: who holds the private half reads what the KBS answers. */
export interface TeeKey {
  readonly publicKey: TeePublicKey
  readonly privateKey: KeyObject
}

/** Kinds of TEE key that a guest may be configured with (kbs_protocol, `TeeKeyAlgorithm`); its default is `P-256`. */
export type TeeKeyKind = 'P-256' | 'P-521' | 'RSA'

/** Bytes of a coordinate, by curve. Trustee refuses any other length. */
const COORDINATE_BYTES: Readonly<Record<string, number>> = { 'P-256': 32, 'P-521': 66 }
const RSA_BITS = { made: 3072, least: 2048, most: 8192 } as const
/** Longer exponents only make the server compute. */
const RSA_EXPONENT_BYTES_MAX = 8

const generate = promisify(generateKeyPair)

/** Makes a new TEE key. */
export async function generateTeeKey(kind: TeeKeyKind = 'P-256'): Promise<TeeKey> {
  const { publicKey, privateKey } =
    kind === 'RSA'
      ? await generate('rsa', { modulusLength: RSA_BITS.made })
      : await generate('ec', { namedCurve: kind })
  const jwk = publicKey.export({ format: 'jwk' })
  const alg = kind === 'RSA' ? 'RSA-OAEP-256' : 'ECDH-ES+A256KW'
  return { publicKey: readTeePublicKey({ ...jwk, alg } as JsonValue).publicKey, privateKey }
}

/**
 * Checks a TEE public key of the other side: a supported kind, coordinates of the exact length and on the curve, an
 * RSA modulus of 2048 to 8192 bits. Members that it does not need are left out, as Trustee leaves them out before it
 * computes the report data.
 * @throws INVALID_KEY
 */
export function readTeePublicKey(value: JsonValue): { publicKey: TeePublicKey; keyObject: KeyObject } {
  const publicKey = readMembers(value)
  const keyObject = importJwk(publicKey)
  const bits = keyObject.asymmetricKeyDetails?.modulusLength
  if (bits !== undefined && (bits < RSA_BITS.least || bits > RSA_BITS.most)) {
    throw invalid(`its modulus has ${bits} bits, not ${RSA_BITS.least} to ${RSA_BITS.most}`)
  }
  return { publicKey, keyObject }
}

function readMembers(value: JsonValue): TeePublicKey {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalid('it is not an object')
  const jwk = value as { readonly [key: string]: JsonValue }
  const text = (member: string): string => {
    const found = jwk[member]
    if (typeof found !== 'string') throw invalid(`${quote(member)} is not a string`)
    return found
  }
  const [kty, alg] = [text('kty'), text('alg')]
  if (kty === 'RSA' && alg === 'RSA-OAEP-256') {
    const [n, e] = [text('n'), text('e')]
    decode(n, 'n')
    if (decode(e, 'e').byteLength > RSA_EXPONENT_BYTES_MAX) throw invalid('its exponent is too long')
    return { kty, alg, n, e }
  }
  const crv = kty === 'EC' ? text('crv') : undefined
  if ((crv === 'P-256' || crv === 'P-521') && alg === 'ECDH-ES+A256KW') {
    const [x, y] = [text('x'), text('y')]
    const length = COORDINATE_BYTES[crv]
    if (decode(x, 'x').byteLength !== length || decode(y, 'y').byteLength !== length) {
      throw invalid(`its coordinates do not have the ${length} bytes of ${crv}`)
    }
    return { kty: 'EC', crv, alg, x, y }
  }
  throw invalid(`${quote([kty, crv, alg].filter((part) => part !== undefined).join(' '))} is not supported`)
}

function decode(text: string, member: string): Uint8Array {
  try {
    return decodeBase64Url(text, member)
  } catch (error) {
    if (!isCosignetError(error)) throw error
    throw invalid(`${quote(member)} is not base64url without padding`)
  }
}

function importJwk(publicKey: TeePublicKey): KeyObject {
  try {
    return createPublicKey({ key: { ...publicKey } as JsonWebKey, format: 'jwk' })
  } catch (error) {
    throw invalid('it is not a valid public key', error)
  }
}

function invalid(reason: string, cause?: unknown): CosignetError {
  return new CosignetError('INVALID_KEY', `The TEE public key cannot be used: ${reason}.`, { cause })
}
