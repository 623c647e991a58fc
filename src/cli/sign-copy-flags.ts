import type { FlagParametersForType } from '@stricli/core'
import { optionalText } from './flags.ts'

/** How a copy signs on the way, as skopeo spells it. */
export interface CopySignFlags {
  readonly signBy?: string | undefined
  readonly signBySigstorePrivateKey?: string | undefined
  readonly signPassphraseFile?: string | undefined
  readonly signIdentity?: string | undefined
}

/** The flags of `CopySignFlags`. */
export const COPY_SIGN_FLAGS: FlagParametersForType<CopySignFlags> = {
  signBy: optionalText('Sign with this key of the gpg keyring, through gpg', 'FINGERPRINT'),
  signBySigstorePrivateKey: optionalText(
    'Sign with this key, as key generate, cosign or skopeo made it',
    'FILE',
  ),
  signPassphraseFile: optionalText('File whose first line is the passphrase of the key', 'FILE'),
  signIdentity: optionalText(
    'Name of the image in the signatures (default: that at the destination)',
    'REFERENCE',
  ),
}
