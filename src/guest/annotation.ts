import { crc32, gzipSync, inflateRawSync } from 'node:zlib'
import {
  CosignetError,
  decodeBase64,
  decodeUtf8,
  encodeBase64,
  errnoOf,
  LIMITS,
  quote,
} from '../core/index.ts'

/** Pod annotation that carries the init data: base64 of gzip of the TOML (Kata). */
export const INITDATA_ANNOTATION = 'io.katacontainers.config.hypervisor.cc_init_data'

/** The annotation of older peer pods: base64 of the TOML, not compressed. Today's shim does not read it. */
export const LEGACY_INITDATA_ANNOTATION = 'io.katacontainers.config.runtime.cc_init_data'

/** Pod annotation that carries kernel parameters. They are not bound to the evidence by the init data. */
export const KERNEL_PARAMS_ANNOTATION = 'io.katacontainers.config.hypervisor.kernel_params'

/** What Kubernetes accepts as the sum of all keys and values of an object's annotations, in bytes (apimachinery). */
export const ANNOTATIONS_BYTES_MAX = 256 * 1024

/**
 * Packs init data for the annotation: standard base64, on one line, of gzip without time or name. The digest covers
 * the TOML alone, so how it was compressed does not matter.
 */
export function encodeAnnotation(bytes: Uint8Array): string {
  const packed = gzipSync(bytes, { level: 9 })
  // zlib writes zero as the time, but also the system that it runs on; 255 is "unknown" (RFC 1952, 2.3.1).
  packed[9] = 255
  return encodeBase64(packed)
}

/**
 * Unpacks an annotation: strict base64, one gzip member, nothing after it.
 * @returns the TOML, not parsed.
 * @throws INVALID_BASE64 and INVALID_GZIP, which tell the usual mistakes apart; TOO_LARGE beyond
 * `LIMITS.initdataBytes`, before or after unpacking.
 */
export function decodeAnnotation(text: string): Uint8Array {
  // Four characters hold three bytes; what is packed is hardly larger than the same unpacked.
  if (text.length > 2 * LIMITS.initdataBytes) throw tooLarge()
  const fault = base64Fault(text)
  if (fault !== undefined)
    throw new CosignetError('INVALID_BASE64', `${WHAT} ${fault.reason}.`, { hint: fault.hint })
  return gunzip(decodeBase64(text, WHAT))
}

/**
 * Warns where the annotations come near what Kubernetes accepts.
 * @returns one sentence, or undefined where there is room.
 */
export function annotationSizeWarning(annotations: ReadonlyMap<string, string>): string | undefined {
  let size = 0
  for (const [key, value] of annotations) size += Buffer.byteLength(key) + Buffer.byteLength(value)
  if (size > ANNOTATIONS_BYTES_MAX) {
    return `The annotations take ${size} bytes; Kubernetes refuses more than ${ANNOTATIONS_BYTES_MAX}.`
  }
  if (2 * size > ANNOTATIONS_BYTES_MAX) {
    return (
      `The annotations take ${size} bytes of the ${ANNOTATIONS_BYTES_MAX} that Kubernetes accepts; "kubectl apply" ` +
      'stores a second copy in an annotation and will be refused: use "kubectl apply --server-side".'
    )
  }
  return undefined
}

const WHAT = 'The init data annotation'
const PACK_HINT = 'Pack it with: gzip < initdata.toml | base64 -w 0'

function base64Fault(text: string): { readonly reason: string; readonly hint: string } | undefined {
  if (text === '') return { reason: 'is empty', hint: PACK_HINT }
  if (/^[A-Za-z0-9+/]*={0,2}$/.test(text)) {
    if (text.length % 4 === 0) return undefined
    return { reason: 'is base64 without its padding, or cut short', hint: PACK_HINT }
  }
  if (looksLikeInitData(text)) return { reason: 'holds the TOML itself', hint: PACK_HINT }
  if (/[\r\n]/.test(text)) {
    return {
      reason: 'has line breaks, which not every shim accepts',
      hint: 'Write it on one line: base64 -w 0, and in YAML no "|" or ">".',
    }
  }
  if (/^[A-Za-z0-9_-]*={0,2}$/.test(text)) {
    return { reason: 'is base64url; the shim reads standard base64', hint: PACK_HINT }
  }
  const at = text.search(/[^A-Za-z0-9+/]/)
  return {
    reason: `is not base64: ${quote(text.charAt(at))} at character ${at + 1}`,
    hint: PACK_HINT,
  }
}

