import { type Clock, CosignetError, encodeUtf8, systemClock } from '../core/index.ts'
import { encodeArmor } from './openpgp-armor.ts'
import { type OpenPgpKey, parseOpenPgpKeys } from './openpgp-key.ts'

export interface GenerateOpenPgpKeyOptions {
  /** As gpg shows it: `Release <release@example.com>`. At most 255 bytes, on one line. */
  readonly userId: string
  /** Encrypts the private key; may be empty, then the key is not encrypted. */
  readonly password: Uint8Array
  /**
   * Default `rsa3072`, which everything verifies. `ed25519` is smaller; what is built with Go's old OpenPGP package
   * (containers/image without gpgme) does not know it.
   */
  readonly algorithm?: 'rsa3072' | 'ed25519'
  /** When the key is made; in the key to the second. Default: the system's. */
  readonly clock?: Clock
}

/** A new key, both halves. */
export interface GeneratedOpenPgpKey {
  /** Armored; `gpg --import` takes it. A secret. */
  readonly secretKey: string
  /** Armored. */
  readonly publicKey: string
  readonly key: OpenPgpKey
}

/**
 * Makes an OpenPGP key of version 4 that gpg 2.2 imports and that the guest verifies with: the primary key itself signs,
 * for the guest looks at no subkey, and there is none. It does not expire. The private key is encrypted as gpg does it
 * (AES-256, iterated and salted hash), with OpenPGP.js, which is loaded here and no earlier.
 * @throws USAGE for a user ID that is empty, too long or not on one line.
 */
export async function generateOpenPgpKey(options: GenerateOpenPgpKeyOptions): Promise<GeneratedOpenPgpKey> {
  const { userId, password, algorithm = 'rsa3072', clock = systemClock } = options
  if (userId === '' || encodeUtf8(userId).byteLength > USER_ID_BYTES || /\p{Cc}/u.test(userId)) {
    throw new CosignetError('USAGE', `A user ID must be one line of 1 to ${USER_ID_BYTES} bytes.`)
  }
  const { generateKey, enums } = await import('openpgp')
  const pair = await generateKey({
    ...ALGORITHMS[algorithm],
    userIDs: [{ name: userId }],
    subkeys: [],
    passphrase: Buffer.from(password).toString('utf8'),
    date: clock(),
    format: 'binary',
    config: {
      v6Keys: false,
      aeadProtect: false,
      preferredHashAlgorithm: enums.hash.sha512,
      nonDeterministicSignaturesViaNotation: false,
    },
  })
  const [key] = parseOpenPgpKeys(pair.publicKey, 'The new key')
  if (key === undefined) throw new CosignetError('INTERNAL', 'The new key cannot be read.')
  return {
    secretKey: encodeArmor('PGP PRIVATE KEY BLOCK', pair.privateKey),
    publicKey: encodeArmor('PGP PUBLIC KEY BLOCK', pair.publicKey),
    key,
  }
}

const USER_ID_BYTES = 255

const ALGORITHMS = {
  rsa3072: { type: 'rsa', rsaBits: 3072 },
  ed25519: { type: 'ecc', curve: 'ed25519Legacy' },
} as const
