import { CosignetError, chunksOf, collectBytes, LIMITS, systemClock } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import {
  type Descriptor,
  type Digest,
  type ImageDestination,
  type ImageLocation,
  type ImageSource,
  MANIFEST_MEDIA_TYPES,
  type Manifest,
  parseManifest,
} from '../oci/index.ts'
import { signBundle, type TransparencyLog } from '../signature/index.ts'
import { parallel } from '../transfer/index.ts'
import { formatLocation } from './image-access.ts'
import type { RegistryAccess } from './registry-access.ts'
import type { SignPlan } from './sign-flags.ts'
import type { MadeSignature, SignForm } from './sign-form.ts'
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
  /** Whether a bundle that is stored is read again, to be written to a file. */
  readonly readBack: boolean
}

/** Signs in the form of cosign 3: a sigstore bundle that refers to the image. */
export function bundleForm({ plan, access, key, log, readBack }: BundleFormOptions): SignForm {
  const placeOf = (location: ImageLocation): LendStore => {
    if (!plan.upload) return (use) => use(memoryStore())
    const lend = storeFor(location, plan.repository, access)
    if (lend !== undefined) return lend
    throw new CosignetError('UNSUPPORTED', `${formatLocation(location)} cannot hold a bundle.`, {
      hint: 'Copy the image to a registry or an OCI layout and sign it there, or give --upload=false --output-bundle FILE.',
    })
  }
  return {
    check: (location) => void placeOf(location),
    sign: async (subject, signal) =>
      await placeOf(subject.location)((place) =>
        parallel(subject.digests, PARALLEL, 'Signing', signal, async (digest, either) => {
          const store = withSubject(place, subject, digest)
          const { alreadySigned, referrer } = await signBundle({
            store,
            digest,
            key,
            ...(plan.annotations === undefined ? {} : { annotations: plan.annotations }),
            ...(log === undefined ? {} : { log }),
            now: systemClock,
            signal: either,
          })
          const made: MadeSignature = { form: 'bundle', digest, alreadySigned }
          if (!plan.upload) return { ...made, content: await readBundle(store, referrer, either) }
          if (!readBack) return { ...made, signature: referrer }
          return { ...made, signature: referrer, content: await readBundle(store, referrer, either) }
        }),
      ),
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

async function readBundle(store: Store, referrer: Digest, signal: AbortSignal): Promise<Uint8Array> {
  const { content } = await store.getManifest(referrer, signal)
  const layer = content.kind === 'image' ? content.layers[0] : undefined
  if (layer === undefined) throw new CosignetError('INTERNAL', 'A referrer of a bundle has a layer.')
  const size = Math.min(layer.size, LIMITS.payloadBytes)
  return await collectBytes(store.getBlob(layer, signal), size, `The bundle ${layer.digest}`)
}

/** Holds what is not uploaded. */
function memoryStore(): Store {
  const blobs = new Map<Digest, Uint8Array>()
  const manifests = new Map<string, Manifest>()
  return {
    name: 'memory',
    rules: { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: false },
    getManifest: async (digest) => {
      const manifest = manifests.get(digest)
      if (manifest !== undefined) return manifest
      throw new CosignetError('NOT_FOUND', `There is no manifest ${digest}.`)
    },
    getBlob: ({ digest }: Pick<Descriptor, 'digest'>) => chunksOf(blobs.get(digest) ?? new Uint8Array()),
    listReferrers: async () => [],
    putBlob: async ({ digest }, content) => {
      if (content instanceof Uint8Array) blobs.set(digest, content)
      return 'written'
    },
    putManifest: async ({ bytes, digest, mediaType }) => {
      manifests.set(digest, parseManifest(bytes, mediaType, 'The manifest'))
    },
  }
}
