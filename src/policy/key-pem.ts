import { decodeUtf8 } from '../core/index.ts'

/**
 * Finds the content of the first PEM block in a key file as the guest does (Rust crate pem 3, `parser.rs`), which is
 * not as OpenSSL and Go do: any label will do, the block may begin within a line, and what stands before a blank line
 * is taken for headers, so that a blank line in or after the base64 spoils the file.
 * @returns undefined where the guest finds no block, or no base64 in it.
 */
export function guestPemContent(bytes: Uint8Array): Buffer | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  const [, afterBegin] = cut(text, '-----BEGIN ') ?? []
  const [begin, afterLabel] = cut(afterBegin, '-----') ?? []
  const [payload, afterEnd] = cut(afterLabel?.replace(/^[ \t\n\r]*/, ''), '-----END ') ?? []
  const [end] = cut(afterEnd, '-----') ?? []
  if (payload === undefined || begin === undefined || begin === '' || begin !== end) return undefined
  const [headers, data] = cut(payload, '\n\n') ?? cut(payload, '\r\n\r\n') ?? ['', payload]
  const utf8 = [begin, headers, data].map(utf8Of)
  if (utf8.includes(undefined) || !linesOf(headers).every((line) => line.includes(':'))) return undefined
  const base64 = utf8[2]?.replace(/\p{White_Space}/gu, '') ?? ''
  const content = Buffer.from(base64, 'base64')
  return content.toString('base64') === base64 ? content : undefined
}

/** Splits at the first marker; one that begins within a false start (`------BEGIN `) is not seen. */
function cut(text: string | undefined, marker: string): readonly [string, string] | undefined {
  let found = 0
  for (let i = 0; text !== undefined && i < text.length; i += 1) {
    found = text[i] === marker[found] ? found + 1 : 0
    if (found === marker.length) return [text.slice(0, i + 1 - found), text.slice(i + 1)]
  }
  return undefined
}

function linesOf(text: string): readonly string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split('\n')
}

function utf8Of(latin1: string): string | undefined {
  return decodeUtf8(Buffer.from(latin1, 'latin1'))
}
