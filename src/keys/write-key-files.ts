import { randomBytes } from 'node:crypto'
import { link, lstat, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import {
  CosignetError,
  errnoOf,
  fileError,
  quote,
  syncDirectory,
  writeFileAtomically,
} from '../core/index.ts'

/** The two files of a key pair. */
export interface KeyFilePaths {
  readonly privateKeyPath: string
  readonly publicKeyPath: string
}

/**
 * Names the files of a key pair: `cosign.key` and `cosign.pub` for the prefix `cosign`; for OpenPGP `cosign.gpg.key` and
 * `cosign.gpg.pub`, so that both can stand side by side.
 */
export function keyFilePaths(prefix: string, format: 'cosign' | 'openpgp'): KeyFilePaths {
  const stem = format === 'openpgp' ? `${prefix}.gpg` : prefix
  return { privateKeyPath: `${stem}.key`, publicKeyPath: `${stem}.pub` }
}

/** The first of the two files that is there already, be it a link that leads nowhere. */
export async function findKeyFile(paths: KeyFilePaths): Promise<string | undefined> {
  for (const path of [paths.privateKeyPath, paths.publicKeyPath]) {
    const exists = await lstat(path).then(
      () => true,
      () => false,
    )
    if (exists) return path
  }
  return undefined
}

/** An ALREADY_EXISTS for the file of a key. */
export function keyFileExists(path: string): CosignetError {
  return new CosignetError('ALREADY_EXISTS', `The file ${quote(path)} exists already.`, {
    hint: 'Choose another name, or give --yes to replace it: who loses a private key cannot sign with it again.',
  })
}

export interface KeyFiles extends KeyFilePaths {
  /** What the file of mode 0600 is to hold. */
  readonly privateKey: Uint8Array
  /** What the file of mode 0644 is to hold. */
  readonly publicKey: Uint8Array
  /** Take the place of files that are there. Default: refuse. */
  readonly replace?: boolean
}

/**
 * Writes both files of a key pair, or none. Where a pair is replaced, a failure leaves the old one; where the power goes
 * between the two steps, the old private key is still there, and the new one beside it under a temporary name.
 * @throws ALREADY_EXISTS, FILE
 */
export async function writeKeyFiles(files: KeyFiles): Promise<void> {
  const { privateKeyPath, publicKeyPath, privateKey, publicKey } = files
  if (files.replace === true) return await replaceBoth(files)
  await writeFileAtomically(privateKeyPath, privateKey, { mode: 0o600, exclusive: true })
  try {
    await writeFileAtomically(publicKeyPath, publicKey, { mode: 0o644, exclusive: true })
  } catch (error) {
    await unlink(privateKeyPath).catch(() => undefined)
    throw error
  }
}

async function replaceBoth({
  privateKeyPath,
  publicKeyPath,
  privateKey,
  publicKey,
}: KeyFiles): Promise<void> {
  const id = randomBytes(6).toString('hex')
  const beside = (path: string, ending: string): string =>
    join(dirname(path), `.${basename(path)}.${id}.${ending}`)
  const newPrivate = beside(privateKeyPath, 'new')
  const newPublic = beside(publicKeyPath, 'new')
  const oldPublic = beside(publicKeyPath, 'old')
  try {
    await writeFileAtomically(newPrivate, privateKey, { mode: 0o600, exclusive: true })
    await writeFileAtomically(newPublic, publicKey, { mode: 0o644, exclusive: true })
    const hadPublic = await keepBeside(publicKeyPath, oldPublic)
    await rename(newPublic, publicKeyPath)
    try {
      await rename(newPrivate, privateKeyPath)
    } catch (error) {
      await (hadPublic ? rename(oldPublic, publicKeyPath) : unlink(publicKeyPath))
      throw error
    }
    await syncDirectory(dirname(privateKeyPath))
  } catch (error) {
    throw fileError(error, `The key pair ${quote(privateKeyPath)} cannot be replaced`)
  } finally {
    await Promise.all([newPrivate, newPublic, oldPublic].map((path) => unlink(path).catch(() => undefined)))
  }
}

/** Gives a file a second name; false if there is none. */
async function keepBeside(path: string, second: string): Promise<boolean> {
  try {
    await link(path, second)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
