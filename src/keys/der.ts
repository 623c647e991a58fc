/** One value of DER (X.690): its tag, and what is in it. */
export interface DerValue {
  /** Class, constructed bit and number in one byte, see `DER`. */
  readonly tag: number
  readonly content: Buffer
}

/** The tags that key files are made of. */
export const DER = { integer: 0x02, octets: 0x04, null: 0x05, oid: 0x06, sequence: 0x30 } as const

/**
 * Splits DER into the values that stand one after the other; for those in a sequence, call it with its content. Lengths
 * are definite and as short as can be, tags of one byte.
 * @returns undefined if the bytes are not DER, or more than 16 values.
 */
export function parseDer(bytes: Buffer): readonly DerValue[] | undefined {
  const values: DerValue[] = []
  let rest = bytes
  while (rest.byteLength > 0) {
    const start = contentStart(rest)
    if (start === undefined || values.length === VALUES_MAX) return undefined
    const { offset, length } = start
    if (length > rest.byteLength - offset) return undefined
    values.push({ tag: rest.readUInt8(0), content: rest.subarray(offset, offset + length) })
    rest = rest.subarray(offset + length)
  }
  return values
}

const VALUES_MAX = 16

function contentStart(bytes: Buffer): { offset: number; length: number } | undefined {
  const [tag, first] = bytes
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined
  if (first < 0x80) return { offset: 2, length: first }
  const size = first & 0x7f
  if (size === 0 || size > 4 || bytes.byteLength < 2 + size) return undefined
  const length = bytes.readUIntBE(2, size)
  const isShortest = length >= 0x80 && bytes[2] !== 0
  return isShortest ? { offset: 2 + size, length } : undefined
}

/** The values in a sequence; undefined if `value` is none. */
export function sequenceOf(value: DerValue | undefined): readonly DerValue[] | undefined {
  return value?.tag === DER.sequence ? parseDer(value.content) : undefined
}

/** The content of a value with this tag; undefined if `value` has another. */
export function contentOf(value: DerValue | undefined, tag: number): Buffer | undefined {
  return value?.tag === tag ? value.content : undefined
}

/** An integer from 0 to 2^48 - 1; undefined if `value` is none of these. */
export function integerOf(value: DerValue | undefined): number | undefined {
  const content = contentOf(value, DER.integer)
  const [first, second] = content ?? []
  if (content === undefined || first === undefined || first >= 0x80 || content.byteLength > 7)
    return undefined
  if (first === 0 && second !== undefined && second < 0x80) return undefined
  const digits = content.subarray(first === 0 && second !== undefined ? 1 : 0)
  return digits.byteLength <= 6 ? digits.readUIntBE(0, digits.byteLength) : undefined
}

/** Writes one value around the parts of its content. */
export function encodeDer(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts)
  return Buffer.concat([Buffer.from([tag, ...encodeLength(content.byteLength)]), content])
}

function encodeLength(length: number): readonly number[] {
  if (length < 0x80) return [length]
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(length)
  const digits = [...bytes.subarray(bytes.findIndex((byte) => byte !== 0))]
  return [0x80 | digits.length, ...digits]
}

/** Writes an integer from 0 to 2^32 - 1. */
export function encodeInteger(value: number): Buffer {
  const bytes = Buffer.alloc(5)
  bytes.writeUInt32BE(value, 1)
  let start = 0
  while (start < 4 && bytes[start] === 0 && (bytes[start + 1] ?? 0) < 0x80) start += 1
  return encodeDer(DER.integer, bytes.subarray(start))
}
