import type { KeyBlock, SignedItem } from './openpgp-key-blocks.ts'
import type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
import {
  creationTime,
  endOf,
  hasCriticalUnknownToGpg,
  issuerFingerprint,
  issuerKeyId,
  type OpenPgpSignature,
  SUBPACKETS,
  secondsIn,
  tryParseSignature,
} from './openpgp-signature.ts'
import { verifyOpenPgpSignature } from './openpgp-verify.ts'

/** A primary key or a subkey, with what the holder of the key has signed of it. */
export interface OpenPgpKeyPart extends OpenPgpKeyMaterial {
  /** From when on gpg takes no signature of it; undefined for never. */
  readonly expires?: Date
  readonly revoked: boolean
  /** Whether it may sign messages, by its flags or, where it has none, by its algorithm. */
  readonly canSign: boolean
}

/** A subkey. The guest never verifies with one. */
export interface OpenPgpSubkey extends OpenPgpKeyPart {
  /** Whether the primary key has signed that the subkey is its own. */
  readonly bound: boolean
  /** Whether the subkey has signed that it belongs to the primary key; gpg wants this of one that signs. */
  readonly backSigned: boolean
}

/** A user ID that the key has signed. */
export interface SelfSignedUserId {
  readonly text: string
  readonly revoked: boolean
  /** The latest signature of the key on it. */
  readonly signature: OpenPgpSignature
}

/** Types of signatures on keys (RFC 9580, section 5.2.1). */
const TYPES = {
  certifications: [0x10, 0x11, 0x12, 0x13],
  binding: 0x18,
  backSignature: 0x19,
  direct: 0x1f,
  keyRevocation: 0x20,
  subkeyRevocation: 0x28,
  certificationRevocation: 0x30,
} as const

/** The user IDs of a key with a signature of the key on them, each with the latest (gnupg 2.2, g10/getkey.c). */
export function userIdsOf({ primary, userIds }: KeyBlock): readonly SelfSignedUserId[] {
  return userIds.flatMap(({ item, signatures }) => {
    const length = Buffer.alloc(5, 0xb4)
    length.writeUInt32BE(item.byteLength, 1)
    const content = [primary.hashable, length, item]
    const valid = signatures.filter((signature) => isBy(primary, signature, content))
    const certified = valid.some(({ type }) => isCertification(type))
    const signature = latest(
      valid.filter(({ type }) => isCertification(type) || type === TYPES.certificationRevocation),
    )
    if (!certified || signature === undefined) return []
    const revoked = signature.type === TYPES.certificationRevocation
    return [{ text: Buffer.from(item).toString('utf8'), revoked, signature }]
  })
}

/**
 * What a key says of itself. Flags and expiry stand in the latest signature on the key itself, or else in the latest on
 * a user ID that has them. A signature that ends ends what it says: gpg would fall back on an older one, and nobody
 * writes such signatures.
 */
export function primaryStateOf(block: KeyBlock, userIds: readonly SelfSignedUserId[]): OpenPgpKeyPart {
  const { primary } = block
  const valid = block.signatures.filter((signature) => isBy(primary, signature, [primary.hashable]))
  const direct = latest(valid.filter(({ type }) => type === TYPES.direct))
  const certifications = userIds.filter(({ revoked }) => !revoked).map(({ signature }) => signature)
  const said = direct === undefined ? [] : [direct]
  const flags = said.find(hasFlags) ?? latest(certifications.filter(hasFlags))
  const expiry = said.find(hasKeyExpiry) ?? latest(certifications.filter(hasKeyExpiry))
  const lifetimes = [...said, ...(userIds.length === 1 ? certifications : [])]
  return {
    ...primary,
    ...expiryOf(primary, expiry, lifetimes),
    revoked: valid.some(({ type }) => type === TYPES.keyRevocation),
    canSign: canSign(primary, flags),
  }
}

