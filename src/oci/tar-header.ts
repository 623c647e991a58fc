import { CosignetError, decodeUtf8, encodeUtf8, quote } from '../core/index.ts'

/** Bytes of a header, and what contents are padded to a multiple of. */
export const TAR_BLOCK_BYTES = 512

/** What one header says, its values as they stand in it: nothing of it is checked but that it is well formed. */
export interface TarHeader {
  readonly name: string
  /** The type flag: `0` a file, `1` a hard link, `2` a symbolic link, `5` a folder, `x` pax records, `L` a long name. */
  readonly type: string
  readonly linkName: string
  /** Bytes of the content that follows. */
  readonly size: number
}

/** Byte ranges of the fields of a header (POSIX.1-2024, pax, "ustar Interchange Format"). */
const FIELDS = {
  name: [0, 100],
  mode: [100, 108],
  owner: [108, 116],
  group: [116, 124],
  size: [124, 136],
  time: [136, 148],
  checksum: [148, 156],
  type: [156, 157],
  linkName: [157, 257],
  magic: [257, 265],
  prefix: [345, 500],
  starPrefix: [345, 476],
  starTrailer: [508, 512],
} as const

type Field = keyof typeof FIELDS

const POSIX_MAGIC = 'ustar\x0000'
const OCTAL_SIZE_MAX = 0o77777777777
/** The mode that skopeo and Docker give the members of an archive: all may read them. */
const MODE = 0o444

/**
 * Reads a header of any of the formats in use: v7, ustar, star, GNU (sizes in base 256), pax.
 * @param block 512 bytes.
 * @param what names the archive in messages, for example `The archive "a.tar"`.
 * @returns undefined for a block of zeros, which ends an archive.
 * @throws INVALID_IMAGE for a wrong checksum, a number that is none, a name that is not UTF-8
 */
export function parseTarHeader(block: Uint8Array, what: string): TarHeader | undefined {
  if (block.every((byte) => byte === 0)) return undefined
  checkChecksum(block, what)
  const name = text(block, 'name', what)
  const prefix = readPrefix(block, what)
  const type = text(block, 'type', what)
  return {
    name: prefix === '' ? name : `${prefix}/${name}`,
    type: type === '' || type === '7' ? '0' : type,
    linkName: text(block, 'linkName', what),
    size: readSize(block, what),
  }
}

/** What a header that is written says beside name and size. */
export interface TarHeaderOptions {
  /** As `TarHeader.type`. Default: `0`, a file. */
  readonly type?: string
  /** Permission bits. Default: 0444. */
  readonly mode?: number
  /** At most 0o7777777. Default: 0. */
  readonly uid?: number
  /** At most 0o7777777. Default: 0. */
  readonly gid?: number
  /** Seconds since 1970. Default: 0. */
  readonly time?: number
  /** At most 100 bytes. Default: none. */
  readonly linkName?: string
}

/**
 * Writes a header (ustar; a size of 8 GiB and more in base 256, as GNU tar and Go write it).
 * @param name at most 100 bytes.
 */
export function encodeTarHeader(name: string, size: number, options: TarHeaderOptions = {}): Uint8Array {
  const { type = '0', mode = MODE, uid = 0, gid = 0, time = 0, linkName = '' } = options
  const block = Buffer.alloc(TAR_BLOCK_BYTES)
  const put = (field: Field, value: string): void => {
    block.write(value, FIELDS[field][0], FIELDS[field][1] - FIELDS[field][0])
  }
  for (const text of [name, linkName]) {
    if (!fitsTarHeader(text)) throw new CosignetError('INTERNAL', `${quote(text)} is too long for a header.`)
  }
  put('name', name)
  put('mode', octal(mode, 8))
  put('owner', octal(uid, 8))
  put('group', octal(gid, 8))
  if (size <= OCTAL_SIZE_MAX) put('size', octal(size, 12))
  else putBase256(block, size)
  put('time', octal(time, 12))
  put('type', type)
  put('linkName', linkName)
  put('magic', POSIX_MAGIC)
  put('checksum', `${octal(sums(block).unsigned, 7)}\0 `)
  return block
}

/** Whether a name goes into a header as it is, without pax records. */
export function fitsTarHeader(name: string): boolean {
  return encodeUtf8(name).byteLength <= FIELDS.name[1]
}

