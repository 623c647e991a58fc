import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { CosignetError, isCosignetError } from '../core/index.ts'
import {
  type Digest,
  digestOf,
  type ImageDestination,
  type ImageSource,
  type Manifest,
} from '../oci/index.ts'
import { readTagged } from './read-attachments.ts'
import { appendLayers, type LayerJson, layersOf, type SignatureImage } from './signature-image.ts'

/** Waits before another look at what others write. */
export type Pause = (milliseconds: number, signal: AbortSignal) => Promise<void>

export interface AppendJob {
  readonly store: ImageSource & ImageDestination
  readonly tag: string
  /** To be there at the end; their blobs are stored already. */
  readonly layers: readonly LayerJson[]
  /** Whether a manifest has what `layer` would add to it. */
  readonly has: (manifest: Manifest, layer: LayerJson) => boolean
  readonly signal: AbortSignal
  readonly pause?: Pause | undefined
}

/** Looks and writes, together, after which it gives up; ten concurrent writers need about ten. */
const ROUNDS_MAX = 40

/** docker-registry 2.8 refuses a manifest while another writer stores the same configuration. */
const REFUSALS_MAX = 3

/**
 * Adds signatures to a signature image, whoever else writes there. It writes only over the manifest that it read
 * (If-Match); and because most registries ignore that condition, it looks again right before the write and, once a
 * write that was under way at the same time must have ended, after it, and puts back every layer that it ever saw and
 * that a concurrent writer lost.
 *
 * Where the registry takes no care, a writer that is slower than this guess can still lose a signature.
 * @param base the signature image as it was read; undefined if there was none.
 * @returns whether anything was written, and the digest of the signature image.
 * @throws CONFLICT if others keep writing; TOO_LARGE, INVALID_SIGNATURE, and what the store throws.
 */
export async function appendSignatures(
  job: AppendJob,
  base: Manifest | undefined,
): Promise<{ written: boolean; digest: Digest }> {
  const { signal, pause = wait } = job
  const seen = new Set<LayerJson>()
  let current = base
  let written = false
  let contended = false
  let refusals = 0
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const missing = missingLayers(job, current, seen)
    if (current !== undefined && missing.length === 0) {
      if (!contended) return { written, digest: current.digest }
      // Somebody writes at the same time: what stands now may be lost yet.
      contended = false
      await pause(randomDelay(round), signal)
    } else {
      const lost = written
      const started = performance.now()
      const done = await writeOver(job, current, appendLayers(current, missing)).catch((error: unknown) => {
        if (isCosignetError(error, 'CONFLICT')) return false
        refusals += 1
        if (isCosignetError(error, 'BAD_RESPONSE') && refusals <= REFUSALS_MAX) return false
        throw error
      })
      contended ||= lost || !done
      written ||= done
      // Who looked before this write landed needs about as long as it took to land on it.
      await pause(done ? performance.now() - started : randomDelay(round), signal)
    }
    current = await readTagged(job.store, job.tag, signal)
  }
  throw new CosignetError(
    'CONFLICT',
    `The signature cannot be added to ${job.store.name}:${job.tag}: others keep writing there.`,
    { hint: 'Try again when they have finished.' },
  )
}

/** Stores bytes as a blob. */
export async function putBytes(
  store: ImageDestination,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  await store.putBlob({ digest: digestOf(bytes), size: bytes.byteLength }, bytes, signal)
}

/** What must be appended to the signature image: layers that were there, and ours unless the image has them. */
function missingLayers(
  { layers, has }: AppendJob,
  current: Manifest | undefined,
  seen: Set<LayerJson>,
): readonly LayerJson[] {
  const present = new Set(current === undefined ? [] : layersOf(current))
  for (const layer of present) seen.add(layer)
  const lost = [...seen].filter((layer) => !present.has(layer) && !layers.includes(layer))
  return [...lost, ...layers.filter((layer) => current === undefined || !has(current, layer))]
}

/** Moves the tag from `current` to `next`; false if another has moved it. @throws CONFLICT if one does right then. */
async function writeOver(
  { store, tag, signal }: AppendJob,
  current: Manifest | undefined,
  next: SignatureImage,
): Promise<boolean> {
  await putBytes(store, next.config, signal)
  const latest = await readTagged(store, tag, signal)
  if (latest?.digest !== current?.digest) return false
  await store.putManifest(next.manifest, { tag, ifMatch: current?.digest ?? null, signal })
  return true
}

/** Milliseconds to wait for other writers: longer each time, and never the same for two of them. */
export function randomDelay(round: number): number {
  return randomInt(20, 60 + 10 * round)
}

/** Waits by a timer. @throws ABORTED */
export async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal })
  } catch (error) {
    throw new CosignetError('ABORTED', 'The signature was not added: the work was stopped.', { cause: error })
  }
}
