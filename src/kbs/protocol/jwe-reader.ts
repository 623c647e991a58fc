import {
  CosignetError,
  decodeBase64Url,
  isCosignetError,
  type JsonValue,
  parseJson,
  quote,
} from '../../core/index.ts'
import type { TeePublicKey } from './tee-key.ts'

/** A flattened JWE taken apart, its header checked against the key that it should be for; nothing is decrypted. */
export interface UntrustedJwe {
  /** As it was sent: the authenticated data is its ASCII bytes. */
  readonly protectedHeader: string
  /** For an EC key; on the curve only once it is imported. */
  readonly ephemeralKey:
    | { readonly kty: 'EC'; readonly crv: string; readonly x: string; readonly y: string }
    | undefined
  readonly encryptedKey: Uint8Array
  readonly iv: Uint8Array
  readonly ciphertext: Uint8Array
  readonly tag: Uint8Array
}

type JsonObject = { readonly [key: string]: JsonValue }

/** Header members that change what the message means. The guest ignores them; we refuse them (RFC 7516, section 4). */
const REFUSED_HEADER = ['crit', 'zip', 'apu', 'apv'] as const

/**
 * Takes a flattened JWE apart.
 * @param recipient decides which `alg` and which curve the header must name.
 * @throws BAD_RESPONSE
 */
export function readFlattenedJwe(message: JsonValue, recipient: TeePublicKey): UntrustedJwe {
  const members = object(message, 'the message')
  if (
    members['aad'] !== undefined ||
    members['header'] !== undefined ||
    members['unprotected'] !== undefined
  ) {
    throw invalid('it has parts that the KBS protocol does not use')
  }
  const protectedHeader = string(members['protected'], 'protected')
  const header = readHeader(protectedHeader)
  for (const [name, expected] of [
    ['alg', recipient.alg],
    ['enc', 'A256GCM'],
  ] as const) {
    if (header[name] !== expected) throw invalid(`its header does not have ${quote(name)} ${quote(expected)}`)
  }
  const iv = bytes(members['iv'], 'iv')
  const tag = bytes(members['tag'], 'tag')
  if (iv.byteLength !== 12) throw invalid('its iv does not have 12 bytes')
  if (tag.byteLength !== 16) throw invalid('its tag does not have 16 bytes')
  return {
    protectedHeader,
    ephemeralKey: recipient.kty === 'EC' ? readEphemeralKey(header['epk'], recipient.crv) : undefined,
    encryptedKey: bytes(members['encrypted_key'], 'encrypted_key'),
    iv,
    ciphertext: bytes(members['ciphertext'], 'ciphertext'),
    tag,
  }
}

function readHeader(protectedHeader: string): JsonObject {
  let header: JsonValue
  try {
    header = parseJson(decodeBase64Url(protectedHeader, 'The header'), 'The header')
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_BASE64', 'INVALID_JSON')) throw error
    throw invalid('its header is not base64url of JSON', error)
  }
  const members = object(header, 'its header')
  for (const name of REFUSED_HEADER) {
    if (members[name] !== undefined) throw invalid(`its header has ${quote(name)}`)
  }
  return members
}

function readEphemeralKey(value: JsonValue | undefined, crv: string): UntrustedJwe['ephemeralKey'] {
  const key = object(value, 'epk')
  if (key['kty'] !== 'EC' || key['crv'] !== crv) throw invalid(`its epk is not an EC key on ${crv}`)
  return { kty: 'EC', crv, x: string(key['x'], 'epk.x'), y: string(key['y'], 'epk.y') }
}

function object(value: JsonValue | undefined, what: string): JsonObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value))
    throw invalid(`${what} is not an object`)
  return value as JsonObject
}

function string(value: JsonValue | undefined, what: string): string {
  if (typeof value !== 'string') throw invalid(`${what} is not a string`)
  return value
}

function bytes(value: JsonValue | undefined, what: string): Uint8Array {
  const text = string(value, what)
  try {
    return decodeBase64Url(text, what)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_BASE64')) throw error
    // Without the text itself: it is long, and belongs to a secret.
    throw invalid(`${what} is not base64url without padding`)
  }
}

function invalid(reason: string, cause?: unknown): CosignetError {
  return new CosignetError('BAD_RESPONSE', `The KBS answered with a JWE that is not valid: ${reason}.`, {
    cause,
  })
}
