import { createPrivateKey, type KeyObject } from 'node:crypto'
import { isCosignetError, quote } from '../core/index.ts'
import { COSIGN_LABELS, decryptPrivateKey } from './encrypted-key.ts'
import { decryptPkcs8, readEncryptedPkcs8, wrongPassword } from './encrypted-pkcs8.ts'
import { type ExpectedBlock, invalidKey, type PemBlock, parsePem } from './pem.ts'
import { kindOf, publicKeyOf } from './public-key.ts'
import { type SigningKey, signingKeyOf } from './signing-key.ts'
import { verifySignature } from './verify-signature.ts'

/** PEM labels of unencrypted private keys, and what they hold. */
const PLAIN: Readonly<Record<string, 'pkcs1' | 'sec1' | 'pkcs8'>> = {
  'RSA PRIVATE KEY': 'pkcs1',
  'EC PRIVATE KEY': 'sec1',
  'PRIVATE KEY': 'pkcs8',
}
const ENCRYPTED_PKCS8 = 'ENCRYPTED PRIVATE KEY'

const EXPECTED: ExpectedBlock = {
  labels: [...Object.keys(PLAIN), ENCRYPTED_PKCS8, ...COSIGN_LABELS],
  kind: 'a private key',
  hints: {
    'PUBLIC KEY': 'Give the file of the private key that belongs to it.',
    'RSA PUBLIC KEY': 'Give the file of the private key that belongs to it.',
    CERTIFICATE: 'Give the file of the private key that belongs to it.',
    'OPENSSH PRIVATE KEY': 'Make a copy, and convert that with: ssh-keygen -p -m PKCS8 -f <copy>.',
  },
  // What `openssl ecparam -genkey` writes before the key.
  skip: ['EC PARAMETERS'],
}

/** The sizes of RSA keys that cosign takes (boulder, goodkey.ValidatePubKey), and their one public exponent. */
const RSA_BITS: readonly number[] = [2048, 3072, 4096]
const RSA_EXPONENT = 65537n

/**
 * Reads a private key of another tool from PEM: PKCS#1, SEC1, PKCS#8, PKCS#8 encrypted by PBES2, and the files of any
 * cosign. It is a key that cosign would import: RSA of 2048, 3072 or 4096 bits, P-256, P-384, P-521 or Ed25519; and it
 * is tried once, so that what it signs verifies with the public key that is told of it.
 * @param askPassword is called where the file is encrypted, and only there.
 * @param what names the file in messages, for example "The private key server.pem".
 * @throws INVALID_KEY that says what the file is instead; INVALID_PASSWORD; TOO_LARGE; what `askPassword` throws
 */
export async function importPrivateKey(
  bytes: Uint8Array,
  askPassword: () => Promise<Uint8Array>,
  what = 'The private key',
): Promise<SigningKey> {
  const block = parsePem(bytes, what, EXPECTED)
  if (COSIGN_LABELS.includes(block.label)) return await decryptPrivateKey(bytes, await askPassword(), what)
  if (block.label === ENCRYPTED_PKCS8) return await importEncrypted(block.bytes, askPassword, what)
  try {
    return checkedKey(readPlain(block, what), what)
  } finally {
    block.bytes.fill(0)
  }
}

async function importEncrypted(
  der: Buffer,
  askPassword: () => Promise<Uint8Array>,
  what: string,
): Promise<SigningKey> {
  const encrypted = readEncryptedPkcs8(der, what)
  const plaintext = await decryptPkcs8(encrypted, await askPassword(), what)
  try {
    return checkedKey(readPlain({ label: 'PRIVATE KEY', bytes: plaintext }, what), what)
  } catch (error) {
    // One wrong password in 256 leaves padding that looks right, and then no key.
    throw isCosignetError(error, 'INVALID_KEY') && plaintext[0] !== 0x30 ? wrongPassword(what) : error
  } finally {
    plaintext.fill(0)
  }
}

function readPlain({ label, bytes }: PemBlock, what: string): KeyObject {
  const type = PLAIN[label] ?? 'pkcs8'
  try {
    const key = createPrivateKey({ key: bytes, format: 'der', type })
    // Points may be compressed or missing, and curves spelled out: other readers want them plain.
    return key.asymmetricKeyType === 'ec' && publicKeyOf(key) !== undefined
      ? createPrivateKey({ key: key.export({ format: 'jwk' }), format: 'jwk' })
      : key
  } catch {
    // The cause stays out of it: it speaks of a secret.
    throw invalidKey(what, `its block ${quote(label)} does not hold a private key`)
  }
}

function checkedKey(privateKey: KeyObject, what: string): SigningKey {
  if (publicKeyOf(privateKey) === undefined) {
    throw invalidKey(what, `its kind ${quote(kindOf(privateKey))} is none that a verifier of images knows`)
  }
  const { modulusLength, publicExponent } = privateKey.asymmetricKeyDetails ?? {}
  if (modulusLength !== undefined && !RSA_BITS.includes(modulusLength)) {
    throw invalidKey(
      what,
      `its RSA modulus has ${modulusLength} bits, and cosign takes ${RSA_BITS.join(', ')}`,
    )
  }
  if (publicExponent !== undefined && publicExponent !== RSA_EXPONENT) {
    throw invalidKey(what, `its RSA exponent is ${publicExponent}, and cosign takes ${RSA_EXPONENT} alone`)
  }
  const key = signingKeyOf(privateKey)
  if (!verifiesItself(key)) throw invalidKey(what, 'its private and its public part do not belong together')
  return key
}

function verifiesItself(key: SigningKey): boolean {
  const message = Buffer.from('cosignet')
  try {
    return verifySignature(key.publicKey, message, key.sign(message))
  } catch {
    return false
  }
}
