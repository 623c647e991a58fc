import { CosignetError } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import type { Cli } from './cli.ts'
import { readSigningKey } from './key-access.ts'
import type { KeyKind, SignFlags } from './sign-flags.ts'

/** What signs: its kind is known at once, and the key while other work is done. */
export interface SigningIdentity {
  readonly kind: KeyKind
  readonly key: Promise<SigningKey>
}

/**
 * Starts to open the key that the flags name.
 * @throws USAGE unless there is exactly one; FILE. The promise fails as `readSigningKey` does.
 */
export async function openSigningIdentity(
  cli: Cli,
  flags: Pick<SignFlags, 'key' | 'signBy' | 'passwordFile'>,
): Promise<SigningIdentity> {
  if (flags.key !== undefined && flags.signBy !== undefined) {
    throw new CosignetError(
      'USAGE',
      '--key and --sign-by contradict each other: an image is signed with one key.',
    )
  }
  if (flags.key === undefined) throw new CosignetError('USAGE', 'Nothing says which key signs: give --key.')
  const key = readSigningKey(cli, flags.key, flags).then((opened) => opened.key)
  key.catch(() => undefined)
  return { kind: 'cosign', key }
}
