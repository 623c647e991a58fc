import { CosignetError, LIMITS } from '../core/index.ts'

/** One OpenPGP packet (RFC 9580, section 4): framing only, nothing in the body is parsed or verified. */
export interface OpenPgpPacket {
  readonly tag: number
  /** Without the header; parts of a partial length are joined. */
  readonly body: Uint8Array
}

/** Packet types that are read or written here (RFC 9580, section 5). */
export const PACKET_TAGS = {
  signature: 2,
  onePassSignature: 4,
  secretKey: 5,
  publicKey: 6,
  secretSubkey: 7,
  compressed: 8,
  literal: 11,
  trust: 12,
  userId: 13,
  publicSubkey: 14,
  userAttribute: 17,
} as const

/** Which types may come in parts, as for gpg; of these a sender does not know the length beforehand. */
const PARTIAL_TAGS: readonly number[] = [PACKET_TAGS.compressed, PACKET_TAGS.literal]

/** RFC 9580, section 4.2.1.4: a first part is at least so long. */
const FIRST_PART_BYTES = 512

/**
 * Splits bytes into packets, to the last byte: old and new headers, lengths in every form that gpg takes, in parts for
 * compressed and literal data, up to the end for compressed data. At most `LIMITS.openPgpPackets`.
 * @param what names the bytes in messages, for example "The signature".
 * @throws INVALID_SIGNATURE if they are not packets; TOO_LARGE
 */
export function readPackets(bytes: Uint8Array, what: string): readonly OpenPgpPacket[] {
  const reader = new ByteReader(bytes, what)
  const packets: OpenPgpPacket[] = []
  while (reader.left > 0) {
    if (packets.length === LIMITS.openPgpPackets) {
      throw new CosignetError('TOO_LARGE', `${what} has more than ${LIMITS.openPgpPackets} OpenPGP packets.`)
    }
    packets.push(readPacket(reader))
  }
  return packets
}

/** Writes a packet with the header that gpg gives it: an old one, and a new one for literal data and types above 15. */
export function encodePacket(tag: number, body: Uint8Array): Uint8Array {
  const { byteLength } = body
  if (tag === PACKET_TAGS.literal || tag > OLD_TAG_MAX) {
    return Buffer.concat([Uint8Array.of(0xc0 | tag), encodeLength(byteLength), body])
  }
  const header = 0x80 | (tag << 2)
  if (byteLength < 0x100) return Buffer.concat([Uint8Array.of(header, byteLength), body])
  const long = Buffer.alloc(5, header | 2)
  long.writeUInt32BE(byteLength, 1)
  const short = Uint8Array.of(header | 1, byteLength >> 8, byteLength & 0xff)
  return Buffer.concat([byteLength < 0x10000 ? short : long, body])
}

/** Old headers have no room for the higher types, as that of a photo. */
const OLD_TAG_MAX = 15

/** Writes a length as new headers and subpackets carry it (RFC 9580, section 4.2.1), in as few bytes as it needs. */
export function encodeLength(length: number): Uint8Array {
  if (length < 192) return Uint8Array.of(length)
  if (length < 8384) return Uint8Array.of(192 + ((length - 192) >> 8), (length - 192) & 0xff)
  return Uint8Array.of(0xff, length >>> 24, (length >>> 16) & 0xff, (length >>> 8) & 0xff, length & 0xff)
}

/** Reads numbers and runs of bytes from front to back, never beyond the end. */
export class ByteReader {
  #offset = 0
  readonly #bytes: Uint8Array
  readonly #what: string

  constructor(bytes: Uint8Array, what: string) {
    this.#bytes = bytes
    this.#what = what
  }

  get left(): number {
    return this.#bytes.byteLength - this.#offset
  }

  take(count: number): Uint8Array {
    if (count > this.left) this.fail('it ends in the middle of a packet')
    const start = this.#offset
    this.#offset += count
    return this.#bytes.subarray(start, this.#offset)
  }

  rest(): Uint8Array {
    return this.take(this.left)
  }

  /** A number of one to four bytes, the highest first. */
  uint(count: 1 | 2 | 4): number {
    return this.take(count).reduce((value, byte) => value * 256 + byte, 0)
  }

  /**
   * The bytes of a multiprecision integer without zeros before it (RFC 9580, section 3.2). Its number of bits says how
   * many bytes there are and is not compared with them, as in gpg and the guest.
   */
  mpi(): Uint8Array {
    const bits = this.uint(2)
    if (bits > MPI_BITS_MAX) this.fail('it holds a number that is too large')
    const bytes = this.take((bits + 7) >> 3)
    const first = bytes.findIndex((byte) => byte !== 0)
    return first === -1 ? new Uint8Array() : bytes.subarray(first)
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_SIGNATURE', `${this.#what} is not valid OpenPGP: ${reason}.`)
  }
}

/** What gpg and the guest take (MAX_EXTERN_MPI_BITS). */
const MPI_BITS_MAX = 16384

function readPacket(reader: ByteReader): OpenPgpPacket {
  const header = reader.uint(1)
  if ((header & 0x80) === 0) reader.fail('a byte stands where a packet must begin')
  if ((header & 0x40) !== 0) {
    const tag = header & 0x3f
    return { tag, body: readNewBody(reader, tag) }
  }
  const tag = (header >> 2) & 0x0f
  const lengthType = header & 0x03
  if (lengthType < 3) return { tag, body: reader.take(reader.uint(OLD_LENGTHS[lengthType] ?? 4)) }
  if (tag !== PACKET_TAGS.compressed) reader.fail(`a packet of the type ${tag} does not say how long it is`)
  return { tag, body: reader.rest() }
}

/** Bytes of the length in an old header, by the length type. */
const OLD_LENGTHS = [1, 2, 4] as const

function readNewBody(reader: ByteReader, tag: number): Uint8Array {
  const parts: Uint8Array[] = []
  for (;;) {
    const first = reader.uint(1)
    if (first < 224 || first === 255) {
      const last = reader.take(readLength(reader, first))
      return parts.length === 0 ? last : Buffer.concat([...parts, last])
    }
    if (!PARTIAL_TAGS.includes(tag)) reader.fail(`a packet of the type ${tag} comes in parts`)
    const size = 2 ** (first & 0x1f)
    if (parts.length === 0 && size < FIRST_PART_BYTES) reader.fail('the first part of a packet is too short')
    parts.push(reader.take(size))
  }
}

/** The rest of a length whose first byte says that it is none of a part (RFC 9580, section 4.2.1). */
export function readLength(reader: ByteReader, first: number): number {
  if (first < 192) return first
  return first === 255 ? reader.uint(4) : ((first - 192) << 8) + reader.uint(1) + 192
}
