import { lstat, unlink } from 'node:fs/promises'
import { CosignetError, encodeUtf8, quote, writeFileAtomically } from '../core/index.ts'
import { encryptPrivateKey } from './encrypted-key.ts'
import { formatPublicKey, type PublicKey } from './public-key.ts'
import { generateKeyPair, type SigningKey } from './signing-key.ts'

export interface WriteKeyPairOptions {
  /** Path of the two files without their endings: `cosign` makes `cosign.key` and `cosign.pub`. */
  readonly prefix: string
  /** Encrypts the private key; may be empty. */
  readonly password: Uint8Array
  /** The key to write. Default: a new one. */
  readonly key?: SigningKey
}

/** What was written where. */
export interface WrittenKeyPair {
  readonly publicKey: PublicKey
  readonly privateKeyPath: string
  readonly publicKeyPath: string
}

/**
 * Writes a key pair to `<prefix>.key` (mode 0600) and `<prefix>.pub` (0644), both or none, over no file that exists.
 * @throws ALREADY_EXISTS, FILE
 */
export async function writeKeyPair(options: WriteKeyPairOptions): Promise<WrittenKeyPair> {
  const privateKeyPath = `${options.prefix}.key`
  const publicKeyPath = `${options.prefix}.pub`
  await refuseExisting(privateKeyPath)
  await refuseExisting(publicKeyPath)
  const key = options.key ?? (await generateKeyPair())
  const encrypted = encodeUtf8(await encryptPrivateKey(key, options.password))
  await writeFileAtomically(privateKeyPath, encrypted, { mode: 0o600, exclusive: true })
  try {
    const publicKey = encodeUtf8(formatPublicKey(key.publicKey))
    await writeFileAtomically(publicKeyPath, publicKey, { mode: 0o644, exclusive: true })
  } catch (error) {
    await unlink(privateKeyPath).catch(() => undefined)
    throw error
  }
  return { publicKey: key.publicKey, privateKeyPath, publicKeyPath }
}

/** Says so before the slow part; the exclusive writes are what guarantees it. */
async function refuseExisting(path: string): Promise<void> {
  const exists = await lstat(path).then(
    () => true,
    () => false,
  )
  if (!exists) return
  throw new CosignetError('ALREADY_EXISTS', `The file ${quote(path)} exists already.`, {
    hint: 'Choose another name: who loses a private key cannot sign with it again.',
  })
}
