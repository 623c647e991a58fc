import { CosignetError, isCosignetError } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import { type Digest, type ImageLocation, type Reference, repositoryName } from '../oci/index.ts'
import {
  type CosignClaim,
  cosignSigner,
  signatureTag,
  signDigest,
  signIntoStore,
  type TransparencyLog,
} from '../signature/index.ts'
import { parallel } from '../transfer/index.ts'
import type { Cli } from './cli.ts'
import { formatLocation } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import type { SignPlan } from './sign-flags.ts'
import { contentOf, type MadeSignature, type SignForm } from './sign-form.ts'
import { signOnce } from './sign-once.ts'
import { type LendStore, repositoryFor, storeFor } from './sign-store.ts'
import { referenceOf } from './sign-subject.ts'

/** Manifests of one image that are signed at once. */
const PARALLEL = 8

export interface CosignFormOptions {
  readonly plan: SignPlan
  readonly access: Pick<RegistryAccess, 'open' | 'openSource'>
  readonly key: Promise<SigningKey>
  readonly log: TransparencyLog | undefined
}

/** Signs in the form of cosign that the guest reads: an image at a tag beside the signed one, in `dir:` a file. */
export function cosignForm(cli: Cli, { plan, access, key, log }: CosignFormOptions): SignForm {
  const placeOf = (location: ImageLocation): LendStore | undefined =>
    plan.upload ? storeFor(location, plan, access) : undefined
  return {
    check: (location) => {
      placeOf(location)
      claimOn(location, plan)
    },
    sign: async ({ location, digests }, signal) => {
      const { key: once, ...logged } = signOnce(key, log)
      const claim = { ...claimOn(location, plan), ...logged }
      const signer = cosignSigner(once, claim)
      const each = (sign: SignOne): Promise<readonly MadeSignature[]> =>
        parallel(digests, PARALLEL, 'Signing', signal, async (digest, either) => {
          return { form: 'cosign', digest, ...(await sign(digest, either)) }
        })
      if (!plan.upload) {
        return await each(async (digest, either) => ({
          alreadySigned: false,
          ...contentOf(await signer.sign(digest, either)),
        }))
      }
      const lend = placeOf(location)
      if (lend !== undefined) {
        return await lend((store) =>
          each(async (digest, either) => {
            const signing = signDigest({ ...claim, store, digest, key: once, signal: either })
            const signed = await signing.catch((error: unknown) => {
              throw withCure(error, repositoryFor(location, plan) ?? referenceOf(location), digest)
            })
            const { alreadySigned, signatureDigest } = signed
            return { alreadySigned, signature: signatureDigest, ...contentOf(signed.signature) }
          }),
        )
      }
      const { openSignatureStore } = await import('./signature-stores.ts')
      const { store } = await openSignatureStore(cli, access, location)
      if (store === undefined) throw new CosignetError('INTERNAL', 'A dir: image keeps signatures.')
      return await each(async (digest, either) => {
        const { alreadySigned, signature } = await signIntoStore(store, signer, digest, either)
        return { alreadySigned, ...contentOf(signature) }
      })
    },
  }
}

/** What stands at the tag of signatures and is none, nobody but its owner may take away. */
function withCure(error: unknown, home: Reference | undefined, digest: Digest): unknown {
  if (!isCosignetError(error, 'INVALID_SIGNATURE') || home === undefined) return error
  return new CosignetError(error.code, error.message, {
    cause: error,
    hint: `If nobody needs it: cosignet image delete docker://${repositoryName(home)}:${signatureTag(digest)}`,
  })
}

type SignOne = (digest: Digest, signal: AbortSignal) => Promise<Omit<MadeSignature, 'form' | 'digest'>>

/** @throws USAGE if the image has no name */
function claimOn(location: ImageLocation, { identity, annotations }: SignPlan): CosignClaim {
  const reference = identity ?? referenceOf(location)
  if (reference === undefined) throw nameless(location)
  return { reference, ...(annotations === undefined ? {} : { annotations }) }
}

/** An image in a folder or file, whose name a signature must say. */
export function nameless(location: ImageLocation): CosignetError {
  return new CosignetError(
    'USAGE',
    `${formatLocation(location)} does not tell which repository the image is for.`,
    {
      hint: 'Give the name that it will have in a registry with --identity.',
    },
  )
}
