import { CosignetError } from '../core/index.ts'
import { gpgSigner, type OpenPgpSigner, type SigningKey } from '../keys/index.ts'
import type { Cli } from './cli.ts'
import { readSigningKey } from './key-access.ts'
import { readPasswordFile } from './password.ts'
import type { KeyKind, SignFlags } from './sign-flags.ts'

/** What signs: its kind is known at once, and the key while other work is done. */
export type SigningIdentity =
  | { readonly kind: 'cosign'; readonly key: Promise<SigningKey> }
  | { readonly kind: 'openpgp'; readonly signer: Promise<OpenPgpSigner> }

type KeyFlags = Pick<SignFlags, 'key' | 'signBy' | 'passwordFile'>

/**
 * Starts to open the key that the flags name: `--key` a file or another place of a key, `--sign-by` one in the keyring of
 * gpg.
 * @param check is told the kind of the key before a password is asked for; what it throws is thrown.
 * @throws USAGE unless there is exactly one; as `readSigningKey`. The promises fail as `readSigningKey` and
 * `openKeyring` do, and may be left alone.
 */
export async function openSigningIdentity(
  cli: Cli,
  flags: KeyFlags,
  check: (kind: KeyKind) => void,
): Promise<SigningIdentity> {
  const { key, signBy, passwordFile } = flags
  if (key !== undefined && signBy !== undefined) {
    throw new CosignetError('USAGE', '--key and --sign-by contradict each other: one key signs.')
  }
  if (key !== undefined) return await readSigningKey(cli, key, { passwordFile, check })
  if (signBy === undefined) {
    throw new CosignetError('USAGE', 'Nothing says which key signs: give --key or --sign-by.')
  }
  check('openpgp')
  const signer = openKeyring(cli, signBy, passwordFile)
  signer.catch(() => undefined)
  return { kind: 'openpgp', signer }
}

/**
 * Opens a key of the user's gpg keyring, through gpg, which asks for the passphrase itself unless a file holds it.
 * @throws as `gpgSigner` and `readPasswordFile`
 */
export async function openKeyring(
  cli: Cli,
  fingerprint: string,
  passwordFile: string | undefined,
): Promise<OpenPgpSigner> {
  return await gpgSigner({
    fingerprint,
    environment: cli.environment,
    signal: cli.signal,
    ...(passwordFile === undefined ? {} : { passphrase: await readPasswordFile(cli, passwordFile) }),
  })
}
