import { CosignetError } from '../core/index.ts'
import type { Digest } from './digest.ts'
import type { Descriptor, Manifest } from './manifest.ts'
import type { ImageDestination, ImageSource } from './store.ts'

/** Blobs that are on their way at once. */
const PARALLEL = 4

export interface PushedImage {
  /** What the tag stands for now: the index, or the manifest of an image that has none. */
  readonly root: Digest
  /** The manifests of the images, in the order of the index. */
  readonly manifests: readonly Digest[]
}

/**
 * Copies an image as it is, byte for byte: blobs, then manifests, then the index, and the tag last, so that the tag
 * never stands for an image that is not whole.
 * @param from tag or digest in the source.
 * @throws UNSUPPORTED for an index in an index; what source and destination throw
 */
export async function pushImage(
  source: ImageSource,
  from: string | Digest,
  destination: ImageDestination,
  tag: string,
  signal?: AbortSignal,
): Promise<PushedImage> {
  const root = await source.getManifest(from, signal)
  const images = await readImages(source, root, signal)
  await copyBlobs(source, destination, blobsOf(images), signal)
  const options = signal === undefined ? {} : { signal }
  for (const image of images) {
    if (image.digest !== root.digest) await destination.putManifest(image, options)
  }
  await destination.putManifest(root, { ...options, tag })
  return { root: root.digest, manifests: images.map(({ digest }) => digest) }
}

async function readImages(
  source: ImageSource,
  root: Manifest,
  signal: AbortSignal | undefined,
): Promise<readonly Manifest[]> {
  if (root.content.kind === 'image') return [root]
  const images: Manifest[] = []
  for (const { digest } of root.content.manifests) {
    const image = await source.getManifest(digest, signal)
    if (image.content.kind !== 'image') {
      throw new CosignetError(
        'UNSUPPORTED',
        `${source.name}@${root.digest} has an index in its index: ${digest}.`,
      )
    }
    images.push(image)
  }
  return images
}

function blobsOf(images: readonly Manifest[]): readonly Descriptor[] {
  const blobs = new Map<Digest, Descriptor>()
  for (const { content } of images) {
    if (content.kind !== 'image') continue
    for (const blob of [content.config, ...content.layers]) blobs.set(blob.digest, blob)
  }
  return [...blobs.values()]
}

/** The first failure stops the others, and is the one that is told. */
async function copyBlobs(
  source: ImageSource,
  destination: ImageDestination,
  blobs: readonly Descriptor[],
  outer: AbortSignal | undefined,
): Promise<void> {
  const stop = new AbortController()
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal])
  const queue = blobs.values()
  let failure: { readonly error: unknown } | undefined
  const work = async (): Promise<void> => {
    try {
      for (const blob of queue) {
        signal.throwIfAborted()
        await destination.putBlob(blob, () => source.getBlob(blob, signal), signal)
      }
    } catch (error) {
      failure ??= { error }
      stop.abort(error)
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, work))
  if (failure === undefined) return
  if (failure.error instanceof CosignetError || outer?.aborted !== true) throw failure.error
  throw new CosignetError('ABORTED', `Copying ${source.name} was stopped.`, { cause: failure.error })
}
