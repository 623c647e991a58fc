import { timingSafeEqual } from 'node:crypto'
import { CosignetError, quote } from './errors.ts'

/** Encodes as standard base64 with padding (RFC 4648, section 4). */
export function encodeBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64')
}

/** Encodes as base64url without padding (RFC 4648, section 5). */
export function encodeBase64Url(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')
}

/**
 * Decodes standard base64, padded, on one line: what does not encode back to the same text is refused.
 * @param what names the value in the message, for example "the ciphertext of the key".
 * @throws INVALID_BASE64
 */
export function decodeBase64(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) {
    throw new CosignetError('INVALID_BASE64', `${what} is not base64: ${quote(text)}.`)
  }
  return bytes
}

/**
 * Decodes base64url without padding.
 * @throws INVALID_BASE64
 */
export function decodeBase64Url(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.toString('base64url') !== text) {
    throw new CosignetError('INVALID_BASE64', `${what} is not base64url without padding: ${quote(text)}.`)
  }
  return bytes
}

/** Encodes text as UTF-8. */
export function encodeUtf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}

/**
 * Decodes UTF-8; a byte order mark is kept as a character.
 * @returns undefined if the bytes are not well-formed UTF-8.
 */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** Compares without leaking where the difference is; the lengths are not secret. */
export function constantTimeEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.byteLength === b.byteLength && timingSafeEqual(a, b)
}

/** Reads a stream into one array and refuses more than `limit` bytes. @throws TOO_LARGE */
export async function collectBytes(
  stream: AsyncIterable<Uint8Array>,
  limit: number,
  what: string,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of stream) {
    size += chunk.byteLength
    if (size > limit) {
      throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${limit} bytes.`)
    }
    chunks.push(chunk)
  }
  return Buffer.concat(chunks, size)
}

/** Bytes as a stream of one chunk. */
export async function* chunksOf(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
