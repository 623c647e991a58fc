import { CosignetError, decodeUtf8, reasonOf } from '../core/index.ts'
import { type ArmorLabel, encodeArmor } from './openpgp-armor.ts'
import type { GeneratedOpenPgpKey } from './openpgp-generate.ts'
import { readKeyPackets } from './openpgp-key.ts'
import { encodePacket, type OpenPgpPacket, PACKET_TAGS, readPackets } from './openpgp-packets.ts'
import { openOpenPgpSigner } from './openpgp-signer.ts'
import { invalidKey } from './pem.ts'

/** The passwords that an OpenPGP key is imported with; each is asked for only when it is needed. */
export interface OpenPgpPasswords {
  /** Opens the key as it is, if it is encrypted. */
  readonly old: () => Promise<Uint8Array>
  /** Encrypts it; if empty, it is not encrypted. */
  readonly new: () => Promise<Uint8Array>
}

/**
 * Reads an OpenPGP private key as `gpg --export-secret-keys` writes it, binary or armored, and encrypts it with another
 * password, all subkeys too. That the primary key or a subkey can sign has been tried. OpenPGP.js is loaded here.
 * @param what names the file in messages, for example "The private key release.asc".
 * @throws INVALID_KEY, INVALID_PASSWORD, TOO_LARGE; what the passwords throw
 */
export async function importOpenPgpKey(
  bytes: Uint8Array,
  passwords: OpenPgpPasswords,
  what: string,
): Promise<GeneratedOpenPgpKey> {
  const packets = readKeyPackets(bytes, what)
  if (!packets.some(({ tag }) => tag === PACKET_TAGS.secretKey)) {
    throw invalidKey(what, 'it is an OpenPGP public key, not a private key')
  }
  const binaryKey = encodePackets(packets)
  const { readPrivateKey, decryptKey, encryptKey } = await import('openpgp')
  const read = await readPrivateKey({ binaryKey }).catch((error: unknown) => {
    throw invalidKey(what, reasonOf(error), { cause: error })
  })
  const isEncrypted = read
    .getKeys()
    .some(({ keyPacket }) => 'isDecrypted' in keyPacket && keyPacket.isDecrypted() === false)
  const old = isEncrypted ? await passwords.old() : new Uint8Array()
  const { key } = await openOpenPgpSigner(bytes, old, what)
  const passphrase = textOf(old)
  const opened = isEncrypted ? await decryptKey({ privateKey: read, passphrase }) : read
  const password = textOf(await passwords.new())
  const config = { aeadProtect: false }
  const closed =
    password === '' ? opened : await encryptKey({ privateKey: opened, passphrase: password, config })
  return {
    secretKey: armor('PGP PRIVATE KEY BLOCK', closed.write(), what),
    publicKey: armor('PGP PUBLIC KEY BLOCK', closed.toPublic().write(), what),
    key,
  }
}

/**
 * Writes the public half of the OpenPGP keys in a file, public or private, as `gpg --export --armor` does. The password
 * of a private key is not needed. OpenPGP.js is loaded here.
 * @throws INVALID_KEY, TOO_LARGE
 */
export async function formatOpenPgpPublicKey(bytes: Uint8Array, what: string): Promise<string> {
  const binaryKeys = encodePackets(readKeyPackets(bytes, what))
  const { readKeys } = await import('openpgp')
  const keys = await readKeys({ binaryKeys }).catch((error: unknown) => {
    throw invalidKey(what, reasonOf(error), { cause: error })
  })
  const publicKeys = Buffer.concat(keys.map((key) => key.toPublic().write()))
  return armor('PGP PUBLIC KEY BLOCK', publicKeys, what)
}

/** Writes packets with the headers that gpg gives them, and not those of OpenPGP.js: the same file for the same key. */
function armor(label: ArmorLabel, bytes: Uint8Array, what: string): string {
  return encodeArmor(label, encodePackets(readPackets(bytes, what)))
}

function encodePackets(packets: readonly OpenPgpPacket[]): Buffer {
  return Buffer.concat(packets.map(({ tag, body }) => encodePacket(tag, body)))
}

/** OpenPGP passwords are text. */
function textOf(password: Uint8Array): string {
  const text = decodeUtf8(password)
  if (text === undefined)
    throw new CosignetError('INVALID_PASSWORD', 'The password of an OpenPGP key must be UTF-8.')
  return text
}
