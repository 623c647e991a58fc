import { encodeUtf8 } from '../core/index.ts'
import { encryptPrivateKey } from './encrypted-key.ts'
import { formatPublicKey, type PublicKey } from './public-key.ts'
import { generateKeyPair, type SigningKey } from './signing-key.ts'
import {
  findKeyFile,
  type KeyFilePaths,
  keyFileExists,
  keyFilePaths,
  writeKeyFiles,
} from './write-key-files.ts'

export interface WriteKeyPairOptions {
  /** Path of the two files without their endings: `cosign` makes `cosign.key` and `cosign.pub`. */
  readonly prefix: string
  /** Encrypts the private key; may be empty. */
  readonly password: Uint8Array
  /** The key to write. Default: a new one. */
  readonly key?: SigningKey
  /** Take the place of files that are there. Default: refuse. */
  readonly replace?: boolean
}

/** What was written where. */
export interface WrittenKeyPair extends KeyFilePaths {
  readonly publicKey: PublicKey
}

/**
 * Writes a key pair in the format of cosign to `<prefix>.key` (mode 0600) and `<prefix>.pub` (0644), both or none, over
 * no file that exists unless it is to be replaced.
 * @throws ALREADY_EXISTS, FILE
 */
export async function writeKeyPair(options: WriteKeyPairOptions): Promise<WrittenKeyPair> {
  const { prefix, password, replace = false } = options
  const paths = keyFilePaths(prefix, 'cosign')
  // Said before the slow part; the exclusive writes are what guarantees it.
  const existing = replace ? undefined : await findKeyFile(paths)
  if (existing !== undefined) throw keyFileExists(existing)
  const key = options.key ?? (await generateKeyPair())
  const privateKey = encodeUtf8(await encryptPrivateKey(key, password))
  const publicKey = encodeUtf8(formatPublicKey(key.publicKey))
  await writeKeyFiles({ ...paths, privateKey, publicKey, replace })
  return { publicKey: key.publicKey, ...paths }
}
