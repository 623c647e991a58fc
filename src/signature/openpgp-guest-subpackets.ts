import { decodeUtf8 } from '../core/index.ts'
import { isOpenPgpSignature, type OpenPgpSignature, type Subpacket } from '../keys/index.ts'

/**
 * Whether the guest refuses a signature for one of its subpackets, signed or not: rPGP wants each of a type that it
 * knows to have its form, and knows what is signed and critical (rPGP 0.20, packet/signature/de.rs, config.rs).
 */
export function isRefusedByGuest({ hashed, unhashed }: OpenPgpSignature): boolean {
  if (hashed.some(({ type, critical }) => critical && FORMS[type] === undefined && !isExperimental(type)))
    return true
  return [...hashed, ...unhashed].some((subpacket) => FORMS[subpacket.type]?.(subpacket.body) === false)
}

type Form = (body: Subpacket['body']) => boolean

const anything: Form = () => true
const bytes =
  (count: number): Form =>
  (body) =>
    body.byteLength === count
const atLeast =
  (count: number): Form =>
  (body) =>
    body.byteLength >= count
const text: Form = (body) => decodeUtf8(body) !== undefined

/** A version and a fingerprint of it. */
const fingerprint: Form = (body) => body.byteLength === ({ 4: 21, 5: 33, 6: 33 }[body[0] ?? 0] ?? -1)

/** Flags, of which only those of the first byte exist, two lengths, name and value. */
function notation(body: Uint8Array): boolean {
  if (body.byteLength < 8 || body[1] !== 0 || body[2] !== 0 || body[3] !== 0) return false
  const view = Buffer.from(body)
  return body.byteLength === 8 + view.readUInt16BE(4) + view.readUInt16BE(6)
}

function revocationKey(body: Uint8Array): boolean {
  return body.byteLength === 22 && (body[0] === 0x80 || body[0] === 0xc0)
}

/** Versions that rPGP does not read are no fault; of those that it reads, only version 4 is looked at here. */
function embeddedSignature(body: Uint8Array): boolean {
  const [version] = body
  return version === undefined || [2, 3, 6].includes(version)
    ? false
    : version !== 4 || isOpenPgpSignature(body)
}

/** What rPGP knows, by type; 0 is an empty subpacket. */
const FORMS: Readonly<Record<number, Form>> = {
  0: atLeast(1),
  2: bytes(4),
  3: bytes(4),
  4: bytes(1),
  5: bytes(2),
  6: anything,
  7: bytes(1),
  9: bytes(4),
  11: anything,
  12: revocationKey,
  16: bytes(8),
  20: notation,
  21: anything,
  22: anything,
  23: anything,
  24: text,
  25: bytes(1),
  26: text,
  27: anything,
  28: anything,
  29: atLeast(1),
  30: anything,
  31: atLeast(2),
  32: embeddedSignature,
  33: fingerprint,
  34: anything,
  35: fingerprint,
  39: (body) => body.byteLength % 2 === 0,
}

function isExperimental(type: number): boolean {
  return type >= 100 && type <= 110
}