/** Writes one pax record (`LENGTH KEY=VALUE\n`, where LENGTH counts itself). */
export function encodePaxRecord(key: string, value: string): Uint8Array {
  const rest = encodeUtf8(` ${key}=${value}\n`)
  let length = rest.byteLength
  while (`${length}`.length + rest.byteLength !== length) length = `${length}`.length + rest.byteLength
  return Buffer.concat([encodeUtf8(`${length}`), rest])
}

/**
 * Reads pax records. Of two with the same key the last counts.
 * @throws INVALID_IMAGE
 */
export function parsePaxRecords(bytes: Uint8Array, what: string): ReadonlyMap<string, string> {
  const records = new Map<string, string>()
  for (let offset = 0; offset < bytes.byteLength; ) {
    const head = /^([1-9][0-9]{0,6}) /.exec(
      Buffer.from(bytes.subarray(offset, offset + 8)).toString('latin1'),
    )
    const end = offset + Number(head?.[1] ?? Number.NaN)
    // Values of keys that are not read may be any bytes (SCHILY.xattr).
    const record = Buffer.from(bytes.subarray(offset + (head?.[0].length ?? 0), end))
    const equals = record.indexOf('=')
    if (!(end <= bytes.byteLength) || equals < 1 || record.at(-1) !== 0x0a) {
      throw invalid(what, 'it has a pax header that is malformed')
    }
    const value = record.subarray(equals + 1, -1)
    records.set(record.toString('latin1', 0, equals), decodeUtf8(value) ?? value.toString('latin1'))
    offset = end
  }
  return records
}

/** How many zeros follow a content of `size` bytes. */
export function tarPadding(size: number): number {
  return (TAR_BLOCK_BYTES - (size % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
}

function readPrefix(block: Uint8Array, what: string): string {
  if (Buffer.from(field(block, 'magic')).toString('latin1', 0, 6) !== 'ustar\0') return ''
  const isStar = Buffer.from(field(block, 'starTrailer')).toString('latin1') === 'tar\0'
  return text(block, isStar ? 'starPrefix' : 'prefix', what)
}

function checkChecksum(block: Uint8Array, what: string): void {
  const expected = number(block, 'checksum')
  const { unsigned, signed } = sums(block)
  // Some old tars added the bytes up as signed numbers.
  if (expected !== unsigned && expected !== signed) {
    throw invalid(what, 'it is no tar file, or it is damaged (the checksum of a header is wrong)')
  }
}

/** Sums of all bytes, those of the checksum itself taken as spaces. */
function sums(block: Uint8Array): { unsigned: number; signed: number } {
  const [start, end] = FIELDS.checksum
  let unsigned = 0
  let signed = 0
  for (let i = 0; i < TAR_BLOCK_BYTES; i += 1) {
    const byte = i >= start && i < end ? 0x20 : (block[i] ?? 0)
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  return { unsigned, signed }
}

function readSize(block: Uint8Array, what: string): number {
  const size = number(block, 'size')
  if (size === undefined) throw invalid(what, 'a header has a size that is no number')
  return size
}

function number(block: Uint8Array, name: 'size' | 'checksum'): number | undefined {
  const bytes = Buffer.from(field(block, name))
  if ((bytes[0] ?? 0) >= 0x80) {
    // Base 256: the top bit marks it, the next one would make it negative.
    const value = BigInt(`0x${bytes.toString('hex')}`) - (0x80n << BigInt(8 * (bytes.byteLength - 1)))
    return value > BigInt(Number.MAX_SAFE_INTEGER) ? undefined : Number(value)
  }
  const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(bytes.toString('latin1'))?.[1]
  return digits === undefined ? undefined : Number.parseInt(`0${digits}`, 8)
}

function text(block: Uint8Array, name: Field, what: string): string {
  const bytes = field(block, name)
  const end = bytes.indexOf(0)
  const value = decodeUtf8(end === -1 ? bytes : bytes.subarray(0, end))
  if (value === undefined) throw invalid(what, `a header has a ${name} that is not UTF-8 text`)
  return value
}

function field(block: Uint8Array, name: Field): Uint8Array {
  return block.subarray(...FIELDS[name])
}

function octal(value: number, width: number): string {
  return value.toString(8).padStart(width - 1, '0')
}

function putBase256(block: Buffer, size: number): void {
  const [start, end] = FIELDS.size
  block[start] = 0x80
  block.writeBigUInt64BE(BigInt(size), end - 8)
}

function invalid(what: string, reason: string): CosignetError {
  return new CosignetError('INVALID_IMAGE', `${what} is not valid: ${reason}.`)
}