function looksLikeInitData(text: string): boolean {
  return /^[ \t]*(?:(?:version|algorithm)[ \t]*=|\[data\])/m.test(text)
}

/** Fields of the gzip header that follow its ten fixed bytes, by flag (RFC 1952, 2.3.1). */
const FLAG = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 } as const
const FIXED_HEADER = 10
const TRAILER = 8

/**
 * Unpacks one gzip member. The reader of Node would go on with a second member and skip what follows; the Go shim
 * reads all members and the Rust shim the first one, so more than one is two truths.
 */
function gunzip(packed: Uint8Array): Uint8Array {
  if (packed[0] !== 0x1f || packed[1] !== 0x8b) throw notGzip(packed)
  const body = packed.subarray(headerLength(packed))
  const { bytes, consumed } = inflate(body)
  const trailer = Buffer.from(body.subarray(consumed, consumed + TRAILER))
  if (trailer.byteLength < TRAILER) throw invalidGzip('is cut short')
  if (trailer.readUInt32LE(0) !== crc32(bytes) || trailer.readUInt32LE(4) !== bytes.byteLength) {
    throw invalidGzip('has a wrong checksum')
  }
  const rest = body.byteLength - consumed - TRAILER
  if (rest > 0) throw invalidGzip(`has ${rest} bytes after the end of its gzip member`)
  return bytes
}

function headerLength(packed: Uint8Array): number {
  const flags = packed[3] ?? 0
  if (packed[2] !== 8 || (flags & FLAG.reserved) !== 0) {
    throw invalidGzip('has a gzip header of an unknown kind')
  }
  let offset = FIXED_HEADER
  if ((flags & FLAG.extra) !== 0) {
    offset += 2 + (packed[offset] ?? 0) + 256 * (packed[offset + 1] ?? 0)
  }
  for (const flag of [FLAG.name, FLAG.comment]) {
    if ((flags & flag) === 0) continue
    const end = packed.indexOf(0, offset)
    if (end === -1) throw invalidGzip('is cut short')
    offset = end + 1
  }
  return (flags & FLAG.headerCrc) === 0 ? offset : offset + 2
}

function inflate(body: Uint8Array): { bytes: Uint8Array; consumed: number } {
  try {
    const { buffer, engine } = inflateRawSync(body, {
      info: true,
      maxOutputLength: LIMITS.initdataBytes,
    }) as unknown as { buffer: Buffer; engine: { bytesWritten: number } }
    return { bytes: buffer, consumed: engine.bytesWritten }
  } catch (error) {
    const name = errnoOf(error)
    if (name === 'ERR_BUFFER_TOO_LARGE') throw tooLarge()
    throw invalidGzip(name === 'Z_BUF_ERROR' ? 'is cut short' : 'has damaged gzip data', error)
  }
}

function notGzip(bytes: Uint8Array): CosignetError {
  const text = decodeUtf8(bytes)
  if (text !== undefined && looksLikeInitData(text)) {
    return new CosignetError('INVALID_GZIP', `${WHAT} is base64 of the TOML, not compressed.`, {
      hint: `${PACK_HINT}; only older peer pods take it plain, under ${LEGACY_INITDATA_ANNOTATION}.`,
    })
  }
  return new CosignetError('INVALID_GZIP', `${WHAT} is base64, but not of gzip.`, { hint: PACK_HINT })
}

function invalidGzip(reason: string, cause?: unknown): CosignetError {
  return new CosignetError('INVALID_GZIP', `${WHAT} ${reason}.`, { cause, hint: PACK_HINT })
}

function tooLarge(): CosignetError {
  return new CosignetError('TOO_LARGE', `${WHAT} holds more than the limit of ${LIMITS.initdataBytes} bytes.`)
}
