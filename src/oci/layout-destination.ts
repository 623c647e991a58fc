import { readdir, rmdir, stat, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  CosignetError,
  encodeUtf8,
  errnoOf,
  fileError,
  isCosignetError,
  LIMITS,
  makeFolder,
  quote,
  syncDirectory,
  writeFileAtomically,
} from '../core/index.ts'
import { writeBlobFile } from './blob-files.ts'
import { checkDigest, type Digest } from './digest.ts'
import { folderFiles, type ImageFiles } from './layout-files.ts'
import { blobFile, checkLayoutVersion, layoutSource } from './layout-image.ts'
import {
  extendLayoutIndex,
  type IndexAddition,
  isAttachmentName,
  parseLayoutIndex,
  UNNAMED,
} from './layout-index.ts'
import { type Sleep, withLock } from './layout-lock.ts'
import { type Descriptor, MANIFEST_MEDIA_TYPES, type Manifest, parseManifest } from './manifest.ts'
import type {
  BlobOutcome,
  DestinationRules,
  ImageDestination,
  ImageSource,
  StagedDestination,
} from './store.ts'

/** A layout holds manifests of any type: what refers to an image needs its bytes as they are. */
export const LAYOUT_RULES: DestinationRules = {
  manifests: MANIFEST_MEDIA_TYPES,
  prefers: 'oci',
  attached: true,
  compressed: true,
}

/** The content of the file `oci-layout` (image-spec 1.1, image-layout.md). */
export const LAYOUT_FILE: Uint8Array = encodeUtf8('{"imageLayoutVersion":"1.0.0"}')

export interface LayoutOptions {
  /** Waits for the lock of another writer. Default: a timer. */
  readonly sleep?: Sleep
}

/** A layout being written; it reads as it will be after `commit`. */
export type WritableLayout = StagedDestination & ImageSource

/**
 * Writes images to a folder as an OCI image layout, a new one or one that is there. Blobs are stored as they come;
 * `index.json` changes at `commit`, all at once, and keeps what others added in the meantime.
 *
 * `putManifest` with a tag gives the manifest that name (`UNNAMED`: an entry without one, as skopeo writes for
 * `oci:path`); without a tag a manifest that has a `subject` gets an entry, so that it is found, and others none.
 *
 * A blob whose file is there with its size is taken as it is: files get their names only when they are whole, and
 * every reader checks the digest.
 * @throws INVALID_IMAGE if there is something else than a layout in the folder; FILE
 */
export async function createLayout(path: string, options: LayoutOptions = {}): Promise<WritableLayout> {
  const files = folderFiles(path, `oci:${path}`)
  if (!(await isEmpty(path))) await checkLayoutVersion(files)
  const index = await readIndex(files)
  if (index !== undefined) parseLayoutIndex(index, describeIndex(files))
  return new LayoutDestination({ path: resolve(path), files, index, sleep: options.sleep })
}

/** The entry that a manifest gets in `index.json`, if it gets one. @throws DIGEST_MISMATCH, INVALID_MANIFEST */
export function indexAddition(
  manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
  options: PutManifestOptions = {},
  what: string,
): IndexAddition | undefined {
  const { bytes, digest, mediaType } = manifest
  checkDigest(bytes, digest, what)
  const { subject } = parseManifest(bytes, mediaType, what).content
  if (options.tag === undefined && subject === undefined) return undefined
  return {
    descriptor: { mediaType, digest, size: bytes.byteLength },
    name: options.tag ?? UNNAMED,
    ifMatch: options.ifMatch,
    isImage: options.tag !== undefined && !isAttachmentName(options.tag),
  }
}

type PutManifestOptions = Parameters<ImageDestination['putManifest']>[1]

interface LayoutTarget {
  readonly path: string
  readonly files: ImageFiles
  /** `index.json` when the layout was opened. */
  readonly index: Uint8Array | undefined
  readonly sleep: Sleep | undefined
}

class LayoutDestination implements WritableLayout {
  readonly name: string
  readonly rules = LAYOUT_RULES
  readonly #target: LayoutTarget
  readonly #additions: IndexAddition[] = []
  /** Size of each blob that was put. */
  readonly #blobs = new Map<Digest, number>()
  /** Files and folders that were not there before. */
  readonly #newFiles = new Set<string>()
  readonly #newFolders = new Set<string>()
  #prepared: Promise<void> | undefined
  #done = false

