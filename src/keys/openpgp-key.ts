import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import type { OpenPgpAlgorithm } from './openpgp-algorithms.ts'
import { decodeArmor } from './openpgp-armor.ts'
import { readKeyBlocks } from './openpgp-key-blocks.ts'
import { type OpenPgpPacket, PACKET_TAGS, readPackets } from './openpgp-packets.ts'
import {
  type OpenPgpKeyPart,
  type OpenPgpSubkey,
  primaryStateOf,
  subkeyOf,
  userIdsOf,
} from './openpgp-self-signatures.ts'
import { invalidKey } from './pem.ts'

/** An OpenPGP key (certificate) of version 4, as its holder has signed it; what others certify is not looked at. */
export interface OpenPgpKey {
  /** 40 characters of upper-case hex. */
  readonly fingerprint: string
  /** 16 characters of upper-case hex. */
  readonly keyId: string
  readonly algorithm: OpenPgpAlgorithm
  /** For people: `RSA-3072`, `Ed25519`, `ECDSA P-256`. */
  readonly algorithmName: string
  /** User IDs that the key has signed and not revoked. */
  readonly userIds: readonly string[]
  readonly created: Date
  readonly expires?: Date
  readonly revoked: boolean
  /** Whether the key has signed a user ID; gpg imports no key without. The guest does not look. */
  readonly selfSigned: boolean
  readonly primary: OpenPgpKeyPart
  readonly subkeys: readonly OpenPgpSubkey[]
}

/**
 * Reads the OpenPGP public keys of a file, binary or armored (one block), and verifies what each says of itself: user
 * IDs, flags, expiry, revocation, subkeys, as gpg 2.2 does. Not verified: that the key belongs to anybody, and
 * revocations by other keys. A key that comes twice is one with all that is said of it.
 * @param what names the file in messages, for example "The key release.asc".
 * @returns one key at least; expiry and revocation are for the reader to judge.
 * @throws INVALID_KEY, TOO_LARGE
 */
export function parseOpenPgpKeys(bytes: Uint8Array, what: string): readonly OpenPgpKey[] {
  const packets = readKeyPackets(bytes, what)
  if (packets.some(({ tag }) => tag === PACKET_TAGS.secretKey)) {
    throw invalidKey(what, 'it is an OpenPGP private key', {
      hint: 'Keep it secret; take the public key with: gpg --export --armor <fingerprint>.',
    })
  }
  return keysIn(packets, what)
}

/**
 * Reads the packets of a key file, binary or armored, public or private.
 * @throws INVALID_KEY, TOO_LARGE
 */
export function readKeyPackets(bytes: Uint8Array, what: string): readonly OpenPgpPacket[] {
  if (bytes.byteLength > LIMITS.keyringBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.keyringBytes} bytes.`)
  }
  return asKeyError(() => readPackets(decodeArmor(bytes, what)?.bytes ?? bytes, what))
}

/** The keys in packets of a file, public or private. @throws INVALID_KEY if there is none. */
export function keysIn(packets: readonly OpenPgpPacket[], what: string): readonly OpenPgpKey[] {
  const blocks = asKeyError(() => readKeyBlocks(packets, what))
  if (blocks.length === 0) {
    throw invalidKey(what, 'it holds no OpenPGP key of version 4')
  }
  return blocks.map((block) => {
    const userIds = userIdsOf(block)
    const primary = primaryStateOf(block, userIds)
    const { fingerprint, keyId, algorithm, algorithmName, created, revoked } = primary
    return {
      ...{ fingerprint, keyId, algorithm, algorithmName, created, revoked, primary },
      ...(primary.expires === undefined ? {} : { expires: primary.expires }),
      userIds: userIds.filter((userId) => !userId.revoked).map(({ text }) => text),
      selfSigned: userIds.length > 0,
      subkeys: block.subkeys.map((subkey) => subkeyOf(block.primary, subkey)),
    }
  })
}

/** The reader of packets does not know that they are those of a key. */
function asKeyError<T>(read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_SIGNATURE')) throw error
    throw new CosignetError('INVALID_KEY', error.message, { cause: error })
  }
}
