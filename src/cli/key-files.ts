import { CosignetError, encodeUtf8, quote } from '../core/index.ts'
import {
  findKeyFile,
  type GeneratedOpenPgpKey,
  type KeyFilePaths,
  keyFileExists,
  writeKeyFiles,
} from '../keys/index.ts'
import type { Cli } from './cli.ts'
import { confirm } from './confirm.ts'
import { askSecret, readPasswordFile } from './password.ts'

/**
 * Finds out whether the files of a key pair may take the place of what is there.
 * @param yes beforehand, by `--yes`.
 * @returns true to replace, false where nothing is there.
 * @throws ALREADY_EXISTS if the answer is no or nobody can be asked
 */
export async function mayReplace(cli: Cli, paths: KeyFilePaths, yes: boolean): Promise<boolean> {
  if (yes) return true
  const existing = await findKeyFile(paths)
  if (existing === undefined) return false
  const question = `The file ${quote(existing)} exists already. Replace the key pair, so that the old private key is lost?`
  if (cli.interactive && (await confirm(cli, question, '--yes'))) return true
  throw keyFileExists(existing)
}

/** Writes both halves of an OpenPGP key, or none. @throws ALREADY_EXISTS, FILE */
export async function writeOpenPgpPair(
  paths: KeyFilePaths,
  { secretKey, publicKey }: GeneratedOpenPgpKey,
  replace: boolean,
): Promise<void> {
  await writeKeyFiles({
    ...paths,
    privateKey: encodeUtf8(secretKey),
    publicKey: encodeUtf8(publicKey),
    replace,
  })
}

/**
 * Takes the password of a file that is imported: from the file named, else from a person, without echo.
 * @param path of the file that it opens, for the question.
 * @throws INVALID_PASSWORD; FILE and TOO_LARGE for the file
 */
export async function readImportPassword(
  cli: Cli,
  path: string,
  file: string | undefined,
): Promise<Uint8Array> {
  if (file !== undefined) return await readPasswordFile(cli, file)
  if (cli.interactive) return Buffer.from(await askSecret(cli, `Enter password of ${quote(path)}: `))
  throw new CosignetError(
    'INVALID_PASSWORD',
    `The private key ${quote(path)} is encrypted, and there is no terminal to ask for its password.`,
    { hint: 'Give --import-password-file.' },
  )
}
