import { COSIGN_LABELS, readKeyEnvelope } from './encrypted-key.ts'
import { type KeyDerivation, readEncryptedPkcs8 } from './encrypted-pkcs8.ts'
import { importPrivateKey } from './import-key.ts'
import { keysIn, type OpenPgpKey, readKeyPackets } from './openpgp-key.ts'
import { PACKET_TAGS } from './openpgp-packets.ts'
import { type ExpectedBlock, looksLikeOpenPgp, parsePem } from './pem.ts'
import { type PublicKey, parsePublicKey } from './public-key.ts'

/** How a private key file is encrypted. */
export interface EncryptionFacts {
  readonly derivation: KeyDerivation
  /** `nacl/secretbox`, `aes-256-cbc`. */
  readonly cipher: string
}

/** What a key file says of itself, without its password. */
export type KeyFacts = {
  readonly secret: boolean
} & (
  | {
      readonly format: 'openpgp'
      readonly keys: readonly OpenPgpKey[]
    }
  | {
      readonly format: 'pem'
      /** What stands after BEGIN. */
      readonly label: string
      /** Undefined where it is encrypted. */
      readonly publicKey?: PublicKey
      readonly encryption?: EncryptionFacts
      /** Of a key of cosign: the releases that open it. */
      readonly openedBy?: string
    }
)

const PUBLIC_LABELS = ['PUBLIC KEY', 'RSA PUBLIC KEY']

const EXPECTED: ExpectedBlock = {
  labels: [
    ...PUBLIC_LABELS,
    ...COSIGN_LABELS,
    'ENCRYPTED PRIVATE KEY',
    'PRIVATE KEY',
    'EC PRIVATE KEY',
    'RSA PRIVATE KEY',
  ],
  kind: 'a key',
  hints: { CERTIFICATE: 'Take the key out of it with: openssl x509 -pubkey -noout -in <file>.' },
  skip: ['EC PARAMETERS'],
}

/**
 * Tells what a key file is, public or private, PEM or OpenPGP, as far as it can be told without a password.
 * @param what names the file in messages, for example "The key cosign.key".
 * @throws INVALID_KEY that says what the file is instead; TOO_LARGE
 */
export async function inspectKey(bytes: Uint8Array, what: string): Promise<KeyFacts> {
  if (looksLikeOpenPgp(bytes)) {
    const packets = readKeyPackets(bytes, what)
    const secret = packets.some(({ tag }) => tag === PACKET_TAGS.secretKey)
    return { format: 'openpgp', secret, keys: keysIn(packets, what) }
  }
  const block = parsePem(bytes, what, EXPECTED)
  const { label } = block
  if (PUBLIC_LABELS.includes(label)) {
    return { format: 'pem', secret: false, label, publicKey: parsePublicKey(bytes, what) }
  }
  if (COSIGN_LABELS.includes(label)) {
    const { cost, blockSize, parallelism } = readKeyEnvelope(bytes, what)
    const derivation = { name: 'scrypt', N: cost, r: blockSize, p: parallelism } as const
    const openedBy = openedByCosign(label, cost)
    return {
      format: 'pem',
      secret: true,
      label,
      encryption: { derivation, cipher: 'nacl/secretbox' },
      openedBy,
    }
  }
  if (label === 'ENCRYPTED PRIVATE KEY') {
    const { derivation, cipher } = readEncryptedPkcs8(block.bytes, what)
    return { format: 'pem', secret: true, label, encryption: { derivation, cipher } }
  }
  const { publicKey } = await importPrivateKey(bytes, async () => new Uint8Array(), what)
  return { format: 'pem', secret: true, label, publicKey }
}

/** cosign 2.0 and 2.1 know one cost, later ones three; the label of today came with 2.0.1 (pkg/cosign/keys.go). */
function openedByCosign(label: string, cost: number): string {
  if (cost !== OLD_COST)
    return label === COSIGN_LABELS[0] ? 'cosign 2.2 and later' : 'cosign 1.13.6, 2.2 and later'
  return label === COSIGN_LABELS[0] ? 'cosign 2.0.1 and later' : 'every cosign'
}

const OLD_COST = 32768
