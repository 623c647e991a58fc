import type { KeyObject } from 'node:crypto'
import { type Clock, systemClock } from '../core/index.ts'
import { checkSignedMessage } from './openpgp-check.ts'
import { keysIn, type OpenPgpKey, readKeyPackets } from './openpgp-key.ts'
import { type OpenPgpPacket, PACKET_TAGS } from './openpgp-packets.ts'
import { parseKeyMaterial } from './openpgp-public-key.ts'
import { openSecretPacket } from './openpgp-secret-key.ts'
import type { OpenPgpKeyPart } from './openpgp-self-signatures.ts'
import { encodeSignedMessage } from './openpgp-write.ts'
import { invalidKey } from './pem.ts'

/** An OpenPGP key that is ready to sign, in memory or by gpg. */
export interface OpenPgpSigner {
  /** Its public half. */
  readonly key: OpenPgpKey
  /** Fingerprint of the part that signs: the primary key or a subkey. */
  readonly signingFingerprint: string
  /** Whether a subkey signs: podman takes such signatures, the guest refuses them. */
  readonly bySubkey: boolean

  /**
   * Signs a message.
   * @returns the message with its signature as `gpg --sign` writes it, binary.
   */
  sign(message: Uint8Array): Promise<Uint8Array>
}

/**
 * Opens an OpenPGP private key as `gpg --export-secret-keys` writes it, binary or armored. The primary key signs if it
 * can; else the newest signing subkey.
 * @param password may be empty.
 * @param what names the file in messages, for example "The key release.asc".
 * @param clock for the time in signatures, and to pass over what has expired.
 * @throws INVALID_KEY, INVALID_PASSWORD, TOO_LARGE
 */
export async function openOpenPgpSigner(
  bytes: Uint8Array,
  password: Uint8Array,
  what: string,
  clock: Clock = systemClock,
): Promise<OpenPgpSigner> {
  const packets = readKeyPackets(bytes, what)
  const [key, another] = keysIn(packets, what)
  if (key === undefined || another !== undefined) throw invalidKey(what, 'it holds more than one OpenPGP key')
  const parts = signingParts(key, clock())
  if (parts.length === 0) throw invalidKey(what, reasonAgainst(key))
  for (const part of parts) {
    const packet = secretPacketOf(packets, part, what)
    const privateKey = packet && (await openSecretPacket(packet, part, password, what))
    if (privateKey !== undefined) return signerOf(key, part, privateKey, clock)
  }
  throw invalidKey(what, 'it is a public key, or its secret part is kept elsewhere', {
    hint: `Export the private key: gpg --export-secret-keys --armor ${key.fingerprint}.`,
  })
}

function signerOf(key: OpenPgpKey, part: OpenPgpKeyPart, privateKey: KeyObject, clock: Clock): OpenPgpSigner {
  return {
    key,
    signingFingerprint: part.fingerprint,
    bySubkey: part.fingerprint !== key.fingerprint,
    sign: async (message) => {
      const signed = encodeSignedMessage(message, part, privateKey, clock())
      checkSignedMessage(signed, part, message, 'the private key')
      return signed
    },
  }
}

/** The parts that may sign now, the one to take first. */
function signingParts({ primary, subkeys, selfSigned }: OpenPgpKey, now: Date): readonly OpenPgpKeyPart[] {
  const isAlive = ({ revoked, expires }: OpenPgpKeyPart): boolean =>
    !revoked && (expires === undefined || expires > now)
  if (!isAlive(primary) || !selfSigned) return []
  const newestFirst = [...subkeys].sort((a, b) => b.created.getTime() - a.created.getTime())
  const usable = newestFirst.filter(({ bound, backSigned }) => bound && backSigned)
  return [primary, ...usable].filter((part) => part.canSign && isAlive(part))
}

function reasonAgainst({ primary, selfSigned }: OpenPgpKey): string {
  if (primary.revoked) return 'the key is revoked'
  if (primary.algorithm !== 'other' && !selfSigned) return 'the key has signed no user ID of its own'
  if (primary.canSign) return `the key expired ${primary.expires?.toISOString() ?? ''}`
  return `neither the key, ${primary.algorithmName}, nor a subkey of it can sign messages`
}

function secretPacketOf(
  packets: readonly OpenPgpPacket[],
  { fingerprint }: OpenPgpKeyPart,
  what: string,
): OpenPgpPacket | undefined {
  const tags: readonly number[] = [PACKET_TAGS.secretKey, PACKET_TAGS.secretSubkey]
  return packets.find(
    ({ tag, body }) =>
      tags.includes(tag) && body[0] === 4 && parseKeyMaterial(body, what).fingerprint === fingerprint,
  )
}
