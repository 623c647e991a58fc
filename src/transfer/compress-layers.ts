import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import { fileError, quote } from '../core/index.ts'
import {
  type Descriptor,
  type Digest,
  type ImageSource,
  type Manifest,
  MEDIA_TYPES,
  parseDigest,
  readBlobFile,
} from '../oci/index.ts'
import { parallel } from './parallel.ts'

/** Layers that are compressed at once; more than there are processors gains nothing. */
const PARALLEL = 4
const CHUNK_BYTES = 256 * 1024
const PLAIN: ReadonlySet<string> = new Set([MEDIA_TYPES.dockerLayer, MEDIA_TYPES.ociLayer])

/** Layers that were compressed into files. */
export interface CompressedLayers {
  /** What stands in for a plain layer, by its digest. */
  readonly replaced: ReadonlyMap<Digest, Descriptor>
  /** Opens a compressed layer; undefined for any other blob. */
  open(digest: Digest): (() => AsyncIterable<Uint8Array>) | undefined
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
  const directory = await temporaryFolder(folder)
  const close = (): Promise<void> => rm(directory, { recursive: true, force: true })
  try {
    const layers = plainLayers(manifests)
    const task = `Compressing the layers of ${source.name}`
    const made = await parallel(layers, PARALLEL, task, signal, async (layer, either) => {
      const path = join(directory, layer.digest.replace(':', '-'))
      return { layer, path, compressed: await gzipTo(path, source.getBlob(layer, either), either) }
    })
    const replaced = new Map(made.map(({ layer, compressed }) => [layer.digest, compressed]))
    const paths = new Map(made.map(({ path, compressed }) => [compressed.digest, { path, compressed }]))
    return {
      replaced,
      open: (digest) => {
        const found = paths.get(digest)
        if (found === undefined) return undefined
        return () => readBlobFile(found.path, found.compressed, `The compressed layer ${digest}`)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

async function temporaryFolder(folder: string): Promise<string> {
  try {
    return await mkdtemp(join(folder, 'cosignet-'))
  } catch (error) {
    throw fileError(error, `No temporary folder can be made in ${quote(folder)}`)
  }
}

function plainLayers(manifests: readonly Manifest[]): readonly Descriptor[] {
  const layers = manifests.flatMap(({ content }) => (content.kind === 'image' ? content.layers : []))
  const plain = layers.filter(({ mediaType }) => PLAIN.has(mediaType))
  return [...new Map(plain.map((layer) => [layer.digest, layer])).values()]
}

async function gzipTo(
  path: string,
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal,
): Promise<Descriptor> {
  const hash = createHash('sha256')
  let size = 0
  const tap = async function* (compressed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const chunk of compressed) {
      hash.update(chunk)
      size += chunk.byteLength
      yield chunk
    }
  }
  const gzip = createGzip({ chunkSize: CHUNK_BYTES })
  try {
    await pipeline(Readable.from(chunks, { objectMode: false }), gzip, tap, createWriteStream(path), {
      signal,
    })
  } catch (error) {
    throw fileError(error, `The compressed layer ${quote(path)} cannot be written`)
  }
  return { mediaType: MEDIA_TYPES.ociLayerGzip, digest: parseDigest(`sha256:${hash.digest('hex')}`), size }
}
