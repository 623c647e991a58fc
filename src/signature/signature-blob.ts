import {
  CosignetError,
  decodeBase64,
  encodeBase64,
  encodeUtf8,
  type JsonValue,
  LIMITS,
  parseJson,
} from '../core/index.ts'

/** A signature in a file of its own, beside an image in `dir:` or in a lookaside store; nothing in it is verified. */
export type SignatureBlob =
  /** An OpenPGP message, not parsed. */
  | { readonly kind: 'openpgp'; readonly bytes: Uint8Array }
  /** What cosign keeps as a layer. */
  | {
      readonly kind: 'sigstore'
      readonly mediaType: string
      readonly payload: Uint8Array
      readonly annotations: Readonly<Record<string, string>>
    }

const SIGSTORE_MAGIC = encodeUtf8('\0sigstore-json\n')

/**
 * First bytes of an OpenPGP message, as containers/image knows one (internal/signature/signature.go; 0x3D stands there
 * for what was meant to be 0x93).
 */
const OPENPGP_STARTS = new Set([
  0xa0, 0xa1, 0xa2, 0xa3, 0xc8, 0x90, 0x91, 0x92, 0x3d, 0xc4, 0x88, 0x89, 0x8a, 0x8b, 0xc2,
])

/**
 * Reads the framing of a signature file (containers/image, internal/signature).
 * @param what names the file in messages.
 * @throws INVALID_SIGNATURE, INVALID_JSON, INVALID_BASE64, TOO_LARGE
 */
export function decodeSignatureBlob(bytes: Uint8Array, what: string): SignatureBlob {
  if (bytes.byteLength > LIMITS.payloadBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.payloadBytes} bytes.`)
  }
  const [first] = bytes
  if (first !== undefined && OPENPGP_STARTS.has(first)) return { kind: 'openpgp', bytes }
  const head = bytes.subarray(0, SIGSTORE_MAGIC.byteLength)
  if (Buffer.compare(head, SIGSTORE_MAGIC) !== 0) {
    throw new CosignetError('INVALID_SIGNATURE', `${what} is neither an OpenPGP nor a sigstore signature.`)
  }
  const document = parseJson(bytes.subarray(SIGSTORE_MAGIC.byteLength), what)
  const { mimeType, payload, annotations = null } = (document ?? {}) as { readonly [key: string]: JsonValue }
  if (typeof mimeType !== 'string' || typeof payload !== 'string') {
    throw new CosignetError('INVALID_SIGNATURE', `${what} has no mimeType or no payload.`)
  }
  return {
    kind: 'sigstore',
    mediaType: mimeType,
    payload: decodeBase64(payload, `The payload of ${what}`),
    annotations: readAnnotations(annotations, what),
  }
}

/** Writes a signature as a file, with the keys in the order in which containers/image writes them. */
export function encodeSignatureBlob(blob: SignatureBlob): Uint8Array {
  if (blob.kind === 'openpgp') return blob.bytes
  const { mediaType, payload, annotations } = blob
  const json = JSON.stringify({ mimeType: mediaType, payload: encodeBase64(payload), annotations })
  return Buffer.concat([SIGSTORE_MAGIC, encodeUtf8(json)])
}

function readAnnotations(value: JsonValue, what: string): Readonly<Record<string, string>> {
  if (value === null) return {}
  const entries = typeof value === 'object' && !Array.isArray(value) ? Object.entries(value) : undefined
  if (entries?.every((entry): entry is [string, string] => typeof entry[1] === 'string') !== true) {
    throw new CosignetError('INVALID_SIGNATURE', `The annotations of ${what} are not an object of strings.`)
  }
  return Object.fromEntries(entries)
}
