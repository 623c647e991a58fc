import { createHash, type KeyObject, sign } from 'node:crypto'
import { PUBLIC_KEY_NUMBERS } from './openpgp-algorithms.ts'
import { encodeLength, encodePacket, PACKET_TAGS } from './openpgp-packets.ts'
import type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
import { encodeTrailerEnd, SUBPACKETS } from './openpgp-signature.ts'

const SHA512 = 10
const BINARY = 0

/**
 * Writes a signed message as `gpg --sign` 2.2 does: a compressed packet with a one-pass signature, the text as literal
 * data without a name, and a signature of version 4 with SHA-512, which names the key by fingerprint and ID.
 * @param part the public half of `privateKey`.
 * @param created in whole seconds.
 */
export function encodeSignedMessage(
  text: Uint8Array,
  part: OpenPgpKeyMaterial,
  privateKey: KeyObject,
  created: Date,
): Uint8Array {
  const keyId = Buffer.from(part.keyId, 'hex')
  const time = encodeTime(created)
  const onePass = Buffer.concat([
    Uint8Array.of(3, BINARY, SHA512, part.algorithmNumber),
    keyId,
    Uint8Array.of(1),
  ])
  const literal = Buffer.concat([Buffer.from('b'), Uint8Array.of(0), time, text])
  const packets = [
    encodePacket(PACKET_TAGS.onePassSignature, onePass),
    encodePacket(PACKET_TAGS.literal, literal),
    encodePacket(PACKET_TAGS.signature, encodeSignature(text, part, privateKey, time)),
  ]
  // Loaded when it is needed, as whoever signs with another key does not need it.
  const { deflateRawSync } = process.getBuiltinModule('node:zlib')
  // Gpg reads zip with a window of 8 KiB and no more (g10/compress.c, init_uncompress).
  const compressed = deflateRawSync(Buffer.concat(packets), { windowBits: 13 })
  return Buffer.concat([Uint8Array.of(COMPRESSED_TO_THE_END, ZIP), compressed])
}

/** Header of a compressed packet that does not say its length, and the number of zip (RFC 9580, 4.2.2.4 and 9.4). */
const COMPRESSED_TO_THE_END = 0xa3
const ZIP = 1

function encodeSignature(
  text: Uint8Array,
  part: OpenPgpKeyMaterial,
  privateKey: KeyObject,
  time: Uint8Array,
): Uint8Array {
  const hashed = Buffer.concat([
    encodeSubpacket(SUBPACKETS.issuerFingerprint, Buffer.from(`04${part.fingerprint}`, 'hex')),
    encodeSubpacket(SUBPACKETS.created, time),
  ])
  const unhashed = encodeSubpacket(SUBPACKETS.issuer, Buffer.from(part.keyId, 'hex'))
  const signed = Buffer.concat([Uint8Array.of(4, BINARY, part.algorithmNumber, SHA512), withSize(hashed)])
  const content = Buffer.concat([text, signed, encodeTrailerEnd(signed.byteLength)])
  const digest = createHash('sha512').update(content).digest()
  const numbers = numbersOf(part, privateKey, content, digest).map(encodeMpi)
  return Buffer.concat([signed, withSize(unhashed), digest.subarray(0, 2), ...numbers])
}

/** The numbers of a signature: one for RSA, two halves for the others. */
function numbersOf(
  { algorithmNumber }: OpenPgpKeyMaterial,
  key: KeyObject,
  content: Uint8Array,
  digest: Uint8Array,
): readonly Uint8Array[] {
  switch (algorithmNumber) {
    case PUBLIC_KEY_NUMBERS.eddsaLegacy:
      return halves(sign(null, digest, key))
    case PUBLIC_KEY_NUMBERS.ecdsa:
      return halves(sign('sha512', content, { key, dsaEncoding: 'ieee-p1363' }))
    default:
      return [sign('sha512', content, key)]
  }
}

function halves(value: Uint8Array): readonly Uint8Array[] {
  const middle = value.byteLength / 2
  return [value.subarray(0, middle), value.subarray(middle)]
}

function encodeMpi(number: Uint8Array): Uint8Array {
  const first = number.findIndex((byte) => byte !== 0)
  const bytes = first === -1 ? new Uint8Array() : number.subarray(first)
  const bits = bytes.byteLength === 0 ? 0 : bytes.byteLength * 8 - (Math.clz32(bytes[0] ?? 0) - 24)
  return Buffer.concat([Uint8Array.of(bits >> 8, bits & 0xff), bytes])
}

function encodeSubpacket(type: number, body: Uint8Array): Uint8Array {
  return Buffer.concat([encodeLength(body.byteLength + 1), Uint8Array.of(type), body])
}

function withSize(area: Uint8Array): Uint8Array {
  return Buffer.concat([Uint8Array.of(area.byteLength >> 8, area.byteLength & 0xff), area])
}

/** Four bytes: seconds since 1970. */
function encodeTime(time: Date): Uint8Array {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(Math.floor(time.getTime() / 1000))
  return bytes
}
