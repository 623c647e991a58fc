import { chunksOf, fileError } from '../core/index.ts'
import type { Digest } from './digest.ts'
import { indexAddition, LAYOUT_FILE, LAYOUT_RULES } from './layout-destination.ts'
import { blobFile } from './layout-image.ts'
import { extendLayoutIndex, type IndexAddition } from './layout-index.ts'
import type { Descriptor, Manifest } from './manifest.ts'
import type { BlobOutcome, ImageDestination, StagedDestination } from './store.ts'
import { createTar, type TarWriter } from './tar-writer.ts'
import { verifiedStream } from './verified-stream.ts'

/**
 * Writes images to a tar file of an OCI image layout (`oci-archive:`), always a new one: what is at `path` is replaced
 * at `commit`. Tags and entries are as for `createLayout`.
 * @param options.temporaryFolder where the archive grows if `path` is a pipe or a device.
 */
export function createLayoutArchive(
  path: string,
  options: { readonly temporaryFolder: string },
): StagedDestination {
  return new LayoutArchiveDestination(`oci-archive:${path}`, () => createTar(path, options))
}

class LayoutArchiveDestination implements StagedDestination {
  readonly name: string
  readonly rules = LAYOUT_RULES
  readonly #create: () => Promise<TarWriter>
  readonly #additions: IndexAddition[] = []
  /** Blobs that are in the archive or on their way. */
  readonly #blobs = new Map<Digest, Promise<void>>()
  #writer: Promise<TarWriter> | undefined

  /** @param create opens the archive, when the first blob comes. */
  constructor(name: string, create: () => Promise<TarWriter>) {
    this.name = name
    this.#create = create
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  ): Promise<BlobOutcome> {
    const { digest } = descriptor
    const known = this.#blobs.get(digest)
    const added = known ?? this.#add(descriptor, content)
    this.#blobs.set(digest, added)
    try {
      await added
    } catch (error) {
      this.#blobs.delete(digest)
      throw error
    }
    return known === undefined ? 'written' : 'present'
  }

  async putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options?: Parameters<ImageDestination['putManifest']>[1],
  ): Promise<void> {
    const { bytes, digest } = manifest
    const addition = indexAddition(manifest, options, `The manifest ${digest} for ${this.name}`)
    await this.putBlob({ digest, size: bytes.byteLength }, bytes)
    if (addition !== undefined) this.#additions.push(addition)
  }

  async commit(): Promise<void> {
    const index = extendLayoutIndex(undefined, this.#additions, `The file "index.json" of ${this.name}`)
    const writer = await this.#open()
    await writer.add('index.json', index.byteLength, index)
    await writer.add('oci-layout', LAYOUT_FILE.byteLength, LAYOUT_FILE)
    await writer.commit()
  }

  async abort(): Promise<void> {
    const writer = await this.#writer?.catch(() => undefined)
    await writer?.abort()
  }

  async #add(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  ): Promise<void> {
    const { digest, size } = descriptor
    const chunks = content instanceof Uint8Array ? chunksOf(content) : content()
    // A blob that is not to be had must not have got its place in the archive.
    const begun = await begin(verifiedStream(chunks, descriptor, `The blob ${digest} of ${this.name}`)).catch(
      (error: unknown) => {
        throw fileError(error, `The blob ${digest} of ${this.name} cannot be written`)
      },
    )
    const writer = await this.#open()
    await writer.add(blobFile(digest), size, () => begun)
  }

  async #open(): Promise<TarWriter> {
    this.#writer ??= this.#start()
    return await this.#writer
  }

  /** With the folders of the blobs: who is not root cannot unpack an archive without them (containers/storage). */
  async #start(): Promise<TarWriter> {
    const writer = await this.#create()
    await writer.addFolder('blobs')
    await writer.addFolder('blobs/sha256')
    return writer
  }
}

/** Waits for the first chunk of a stream. */
async function begin(chunks: AsyncIterable<Uint8Array>): Promise<AsyncIterable<Uint8Array>> {
  const iterator = chunks[Symbol.asyncIterator]()
  const first = await iterator.next()
  return {
    [Symbol.asyncIterator]: async function* () {
      try {
        for (let next = first; next.done !== true; next = await iterator.next()) yield next.value
      } finally {
        await iterator.return?.()
      }
    },
  }
}