  constructor(target: LayoutTarget) {
    this.name = target.files.name
    this.#target = target
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  ): Promise<BlobOutcome> {
    const { digest, size } = descriptor
    await this.#prepare()
    const path = join(this.#target.path, blobFile(digest))
    const there = await this.#sizeOf(path)
    const present = there === size && (await this.#holds(digest, content))
    if (!present) {
      await this.#makeFolder(dirname(path))
      await writeBlobFile(path, descriptor, content, `The blob ${digest} of ${this.name}`)
      if (there === undefined) this.#newFiles.add(path)
    }
    this.#blobs.set(digest, size)
    return present ? 'present' : 'written'
  }

  async putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options?: PutManifestOptions,
  ): Promise<void> {
    const { bytes, digest } = manifest
    const addition = indexAddition(manifest, options, `The manifest ${digest} for ${this.name}`)
    await this.putBlob({ digest, size: bytes.byteLength }, bytes)
    if (addition !== undefined) this.#additions.push(addition)
  }

  async getManifest(tagOrDigest: string | Digest): Promise<Manifest> {
    return await (await this.#view()).getManifest(tagOrDigest)
  }

  getBlob(descriptor: Pick<Descriptor, 'digest' | 'size'>, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#target.files.readBlob(blobFile(descriptor.digest), descriptor, signal)
  }

  async listReferrers(digest: Digest): Promise<readonly Descriptor[]> {
    return await (await this.#view()).listReferrers(digest)
  }

  async commit(): Promise<void> {
    const { path, sleep } = this.#target
    await this.#prepare()
    try {
      await syncDirectory(join(path, 'blobs'))
      const update = async (): Promise<void> => {
        await this.#checkBlobs()
        await this.#writeLayoutFile()
        await writeFileAtomically(join(path, 'index.json'), await this.#extendIndex(), { mode: 0o644 })
      }
      await withLock(join(path, 'index.json.lock'), update, sleep)
    } catch (error) {
      throw fileError(error, `${this.name} cannot be written`)
    }
    this.#done = true
  }

  async abort(): Promise<void> {
    if (this.#done) return
    this.#done = true
    await this.#prepared?.catch(() => undefined)
    // Who committed since may have found a blob of this run there, and needs it.
    if (!(await this.#isIndexUntouched())) return
    for (const file of this.#newFiles) await unlink(file).catch(() => undefined)
    // The innermost first; a folder stays if there is anything in it.
    const folders = [...this.#newFolders].sort((a, b) => b.length - a.length)
    for (const folder of folders) await rmdir(folder).catch(() => undefined)
  }

  async #extendIndex(): Promise<Uint8Array> {
    const { files } = this.#target
    return extendLayoutIndex(await readIndex(files), this.#additions, describeIndex(files))
  }

  async #view(): Promise<ImageSource> {
    const { files } = this.#target
    return layoutSource(files, this.name, parseLayoutIndex(await this.#extendIndex(), describeIndex(files)))
  }

  /** Makes the layout when the first blob comes, so that who only opens a destination changes nothing. */
  async #prepare(): Promise<void> {
    const prepare = async (): Promise<void> => {
      // First what makes the folder a layout: another writer may look, or this one be killed.
      await this.#makeFolder(this.#target.path)
      await this.#writeLayoutFile()
      await this.#makeFolder(join(this.#target.path, 'blobs'))
    }
    this.#prepared ??= prepare()
    await this.#prepared
  }

  async #writeLayoutFile(): Promise<void> {
    const path = join(this.#target.path, 'oci-layout')
    if ((await this.#sizeOf(path)) !== undefined) return
    await writeFileAtomically(path, LAYOUT_FILE, { mode: 0o644 })
    this.#newFiles.add(path)
  }

  async #makeFolder(path: string): Promise<void> {
    try {
      for (const folder of await makeFolder(path)) this.#newFolders.add(folder)
    } catch (error) {
      throw fileError(error, `The folder ${quote(path)} cannot be made`)
    }
  }

  async #sizeOf(path: string): Promise<number | undefined> {
    try {
      const stats = await stat(path)
      return stats.isFile() ? stats.size : -1
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined
      throw fileError(error, `The file ${quote(path)} cannot be read`)
    }
  }

  /** What is at hand in memory, as manifests are, is compared. */
  async #holds(digest: Digest, content: Uint8Array | (() => AsyncIterable<Uint8Array>)): Promise<boolean> {
    if (!(content instanceof Uint8Array)) return true
    const there = await this.#target.files.readSmall(blobFile(digest), content.byteLength)
    return Buffer.compare(there, content) === 0
  }

  /** Another writer that gave up may have taken a blob away that was there when this one asked. */
  async #checkBlobs(): Promise<void> {
    for (const [digest, size] of this.#blobs) {
      if ((await this.#sizeOf(join(this.#target.path, blobFile(digest)))) === size) continue
      throw new CosignetError('CONFLICT', `Another process removed the blob ${digest} of ${this.name}.`, {
        hint: 'Repeat the copy.',
      })
    }
  }

  async #isIndexUntouched(): Promise<boolean> {
    const { files, index } = this.#target
    try {
      const now = await readIndex(files)
      return now === undefined ? index === undefined : index !== undefined && Buffer.compare(now, index) === 0
    } catch {
      return false
    }
  }
}

/** Whether there is nothing, or nothing but the start of a layout. */
async function isEmpty(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).every((name) => /^\.oci-layout\.[0-9a-f]+\.tmp$/.test(name))
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return true
    throw fileError(error, `The folder ${quote(path)} cannot be read`)
  }
}

async function readIndex(files: ImageFiles): Promise<Uint8Array | undefined> {
  try {
    return await files.readSmall('index.json', LIMITS.manifestBytes)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

function describeIndex({ name }: ImageFiles): string {
  return `The file "index.json" of ${name}`
}
