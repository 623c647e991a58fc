import { randomInt } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { CosignetError, isCosignetError } from '../core/index.ts'
import { type SigningKey, verifySignature } from '../keys/index.ts'
import {
  type Digest,
  digestOf,
  type ImageDestination,
  type ImageSource,
  type Manifest,
} from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'
import { readSignatureManifest, signatureLayers } from './read-attachments.ts'
import {
  appendLayers,
  encodeLayer,
  isPayloadLayer,
  type LayerJson,
  layersOf,
  type SignatureImage,
} from './signature-image.ts'

/** Waits before another look at what others write. */
export type Pause = (milliseconds: number, signal: AbortSignal) => Promise<void>

export interface AppendJob {
  readonly store: ImageSource & ImageDestination
  readonly tag: string
  /** Of the signed image. */
  readonly digest: Digest
  /** Stored already. */
  readonly payload: Uint8Array
  readonly key: SigningKey
  readonly signal: AbortSignal
  readonly pause?: Pause
}

/** Looks and writes, together, after which it gives up; ten concurrent writers need about ten. */
const ROUNDS_MAX = 40

/** docker-registry 2.8 refuses a manifest while another writer stores the same configuration. */
const REFUSALS_MAX = 3

/**
 * Adds one signature to a signature image, whoever else writes there. It writes only over the manifest that it read
 * (If-Match); and because most registries ignore that condition, it looks again right before the write and, once a
 * write that was under way at the same time must have ended, after it, and puts back every layer that it ever saw and
 * that a concurrent writer lost.
 *
 * Where the registry takes no care, a writer that is slower than this guess can still lose a signature.
 * @param base the signature image as it was read; undefined if there was none.
 * @throws CONFLICT if others keep writing; TOO_LARGE, INVALID_SIGNATURE, and what the store throws.
 */
export async function appendSignature(
  job: AppendJob,
  base: Manifest | undefined,
): Promise<{ alreadySigned: boolean; signatureDigest: Digest }> {
  const { key, payload, signal, pause = wait } = job
  const own = encodeLayer(payload, key.sign(payload))
  const seen = new Set<LayerJson>()
  let current = base
  let written = false
  let contended = false
  let refusals = 0
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const missing = missingLayers(job, current, seen, own)
    if (current !== undefined && missing.length === 0) {
      if (!contended) return { alreadySigned: !written, signatureDigest: current.digest }
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
    current = await readSignatureManifest(job.store, job.digest, signal)
  }
  throw new CosignetError(
    'CONFLICT',
    `The signature cannot be added to ${job.store.name}:${job.tag}: others keep writing there.`,
    { hint: 'Sign again when they have finished.' },
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

/** What must be appended to the signature image: layers that were there, and ours unless the key's signature is. */
function missingLayers(
  job: AppendJob,
  current: Manifest | undefined,
  seen: Set<LayerJson>,
  own: LayerJson,
): readonly LayerJson[] {
  const present = new Set(current === undefined ? [] : layersOf(current))
  for (const layer of present) seen.add(layer)
  const lost = [...seen].filter((layer) => !present.has(layer) && layer !== own)
  return current !== undefined && isSigned(job, current) ? lost : [...lost, own]
}

/** Whether a signature of the key over this payload is there; cosign looks for a duplicate in the same way. */
function isSigned({ store, payload, key }: AppendJob, manifest: Manifest): boolean {
  return signatureLayers(manifest, store.name).some((layer) => {
    const signature = layer.annotations?.[COSIGN.signature]
    if (signature === undefined || !isPayloadLayer(layer, payload)) return false
    return verifySignature(key.publicKey, payload, Buffer.from(signature, 'base64'))
  })
}

/** Moves the tag from `current` to `next`; false if another has moved it. @throws CONFLICT if one does right then. */
async function writeOver(
  { store, tag, digest, signal }: AppendJob,
  current: Manifest | undefined,
  next: SignatureImage,
): Promise<boolean> {
  await putBytes(store, next.config, signal)
  const latest = await readSignatureManifest(store, digest, signal)
  if (latest?.digest !== current?.digest) return false
  await store.putManifest(next.manifest, { tag, ifMatch: current?.digest ?? null, signal })
  return true
}

/** Milliseconds: longer each time, and never the same for two writers. */
function randomDelay(round: number): number {
  return randomInt(20, 60 + 10 * round)
}

async function wait(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await setTimeout(milliseconds, undefined, { signal })
  } catch (error) {
    throw new CosignetError('ABORTED', 'The signature was not added: the work was stopped.', { cause: error })
  }
}
