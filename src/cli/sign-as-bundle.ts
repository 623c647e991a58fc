import { CosignetError, chunksOf, systemClock } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import {
  type Digest,
  type ImageDestination,
  type ImageLocation,
  type ImageSource,
  MANIFEST_MEDIA_TYPES,
} from '../oci/index.ts'
import { signBundle, type TransparencyLog } from '../signature/index.ts'
import { parallel } from '../transfer/index.ts'
import { formatLocation } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import type { SignPlan } from './sign-flags.ts'
import type { MadeSignature, SignForm } from './sign-form.ts'
import { signOnce } from './sign-once.ts'
import { type LendStore, storeFor } from './sign-store.ts'
import type { SignSubject } from './sign-subject.ts'

/** Manifests of one image that are signed at once. */
const PARALLEL = 8

type Store = ImageSource & ImageDestination

export interface BundleFormOptions {
  readonly plan: SignPlan
  readonly access: Pick<RegistryAccess, 'open'>
  readonly key: Promise<SigningKey>
  readonly log: TransparencyLog | undefined
}

/** Signs in the form of cosign 3: a sigstore bundle that refers to the image. */
export function bundleForm({ plan, access, key, log }: BundleFormOptions): SignForm {
  const placeOf = (location: ImageLocation): LendStore => {
    if (!plan.upload) return (use) => use(nowhere())
    const lend = storeFor(location, plan, access)
    if (lend !== undefined) return lend
    throw new CosignetError('UNSUPPORTED', `${formatLocation(location)} cannot hold a bundle.`, {
      hint: 'Copy the image to a registry or an OCI layout and sign it there, or give --upload=false --output-bundle FILE.',
    })
  }
  return {
    check: (location) => void placeOf(location),
    sign: async (subject, signal) => {
      const signing = signOnce(key, log)
      return await placeOf(subject.location)((place) =>
        parallel(subject.digests, PARALLEL, 'Signing', signal, async (digest, either) => {
          const store = withSubject(place, subject, digest)
          const { alreadySigned, referrer, bundle } = await signBundle({
            store,
            digest,
            ...signing,
            ...(plan.annotations === undefined ? {} : { annotations: plan.annotations }),
            now: systemClock,
            signal: either,
          })
          const made: MadeSignature = { form: 'bundle', digest, alreadySigned, content: bundle }
          return plan.upload ? { ...made, signature: referrer } : made
        }),
      )
    },
  }
}

/** Shows the image that is signed in a store that does not hold it: another repository, or none. */
function withSubject(store: Store, subject: SignSubject, digest: Digest): Store {
  return {
    name: store.name,
    rules: store.rules,
    getManifest: (wanted, signal) =>
      wanted === digest ? subject.getManifest(digest, signal) : store.getManifest(wanted, signal),
    getBlob: (descriptor, signal) => store.getBlob(descriptor, signal),
    listReferrers: (of, signal) => store.listReferrers(of, signal),
    putBlob: (descriptor, content, signal) => store.putBlob(descriptor, content, signal),
    putManifest: (manifest, options) => store.putManifest(manifest, options),
  }
}

/** Keeps nothing: what is not uploaded. */
function nowhere(): Store {
  return {
    name: 'nowhere',
    rules: { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: false },
    getManifest: async (digest) => {
      throw new CosignetError('NOT_FOUND', `There is no manifest ${digest}.`)
    },
    getBlob: () => chunksOf(new Uint8Array()),
    listReferrers: async () => [],
    putBlob: async () => 'written',
    putManifest: async () => undefined,
  }
}
