import { type OpenPgpPacket, PACKET_TAGS } from './openpgp-packets.ts'
import { type OpenPgpKeyMaterial, parseKeyMaterial } from './openpgp-public-key.ts'
import { type OpenPgpSignature, tryParseSignature } from './openpgp-signature.ts'

/** The packets of one key, sorted by what the signatures speak of (RFC 9580, section 10.1); none is verified. */
export interface KeyBlock {
  readonly primary: OpenPgpKeyMaterial
  /** On the key itself. */
  readonly signatures: OpenPgpSignature[]
  readonly userIds: SignedItem<Uint8Array>[]
  readonly subkeys: SignedItem<OpenPgpKeyMaterial>[]
}

export interface SignedItem<T> {
  readonly item: T
  readonly signatures: OpenPgpSignature[]
}

/**
 * Sorts the packets of a file of keys. A key or user ID that comes again adds to what was there. Skipped are keys of
 * other versions than 4, signatures that cannot be read, and packets that say nothing of a key.
 * @throws INVALID_SIGNATURE for a malformed key, or a packet that stands before the first key.
 */
export function readKeyBlocks(packets: readonly OpenPgpPacket[], what: string): readonly KeyBlock[] {
  const blocks: KeyBlock[] = []
  let block: KeyBlock | undefined
  let signatures: OpenPgpSignature[] | undefined
  for (const { tag, body } of packets) {
    switch (tag) {
      case PACKET_TAGS.publicKey:
      case PACKET_TAGS.secretKey:
        block = body[0] === VERSION ? blockOf(blocks, parseKeyMaterial(body, what)) : undefined
        signatures = block?.signatures
        break
      case PACKET_TAGS.userId:
        signatures = block === undefined ? undefined : userIdOf(block, body).signatures
        break
      case PACKET_TAGS.publicSubkey:
      case PACKET_TAGS.secretSubkey:
        signatures =
          block === undefined || body[0] !== VERSION
            ? undefined
            : subkeyOf(block, parseKeyMaterial(body, what)).signatures
        break
      case PACKET_TAGS.userAttribute:
        signatures = undefined
        break
      case PACKET_TAGS.signature: {
        const signature = tryParseSignature(body)
        if (signature !== undefined) signatures?.push(signature)
        break
      }
    }
  }
  return blocks
}

const VERSION = 4

function blockOf(blocks: KeyBlock[], primary: OpenPgpKeyMaterial): KeyBlock {
  const known = blocks.find((block) => block.primary.fingerprint === primary.fingerprint)
  if (known !== undefined) return known
  const block: KeyBlock = { primary, signatures: [], userIds: [], subkeys: [] }
  blocks.push(block)
  return block
}

function userIdOf({ userIds }: KeyBlock, text: Uint8Array): SignedItem<Uint8Array> {
  const known = userIds.find(({ item }) => Buffer.compare(item, text) === 0)
  if (known !== undefined) return known
  const userId = { item: text, signatures: [] }
  userIds.push(userId)
  return userId
}

function subkeyOf({ subkeys }: KeyBlock, material: OpenPgpKeyMaterial): SignedItem<OpenPgpKeyMaterial> {
  const known = subkeys.find(({ item }) => item.fingerprint === material.fingerprint)
  if (known !== undefined) return known
  const subkey = { item: material, signatures: [] }
  subkeys.push(subkey)
  return subkey
}
