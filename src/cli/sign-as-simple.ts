import { CosignetError, systemClock } from '../core/index.ts'
import type { OpenPgpSigner } from '../keys/index.ts'
import { formatReference, type ImageLocation, withTag } from '../oci/index.ts'
import { signIntoStore, simpleSigner } from '../signature/index.ts'
import type { Cli } from './cli.ts'
import { formatLocation } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import { nameless } from './sign-as-cosign.ts'
import type { SignPlan } from './sign-flags.ts'
import { contentOf, type MadeSignature, type SignForm } from './sign-form.ts'
import { referenceOf } from './sign-subject.ts'
import { openSignatureStore } from './signature-stores.ts'
import { VERSION } from './version.ts'

export interface SimpleFormOptions {
  readonly plan: SignPlan
  readonly access: Pick<RegistryAccess, 'open' | 'openSource'>
  readonly signer: Promise<OpenPgpSigner>
  readonly registryCa: string | undefined
}

/** Places that keep simple signatures: a registry or what is beside it, and a folder. */
const KEEPERS: readonly ImageLocation['transport'][] = ['docker', 'dir']

/** Signs with OpenPGP, for podman's `signedBy`: a message in the store beside the image. */
export function simpleForm(cli: Cli, { plan, access, signer, registryCa }: SimpleFormOptions): SignForm {
  return {
    check: (location) => {
      nameFor(location, plan)
      if (plan.upload && !KEEPERS.includes(location.transport)) throw closed(location)
    },
    sign: async ({ location, digests }, signal) => {
      const claim = {
        dockerReference: nameFor(location, plan),
        creator: `cosignet ${VERSION}`,
        clock: systemClock,
      }
      const image = simpleSigner(signer, claim)
      const store = plan.upload ? await storeOf(location) : undefined
      const place = await store?.checkWritable(signal)
      const made: MadeSignature[] = []
      // One after another: gpg may ask for a passphrase or a finger on a card.
      for (const digest of digests) {
        const { alreadySigned, signature } =
          store === undefined
            ? { alreadySigned: false, signature: await image.sign(digest, signal) }
            : await signIntoStore(store, image, digest, signal)
        const kept = place === undefined || alreadySigned ? {} : { store: place }
        made.push({ form: 'simple', digest, alreadySigned, ...kept, ...contentOf(signature) })
      }
      return made
    },
  }

  async function storeOf(location: ImageLocation) {
    const { store } = await openSignatureStore(cli, access, location, { registryCa })
    if (store === undefined) throw closed(location)
    return store
  }
}

/** As skopeo: the name with the tag, by which `matchRepoDigestOrExact` knows the image. @throws USAGE */
function nameFor(location: ImageLocation, { identity }: SignPlan): string {
  if (identity !== undefined) return identity
  const reference = referenceOf(location)
  if (reference === undefined) throw nameless(location)
  const { tag } = reference
  return formatReference(tag === undefined ? reference : withTag(reference, tag))
}

function closed(location: ImageLocation): CosignetError {
  return new CosignetError('UNSUPPORTED', `${formatLocation(location)} cannot hold simple signatures.`, {
    hint:
      'Copy the image to a registry or dir: and sign it there, or have the signature written to a file with ' +
      '--upload=false --output-signature FILE.',
  })
}
