import { isCosignetError } from '../core/index.ts'
import {
  type BlobOutcome,
  type Descriptor,
  type Digest,
  type ImageDestination,
  type ImageSource,
  type Manifest,
  watchedStream,
} from '../oci/index.ts'
import type { BlobRole, CopiedBlob, CopyEvent } from './events.ts'
import { parallel } from './parallel.ts'

/** Blobs that are on their way at once: more take memory, and end no sooner where the network is fast. */
const PARALLEL = 4

/** What was done with the blobs of a copy. */
export interface BlobCounts {
  readonly written: number
  /** Sum of what was written. */
  readonly bytes: number
  readonly present: number
  readonly mounted: number
  /** Foreign layers that stayed where they are. */
  readonly left: number
}

/** Media types of layers that need not be kept with the image (image-spec 1.0, "Non-Distributable Layers"; Docker). */
const FOREIGN =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.|docker\.image\.rootfs\.foreign\.)/

/** The blobs of manifests, each once, in their order. */
export function blobsOf(manifests: readonly Manifest[], role: 'image' | 'attached'): readonly CopiedBlob[] {
  const blobs = new Map<Digest, CopiedBlob>()
  const add = ({ digest, size, mediaType }: Descriptor, own: BlobRole): void => {
    if (!blobs.has(digest))
      blobs.set(digest, { digest, size, mediaType, role: role === 'attached' ? role : own })
  }
  for (const { content } of manifests) {
    if (content.kind !== 'image') continue
    add(content.config, 'config')
    for (const layer of content.layers) add(layer, 'layer')
  }
  return [...blobs.values()]
}

/**
 * Copies blobs, the largest first, so that none is left to run alone at the end. A foreign layer is copied where the
 * source holds it; the URLs that it names are never fetched (CVE-2020-15157).
 * @throws NOT_FOUND, DIGEST_MISMATCH, ABORTED, and what source and destination throw
 */
export async function copyBlobs(
  source: ImageSource,
  destination: ImageDestination,
  blobs: readonly CopiedBlob[],
  onEvent: (event: CopyEvent) => void,
  signal: AbortSignal | undefined,
): Promise<BlobCounts> {
  const largestFirst = [...blobs].sort((a, b) => b.size - a.size)
  const task = `Copying ${source.name} to ${destination.name}`
  const outcomes = await parallel(largestFirst, PARALLEL, task, signal, async (blob, either) => {
    onEvent({ kind: 'blob-started', blob })
    const outcome = await copyBlob(source, destination, blob, onEvent, either)
    onEvent({ kind: 'blob-done', blob, outcome })
    return { outcome, size: blob.size }
  })
  const count = (wanted: BlobOutcome | 'left'): number =>
    outcomes.filter(({ outcome }) => outcome === wanted).length
  const bytes = outcomes.reduce((sum, { outcome, size }) => (outcome === 'written' ? sum + size : sum), 0)
  return {
    written: count('written'),
    bytes,
    present: count('present'),
    mounted: count('mounted'),
    left: count('left'),
  }
}

async function copyBlob(
  source: ImageSource,
  destination: ImageDestination,
  blob: CopiedBlob,
  onEvent: (event: CopyEvent) => void,
  signal: AbortSignal,
): Promise<BlobOutcome | 'left'> {
  try {
    return await destination.putBlob(blob, () => watched(source.getBlob(blob, signal), blob, onEvent), signal)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND') || !FOREIGN.test(blob.mediaType)) throw error
    return 'left'
  }
}

/** Reports what passes; a stream that verifies itself still does, and nothing is hashed twice. */
function watched(
  chunks: AsyncIterable<Uint8Array>,
  blob: CopiedBlob,
  onEvent: (event: CopyEvent) => void,
): AsyncIterable<Uint8Array> {
  let bytes = 0
  return watchedStream(chunks, (length) => {
    bytes += length
    onEvent({ kind: 'blob-progress', blob, bytes })
  })
}
