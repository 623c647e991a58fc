import { CosignetError } from '../core/index.ts'
import type { Descriptor, Digest, ImageDestination, ImageSource, Manifest } from '../oci/index.ts'
import { type Pause, randomDelay } from './append-signature.ts'

export interface ListedJob {
  readonly store: ImageSource & ImageDestination
  /** Of the image. */
  readonly digest: Digest
  /** The referrer, which is stored already. */
  readonly manifest: Manifest
  /** Milliseconds that it took to store it: as long as others may need to write what they read before. */
  readonly took: number
  readonly signal: AbortSignal
  readonly pause: Pause
}

/** Looks after which it gives up; ten concurrent writers need some five. */
const ROUNDS_MAX = 20

/**
 * Sees to it that a referrer stays on the list. Where clients keep the list under a tag and the registry ignores
 * If-Match, whoever signs at the same time may write it again as it was: so while others come to the list, this looks
 * again, and enters the referrer again whenever it is missing.
 * @param before the list before the referrer was stored.
 * @throws CONFLICT if others keep writing, and what the store throws
 */
export async function keepListed(job: ListedJob, before: readonly Descriptor[]): Promise<void> {
  const { store, digest, manifest, took, signal, pause } = job
  const known = new Set(before.map((referrer) => referrer.digest)).add(manifest.digest)
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const listed = await store.listReferrers(digest, signal)
    const isListed = listed.some((referrer) => referrer.digest === manifest.digest)
    const others = listed.filter((referrer) => !known.has(referrer.digest))
    // Nobody came: it is there, or this store keeps no list, or keeps it later.
    if (others.length === 0 && (isListed || round === 0)) return
    for (const other of others) known.add(other.digest)
    if (!isListed) await store.putManifest(manifest, { signal })
    await pause(took + randomDelay(round), signal)
  }
  throw new CosignetError(
    'CONFLICT',
    `The bundle ${manifest.digest} does not stay on the list of referrers in ${store.name}: others keep writing there.`,
    { hint: 'Try again when they have finished.' },
  )
}
