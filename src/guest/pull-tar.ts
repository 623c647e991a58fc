import { CosignetError } from '../core/index.ts'

const BLOCK = 512
/** A PAX header larger than this is no file's. */
const PAX_BYTES_MAX = 1024 * 1024

const UNREADABLE = 'Failed to read entries from the tar'

/** Kinds of entries by their flag (POSIX pax, GNU tar). */
const REGULAR: ReadonlySet<string> = new Set(['0', '\0', '7'])
const EXTENSIONS: ReadonlySet<string> = new Set(['x', 'L', 'K'])

/**
 * Reads a tar as it passes and finds where the guest's reader would stop (astral-tokio-tar as image-rs sets it up):
 * checksums, numbers, PAX records, entries that are cut short. Zero blocks anywhere are skipped and the end of the
 * stream is the end of the archive. Whether its entries can be unpacked (links, paths, whiteouts) is not checked.
 */
export class TarReader {
  readonly #block = Buffer.alloc(BLOCK)
  #filled = 0
  #data = 0
  #padding = 0
  #isFile = false
  /** An extension header that no entry has followed yet. */
  #pending = false
  #paxChunks: Buffer[] | undefined
  #pax: ReadonlyMap<string, string> = new Map()

  /**
   * Takes the next bytes.
   * @returns the guest's words for what is wrong, or undefined.
   * @throws UNSUPPORTED for kinds of entries that are not judged
   */
  update(chunk: Uint8Array): string | undefined {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength)
    for (let offset = 0; offset < bytes.byteLength; ) {
      if (this.#data > 0) {
        const part = bytes.subarray(offset, offset + this.#data)
        this.#paxChunks?.push(part)
        this.#data -= part.byteLength
        offset += part.byteLength
      } else if (this.#padding > 0) {
        const length = Math.min(this.#padding, bytes.byteLength - offset)
        this.#padding -= length
        offset += length
      } else {
        const copied = bytes.copy(this.#block, this.#filled, offset, offset + BLOCK - this.#filled)
        this.#filled += copied
        offset += copied
        if (this.#filled === BLOCK) {
          this.#filled = 0
          const fault = this.#header(this.#block)
          if (fault !== undefined) return fault
        }
      }
      if (this.#data === 0 && this.#paxChunks !== undefined) {
        const fault = this.#endPax(this.#paxChunks)
        if (fault !== undefined) return fault
      }
    }
    return undefined
  }

  /** The guest's words for an end, or a failure to read on, at this place; undefined where an archive may end. */
  end(): string | undefined {
    const cut = this.#data > 0 || this.#padding > 0 || this.#filled > 0 || this.#pending
    return cut ? this.failure() : undefined
  }

  /** The guest's words where the stream breaks off at this place. */
  failure(): string {
    return this.#data > 0 && this.#isFile ? 'Failed to unpack layer to destination' : UNREADABLE
  }

  #header(block: Buffer): string | undefined {
    if (block.every((byte) => byte === 0)) return this.#pending ? UNREADABLE : undefined
    const flag = block.toString('latin1', 156, 157)
    if (numberIn(block, 148, 8) !== checksumOf(block)) return UNREADABLE
    refuseUnjudged(flag, block)
    const isExtension = EXTENSIONS.has(flag)
    const pax = isExtension ? new Map<string, string>() : this.#pax
    const size = fieldOf(block, 124, 12, pax.get('size'))
    if (size === undefined) return UNREADABLE
    if (!isExtension) {
      const fault = ownerFault(block, pax)
      if (fault !== undefined) return fault
      this.#pax = new Map()
    }
    this.#pending = isExtension
    this.#isFile = REGULAR.has(flag)
    this.#data = size
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK
    if (flag === 'x') {
      if (size > PAX_BYTES_MAX) throw unjudged('a PAX header that is too large to be judged')
      this.#paxChunks = []
    }
    return undefined
  }

  #endPax(chunks: readonly Buffer[]): string | undefined {
    this.#paxChunks = undefined
    const records = readPax(Buffer.concat(chunks))
    if (records === undefined) return UNREADABLE
    this.#pax = records
    return undefined
  }
}

function refuseUnjudged(flag: string, block: Buffer): void {
  if (flag === 'S') throw unjudged('a sparse file')
  if (flag === 'g') throw unjudged('a global PAX header')
  // "ustar", NUL, and a version of two NULs: neither POSIX nor GNU.
  if (block.toString('latin1', 257, 265) === 'ustar\0\0\0') throw unjudged('a header of no known version')
}

function unjudged(what: string): CosignetError {
  return new CosignetError(
    'UNSUPPORTED',
    `A layer has ${what}; what the guest makes of it is not judged yet.`,
  )
}

/** The guest needs owner and time of every entry, and 32 bits for the owner. */
function ownerFault(block: Buffer, pax: ReadonlyMap<string, string>): string | undefined {
  const uid = fieldOf(block, 108, 8, pax.get('uid'))
  if (uid === undefined || uid >= 2 ** 32) return 'Failed to get a legal UID of the file'
  const gid = fieldOf(block, 116, 8, pax.get('gid'))
  if (gid === undefined || gid >= 2 ** 32) return 'Failed to get a legal GID of the file'
  return fieldOf(block, 136, 12) === undefined ? 'Failed to get a legal mtime of the file' : undefined
}

function fieldOf(block: Buffer, offset: number, length: number, pax?: string): number | undefined {
  if (pax !== undefined) return /^[0-9]{1,15}$/.test(pax) ? Number(pax) : undefined
  const first = block[offset] ?? 0
  if ((first & 0x80) === 0) return numberIn(block, offset, length)
  // Binary, GNU's form for large numbers: the last eight bytes count.
  const value = block.readBigUInt64BE(offset + length - 8) & (length === 8 ? 2n ** 63n - 1n : 2n ** 64n - 1n)
  return Number(value)
}

/** An octal number, up to the first NUL, between spaces. */
function numberIn(block: Buffer, offset: number, length: number): number | undefined {
  const text = block
    .toString('latin1', offset, offset + length)
    .replace(/\0.*$/s, '')
    .trim()
  return /^\+?[0-7]+$/.test(text) ? Number.parseInt(text, 8) : undefined
}

/** Sum of the bytes of a header, its checksum taken as spaces. */
function checksumOf(block: Buffer): number {
  let sum = 8 * 32
  for (let i = 0; i < BLOCK; i += 1) if (i < 148 || i >= 156) sum += block[i] ?? 0
  return sum
}

/** Reads `length key=value` lines; undefined where they are not such. */
function readPax(bytes: Buffer): ReadonlyMap<string, string> | undefined {
  const records = new Map<string, string>()
  for (let offset = 0; offset < bytes.byteLength; ) {
    const match = /^([0-9]{1,9}) ([^=]+)=/s.exec(bytes.toString('latin1', offset, offset + 512))
    const [head = '', length = '', key = ''] = match ?? []
    const end = offset + Number(length)
    if (match === null || end > bytes.byteLength || bytes[end - 1] !== 0x0a) return undefined
    const value = bytes.toString('latin1', offset + head.length, end - 1)
    if (value === '') throw unjudged('an empty PAX record')
    if (key.startsWith('GNU.sparse.')) throw unjudged('a sparse file')
    records.set(key, value)
    offset = end
  }
  return records
}