/** What a primary key says of a subkey, and the subkey of itself. */
export function subkeyOf(
  primary: OpenPgpKeyMaterial,
  { item, signatures }: SignedItem<OpenPgpKeyMaterial>,
): OpenPgpSubkey {
  const content = [primary.hashable, item.hashable]
  const valid = signatures.filter((signature) => isBy(primary, signature, content))
  const binding = latest(valid.filter(({ type }) => type === TYPES.binding))
  return {
    ...item,
    ...expiryOf(item, binding, binding === undefined ? [] : [binding]),
    revoked: valid.some(({ type }) => type === TYPES.subkeyRevocation),
    canSign: binding !== undefined && canSign(item, binding),
    bound: binding !== undefined,
    backSigned: binding !== undefined && isBackSigned(item, binding, content),
  }
}

/** Whether a key made a signature on itself or its own, in a form that gpg takes; MD5 is none. */
function isBy(key: OpenPgpKeyMaterial, signature: OpenPgpSignature, content: readonly Uint8Array[]): boolean {
  const created = creationTime(signature)
  const keyId = issuerKeyId(signature) ?? issuerFingerprint(signature)?.slice(-16)
  if (keyId !== undefined && keyId !== key.keyId) return false
  if (signature.hash === 'md5' || created === undefined || created < key.created) return false
  return !hasCriticalUnknownToGpg(signature) && verifyOpenPgpSignature(key, signature, content)
}

/** The signature of a subkey on its primary key stands in the binding; it need not be in the part that is signed. */
function isBackSigned(
  subkey: OpenPgpKeyMaterial,
  binding: OpenPgpSignature,
  content: readonly Uint8Array[],
): boolean {
  const embedded = [...binding.hashed, ...binding.unhashed]
    .filter(({ type }) => type === SUBPACKETS.embeddedSignature)
    .map(({ body }) => tryParseSignature(body))
    .filter((each) => each !== undefined)
    .filter(({ type }) => type === TYPES.backSignature)
  const signature = latest(embedded)
  return signature !== undefined && isBy(subkey, signature, content)
}

/** The one that was made last; of two of the same second the one that comes later. */
function latest(signatures: readonly OpenPgpSignature[]): OpenPgpSignature | undefined {
  const time = (signature: OpenPgpSignature): number => creationTime(signature)?.getTime() ?? 0
  return signatures.reduce<OpenPgpSignature | undefined>(
    (best, each) => (best === undefined || time(each) >= time(best) ? each : best),
    undefined,
  )
}

function expiryOf(
  key: OpenPgpKeyMaterial,
  signature: OpenPgpSignature | undefined,
  lifetimes: readonly OpenPgpSignature[],
): { readonly expires?: Date } {
  const ends = [
    ...lifetimes.map((each) => endOf(creationTime(each) ?? key.created, secondsIn(each, SUBPACKETS.expires))),
    signature && endOf(key.created, secondsIn(signature, SUBPACKETS.keyExpires)),
  ].filter((end) => end !== undefined)
  const [earliest] = ends.sort((a, b) => a.getTime() - b.getTime())
  return earliest === undefined ? {} : { expires: earliest }
}

function hasKeyExpiry(signature: OpenPgpSignature): boolean {
  return (secondsIn(signature, SUBPACKETS.keyExpires) ?? 0) !== 0
}

function hasFlags({ hashed }: OpenPgpSignature): boolean {
  return hashed.some(({ type }) => type === SUBPACKETS.keyFlags)
}

const SIGN_FLAG = 0x02

/** Every algorithm with which something is verified here may sign where no flags say otherwise. */
function canSign({ keyObject }: OpenPgpKeyMaterial, signature: OpenPgpSignature | undefined): boolean {
  const flags = signature?.hashed.find(({ type }) => type === SUBPACKETS.keyFlags)?.body
  return keyObject !== undefined && (flags === undefined || ((flags[0] ?? 0) & SIGN_FLAG) !== 0)
}

function isCertification(type: number): boolean {
  return (TYPES.certifications as readonly number[]).includes(type)
}
