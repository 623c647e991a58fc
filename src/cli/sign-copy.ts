import { CosignetError, quote, systemClock } from '../core/index.ts'
import { formatReference, type ImageLocation, type Reference, withTag } from '../oci/index.ts'
import { cosignSigner, type ImageSigner, simpleSigner } from '../signature/index.ts'
import type { Cli } from './cli.ts'
import { formatLocation } from './image-access.ts'
import { readSigningKey } from './key-access.ts'
import type { CopySignFlags } from './sign-copy-flags.ts'
import { checkIdentity, type KeyKind } from './sign-flags.ts'
import { openKeyring } from './sign-key.ts'
import { VERSION } from './version.ts'

/** What signs a copy. */
export interface CopySigners {
  readonly signers: readonly ImageSigner[]
  /** Fails where a key cannot be opened, so that nothing is written then. */
  readonly ready: Promise<unknown>
}

/**
 * Starts to open the keys that a copy signs with. A signature of cosign names the repository alone, unless
 * `--sign-identity` says more: so the guest takes it as well as podman with `matchRepository`; an OpenPGP signature has
 * the tag, too, as skopeo's.
 * @throws USAGE, INVALID_REFERENCE; as `readSigningKey`
 */
export async function openCopySigners(
  cli: Cli,
  flags: CopySignFlags,
  destination: ImageLocation,
): Promise<CopySigners> {
  const { signBy, signBySigstorePrivateKey: keyFile, signPassphraseFile: passwordFile } = flags
  if (signBy === undefined && keyFile === undefined) {
    throw new CosignetError('USAGE', 'Nothing signs: give --sign-by or --sign-by-sigstore-private-key too.')
  }
  if (passwordFile !== undefined && signBy !== undefined && keyFile !== undefined) {
    throw new CosignetError('USAGE', '--sign-passphrase-file is for one key, and two are to sign.')
  }
  const { repository, tagged } = namesFor(destination, flags.signIdentity)
  const signers: ImageSigner[] = []
  const keys: Promise<unknown>[] = []
  if (signBy !== undefined) {
    const signer = openKeyring(cli, signBy, passwordFile)
    const claim = { dockerReference: tagged, creator: `cosignet ${VERSION}`, clock: systemClock }
    signers.push(simpleSigner(signer, claim))
    keys.push(signer)
  }
  if (keyFile !== undefined) {
    const check = (kind: KeyKind): void => {
      if (kind === 'openpgp') throw openPgpKey(keyFile)
    }
    const opened = await readSigningKey(cli, keyFile, { passwordFile, check })
    if (opened.kind !== 'cosign') throw new CosignetError('INTERNAL', 'The kind of the key was checked.')
    signers.push(cosignSigner(opened.key, { reference: repository }))
    keys.push(opened.key)
  }
  const ready = Promise.all(keys)
  ready.catch(() => undefined)
  return { signers, ready }
}

/** The name of the image for a signature of cosign, and for an OpenPGP signature. @throws USAGE */
function namesFor(
  destination: ImageLocation,
  identity: string | undefined,
): { readonly repository: Reference | string; readonly tagged: string } {
  if (identity !== undefined) {
    const text = checkIdentity(identity, 'simple')
    return { repository: text, tagged: text }
  }
  if (destination.transport === 'docker') {
    const { reference } = destination
    const { tag } = reference
    const tagged = formatReference(tag === undefined ? reference : withTag(reference, tag))
    return { repository: reference, tagged }
  }
  throw new CosignetError('USAGE', `${formatLocation(destination)} gives the image no name to sign.`, {
    hint: 'Give the name that it will have in a registry with --sign-identity.',
  })
}

function openPgpKey(path: string): CosignetError {
  return new CosignetError('USAGE', `The private key ${quote(path)} is an OpenPGP key, not one of cosign.`, {
    hint: 'Import it into the keyring of gpg, and give --sign-by.',
  })
}
