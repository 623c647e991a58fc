import {
  type Descriptor,
  type Digest,
  type ImageSource,
  LayerSpool,
  type Manifest,
  MEDIA_TYPES,
} from '../oci/index.ts'
import { parallel } from './parallel.ts'

/** Layers that are compressed at once; more than there are processors gains nothing. */
const PARALLEL = 4
const PLAIN: ReadonlySet<string> = new Set([MEDIA_TYPES.dockerLayer, MEDIA_TYPES.ociLayer])

/** Layers that were compressed into files. */
export interface CompressedLayers {
  /** What stands in for a plain layer, by its digest. */
  readonly replaced: ReadonlyMap<Digest, Descriptor>
  /** Reads a compressed layer; undefined for any other blob. */
  read(blob: Pick<Descriptor, 'digest' | 'size'>): AsyncIterable<Uint8Array> | undefined
  /** Removes the files. */
  close(): Promise<void>
}

/**
 * Compresses the plain layers of images with gzip, into files of their own, since a layer's digest is not known before
 * its end.
 * @param folder where a folder for the files is made.
 * @throws FILE, and what the source throws
 */
export async function compressLayers(
  source: ImageSource,
  manifests: readonly Manifest[],
  folder: string,
  signal: AbortSignal | undefined,
): Promise<CompressedLayers> {
  const spool = await LayerSpool.open(folder)
  try {
    const task = `Compressing the layers of ${source.name}`
    const made = await parallel(plainLayers(manifests), PARALLEL, task, signal, async (layer, either) => {
      const compressed = await spool.add(source.getBlob(layer, either), either)
      return [layer.digest, compressed.layer] as const
    })
    return {
      replaced: new Map(made),
      read: (blob) => spool.read(blob, `The compressed layer ${blob.digest}`),
      close: () => spool.close(),
    }
  } catch (error) {
    await spool.close()
    throw error
  }
}

function plainLayers(manifests: readonly Manifest[]): readonly Descriptor[] {
  const layers = manifests.flatMap(({ content }) => (content.kind === 'image' ? content.layers : []))
  const plain = layers.filter(({ mediaType }) => PLAIN.has(mediaType))
  return [...new Map(plain.map((layer) => [layer.digest, layer])).values()]
}
