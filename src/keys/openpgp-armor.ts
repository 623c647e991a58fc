import { decodeUtf8, encodeBase64 } from '../core/index.ts'
import { invalidKey } from './pem.ts'

/** What an armored block holds, as its first line calls it. */
export type ArmorLabel = 'PGP PUBLIC KEY BLOCK' | 'PGP PRIVATE KEY BLOCK'

/** An armored block, decoded. */
export interface ArmoredBlock {
  readonly label: string
  readonly bytes: Uint8Array
}

/**
 * Decodes ASCII armor (RFC 9580, section 6): exactly one block, text around it is ignored, its checksum is compared if
 * it has one.
 * @param what names the file in messages, for example "The key release.asc".
 * @returns undefined if the bytes are not armored: their first one is that of a packet.
 * @throws INVALID_KEY
 */
export function decodeArmor(bytes: Uint8Array, what: string): ArmoredBlock | undefined {
  if (((bytes[0] ?? 0) & 0x80) !== 0) return undefined
  const lines = (decodeUtf8(bytes) ?? '').split('\n').map((line) => line.trimEnd())
  const begins = lines.filter((line) => BEGIN.test(line)).length
  if (begins === 0) fail(what, 'it is neither an armored nor a binary OpenPGP key')
  if (begins > 1) fail(what, `it has ${begins} armored blocks, of which many programs read only the first`)
  const begin = lines.findIndex((line) => BEGIN.test(line))
  const label = BEGIN.exec(lines[begin] ?? '')?.[1] ?? ''
  const end = lines.indexOf(`-----END ${label}-----`, begin)
  const start = lines.indexOf('', begin)
  if (end === -1 || start === -1 || start > end) fail(what, 'its armor is damaged or was cut short')
  return { label, bytes: decodeContent(lines.slice(start + 1, end), what) }
}

const BEGIN = /^-----BEGIN (PGP [A-Z ]{1,40})-----$/

function decodeContent(lines: readonly string[], what: string): Uint8Array {
  const last = lines.at(-1)
  const checksum = last?.startsWith('=') === true ? last.slice(1) : undefined
  const base64 = (checksum === undefined ? lines : lines.slice(0, -1)).join('')
  const content = Buffer.from(base64, 'base64')
  if (content.toString('base64') !== base64) fail(what, 'its armor does not hold plain base64')
  if (checksum !== undefined && checksum !== checksumOf(content)) {
    fail(what, 'the checksum of its armor does not match, so it was damaged')
  }
  return content
}

/** Writes ASCII armor as gpg does: 64 columns, with a checksum. */
export function encodeArmor(label: ArmorLabel, bytes: Uint8Array): string {
  const lines = encodeBase64(bytes).match(/.{1,64}/g) ?? []
  return [
    `-----BEGIN ${label}-----`,
    '',
    ...lines,
    `=${checksumOf(bytes)}`,
    `-----END ${label}-----`,
    '',
  ].join('\n')
}

/** CRC-24 as base64 (RFC 9580, section 6.1). */
function checksumOf(bytes: Uint8Array): string {
  let crc = 0xb704ce
  for (const byte of bytes) {
    crc ^= byte << 16
    for (let bit = 0; bit < 8; bit += 1) {
      crc <<= 1
      if ((crc & 0x1000000) !== 0) crc ^= 0x1864cfb
    }
  }
  return encodeBase64(Uint8Array.of((crc >> 16) & 0xff, (crc >> 8) & 0xff, crc & 0xff))
}

function fail(what: string, reason: string): never {
  throw invalidKey(what, reason)
}
