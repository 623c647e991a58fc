import { createHash } from 'node:crypto'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline, Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import { CosignetError, fileError, quote } from '../core/index.ts'
import { readBlobFile } from './blob-files.ts'
import type { Digest } from './digest.ts'
import { type Descriptor, MEDIA_TYPES } from './manifest.ts'

/** A layer that is ready to be read any number of times. */
export interface SpooledLayer {
  readonly layer: Descriptor
  /** Digest of the tar (`rootfs.diff_ids`). */
  readonly diffId: Digest
}

const CHUNK_BYTES = 256 * 1024

/** Keeps layers that it compressed once in a folder of its own; it must be closed. */
export class LayerSpool {
  readonly #folder: string
  readonly #files = new Map<Digest, string>()
  #count = 0

  private constructor(folder: string) {
    this.#folder = folder
  }

  /** @param temporaryFolder where to make the folder. @throws FILE */
  static async open(temporaryFolder: string): Promise<LayerSpool> {
    try {
      return new LayerSpool(await mkdtemp(join(temporaryFolder, 'cosignet-layers-')))
    } catch (error) {
      throw fileError(error, `A temporary folder in ${quote(temporaryFolder)} cannot be made`)
    }
  }

  /** Compresses a tar (gzip) and keeps it. @throws FILE, ABORTED, and as the stream does */
  async add(tar: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<SpooledLayer> {
    this.#count += 1
    const path = join(this.#folder, `layer-${this.#count}`)
    const unpacked = createHash('sha256')
    const packed = createHash('sha256')
    let size = 0
    async function* tapped(): AsyncGenerator<Uint8Array, void, undefined> {
      for await (const chunk of tar) {
        unpacked.update(chunk)
        yield chunk
      }
    }
    try {
      const file = await open(path, 'wx', 0o600)
      try {
        for await (const chunk of compress(tapped())) {
          if (signal?.aborted === true) throw new CosignetError('ABORTED', 'Compressing a layer was stopped.')
          packed.update(chunk)
          size += chunk.byteLength
          await file.appendFile(chunk)
        }
      } finally {
        await file.close()
      }
    } catch (error) {
      throw fileError(error, `The temporary file ${quote(path)} cannot be written`)
    }
    const digest = `sha256:${packed.digest('hex')}` as Digest
    this.#files.set(digest, path)
    return {
      layer: { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size },
      diffId: `sha256:${unpacked.digest('hex')}` as Digest,
    }
  }

  /** Reads a layer; undefined if it is not here. */
  read(descriptor: Pick<Descriptor, 'digest' | 'size'>, what: string): AsyncIterable<Uint8Array> | undefined {
    const path = this.#files.get(descriptor.digest)
    return path === undefined ? undefined : readBlobFile(path, descriptor, what)
  }

  /** Removes the folder and all in it. */
  async close(): Promise<void> {
    this.#files.clear()
    await rm(this.#folder, { recursive: true, force: true })
  }
}

/** Node's gzip writes no time and no name, so equal input gives equal output. */
function compress(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const gzip = createGzip({ chunkSize: CHUNK_BYTES, level: constants.Z_DEFAULT_COMPRESSION })
  // An error reaches the reader through the gzip stream, which it destroys.
  pipeline(Readable.from(chunks, { objectMode: false }), gzip, () => undefined)
  return gzip
}
