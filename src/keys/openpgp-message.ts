import { CosignetError, LIMITS, reasonOf } from '../core/index.ts'
import { type OpenPgpPacket, PACKET_TAGS, readPackets } from './openpgp-packets.ts'
import { type OpenPgpSignature, parseOpenPgpSignature } from './openpgp-signature.ts'

/** A signed message as it was read; nobody has vouched for any of it. */
export interface UntrustedOpenPgpMessage {
  /** What the packet before the text announces; unsigned. */
  readonly onePass: {
    readonly hashNumber: number
    /** 16 characters of upper-case hex. */
    readonly keyId: string
  }
  /** The literal data: what the signature covers, byte for byte. Name, date and format of it are not signed. */
  readonly untrustedText: Uint8Array
  readonly signature: OpenPgpSignature
}

const WHAT = 'The signature'

/**
 * Reads an OpenPGP message in the one shape that is taken (RFC 9580, section 10.3): a one-pass signature, literal data
 * and a signature of version 4, one of each in this order, as they are or within one compressed packet, and nothing
 * before, between or after them. So the text is the one that the one signature covers (CVE-2025-47934). Gpg also takes
 * armor, several layers of compression, a signature before the text, and some of what follows a message.
 * @throws INVALID_SIGNATURE; UNSUPPORTED for bzip2; TOO_LARGE for more than `LIMITS.payloadBytes`, unpacked too.
 */
export function parseOpenPgpMessage(bytes: Uint8Array): UntrustedOpenPgpMessage {
  if (bytes.byteLength > LIMITS.payloadBytes) throw tooLarge()
  if (bytes.byteLength === 0) invalid('it is empty')
  if (bytes[0] === ARMOR_START) invalid('it is armored or plain text, and must be binary')
  const outer = readPackets(bytes, WHAT)
  const [first] = outer
  const isCompressed = outer.length === 1 && first?.tag === PACKET_TAGS.compressed
  const packets = isCompressed ? readPackets(decompress(first.body), WHAT) : outer
  if (!isShape(packets)) {
    const found = packets.slice(0, 8).map(({ tag }) => PACKET_NAMES[tag] ?? `a packet of the type ${tag}`)
    return invalid(
      'it must be one one-pass signature, one text and one signature, ' +
        `and is ${[...found, ...(packets.length > 8 ? ['more'] : [])].join(', ')}`,
    )
  }
  const [onePass, literal, signature] = packets
  return {
    onePass: readOnePass(onePass.body),
    untrustedText: readLiteral(literal.body),
    signature: parseOpenPgpSignature(signature.body, WHAT),
  }
}

const ARMOR_START = '-'.charCodeAt(0)

const PACKET_NAMES: Readonly<Record<number, string>> = {
  [PACKET_TAGS.signature]: 'a signature',
  [PACKET_TAGS.onePassSignature]: 'a one-pass signature',
  [PACKET_TAGS.compressed]: 'a compressed packet',
  [PACKET_TAGS.literal]: 'a text',
}

type Shape = readonly [OpenPgpPacket, OpenPgpPacket, OpenPgpPacket]

const SHAPE: readonly number[] = [PACKET_TAGS.onePassSignature, PACKET_TAGS.literal, PACKET_TAGS.signature]

function isShape(packets: readonly OpenPgpPacket[]): packets is Shape {
  return packets.length === SHAPE.length && packets.every(({ tag }, i) => tag === SHAPE[i])
}

/** Version 3, the only one beside a signature of version 4: type, hash, key algorithm, key ID, whether it is the last. */
function readOnePass(body: Uint8Array): UntrustedOpenPgpMessage['onePass'] {
  if (body[0] !== 3 || body.byteLength !== 13) invalid('its one-pass signature is not one of version 3')
  return { hashNumber: body[2] ?? 0, keyId: Buffer.from(body.subarray(4, 12)).toString('hex').toUpperCase() }
}

/** Format, name with its length before it, four bytes of date, text. */
function readLiteral(body: Uint8Array): Uint8Array {
  const start = 2 + (body[1] ?? 0) + 4
  if (body.byteLength < start) invalid('its text ends before it begins')
  return body.subarray(start)
}

/** What Node's zlib says of its work when it is asked to. */
interface Inflated {
  readonly buffer: Uint8Array
  readonly engine: { readonly bytesWritten: number }
}

/** Compression algorithms (RFC 9580, section 9.4). */
const COMPRESSIONS: Readonly<Record<number, 'inflateRawSync' | 'inflateSync'>> = {
  1: 'inflateRawSync',
  2: 'inflateSync',
}
const BZIP2 = 3

function decompress(body: Uint8Array): Uint8Array {
  const algorithm = body[0] ?? 0
  const inflate = COMPRESSIONS[algorithm]
  if (inflate === undefined) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The signature is compressed with ${algorithm === BZIP2 ? 'bzip2' : `algorithm ${algorithm}`}, which is not read here.`,
      {
        hint: 'Gpg compresses with zip unless it is told otherwise: sign again without --bzip2-compress-level.',
      },
    )
  }
  const compressed = body.subarray(1)
  const { buffer, engine } = tryInflate(inflate, compressed)
  if (engine.bytesWritten !== compressed.byteLength) invalid('something follows its compressed data')
  return buffer
}

function tryInflate(inflate: 'inflateRawSync' | 'inflateSync', compressed: Uint8Array): Inflated {
  try {
    // Taken when it is needed: loading it takes longer than to verify a signature.
    const zlib = process.getBuiltinModule('node:zlib')
    const options = { info: true, maxOutputLength: LIMITS.payloadBytes }
    // With `info` the function returns both; its type says only one.
    return zlib[inflate](compressed, options) as unknown as Inflated
  } catch (error) {
    if (error instanceof RangeError) throw tooLarge()
    return invalid(`its compressed data is damaged (${reasonOf(error)})`)
  }
}

function tooLarge(): CosignetError {
  return new CosignetError(
    'TOO_LARGE',
    `The signature is larger than the limit of ${LIMITS.payloadBytes} bytes, or unpacks to more.`,
  )
}

function invalid(reason: string): never {
  throw new CosignetError('INVALID_SIGNATURE', `The signature is not a valid OpenPGP message: ${reason}.`)
}
