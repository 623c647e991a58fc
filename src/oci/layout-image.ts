import {
  CosignetError,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
  reasonOf,
} from '../core/index.ts'
import { checkDigest, type Digest, digestParts, isDigest } from './digest.ts'
import type { ImageFiles } from './layout-files.ts'
import { isAttachmentName, type LayoutEntry, parseLayoutIndex } from './layout-index.ts'
import { createReferrerList } from './layout-referrers.ts'
import { type Descriptor, type Manifest, parseManifest } from './manifest.ts'
import type { ImageSource } from './store.ts'

/** An image in a folder or an archive of its own. */
export interface LocalImage extends ImageSource {
  /** The manifest or index that was opened. */
  readonly root: Descriptor
}

/**
 * Opens an image of an OCI image layout (image-spec 1.1, image-layout.md), wherever its files are.
 * @param image name in the layout (`org.opencontainers.image.ref.name`) or place in its index, from 0. Default: the
 * only image that there is, not counting what goes with another one.
 * @throws NOT_FOUND if the layout has no such image; INVALID_REFERENCE if it has several and none is named;
 * INVALID_IMAGE if the files are not those of a layout; INVALID_MANIFEST, FILE, TOO_LARGE
 */
export async function openLayoutImage(files: ImageFiles, image?: string | number): Promise<LocalImage> {
  const shown = typeof image === 'number' ? `@${image}` : image
  const name = shown === undefined ? files.name : `${files.name}:${shown}`
  await checkLayoutVersion(files)
  const entries = await readEntries(files)

  const source = layoutSource(files, name, entries)
  return { ...source, root: await select(entries, image, name, source.getManifest) }
}

/**
 * Reads manifests and blobs of a layout by what its index says.
 * @param name for messages.
 */
export function layoutSource(files: ImageFiles, name: string, entries: readonly LayoutEntry[]): ImageSource {
  const readManifest = async (digest: Digest): Promise<Manifest> => {
    const what = `The manifest ${digest} of ${name}`
    const listed = entries.find(({ descriptor }) => descriptor.digest === digest)?.descriptor
    const bytes = await readBlobWhole(files, digest, what)
    checkDigest(bytes, digest, what)
    if (listed !== undefined && listed.size !== bytes.byteLength) {
      const reason = `${bytes.byteLength} bytes instead of ${listed.size}`
      throw new CosignetError('DIGEST_MISMATCH', `${what} has ${reason}.`)
    }
    return { ...parseManifest(bytes, listed?.mediaType, what), digest }
  }
  return {
    name,
    getManifest: async (tagOrDigest) => {
      if (isDigest(tagOrDigest)) return await readManifest(tagOrDigest)
      return await readManifest((await select(entries, tagOrDigest, name, readManifest)).digest)
    },
    getBlob: (descriptor, signal) => files.readBlob(blobFile(descriptor.digest), descriptor, signal),
    listReferrers: createReferrerList(files, entries, readManifest),
  }
}

/** Name of a blob's file below the layout. */
export function blobFile(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest)
  return `blobs/${algorithm}/${hex}`
}

/** @throws INVALID_IMAGE unless the files are those of a layout of version 1 */
export async function checkLayoutVersion(files: ImageFiles): Promise<void> {
  const what = `The file "oci-layout" of ${files.name}`
  let document: JsonValue
  try {
    document = parseJson(await files.readSmall('oci-layout', LIMITS.jsonBytes), what)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND', 'FILE', 'INVALID_JSON')) throw error
    throw new CosignetError(
      'INVALID_IMAGE',
      `${quote(files.name)} is not an OCI image layout: ${reasonOf(error)}.`,
      { cause: error },
    )
  }
  const version = (document as { readonly [key: string]: JsonValue } | null)?.['imageLayoutVersion']
  if (typeof version !== 'string' || !version.startsWith('1.')) {
    throw new CosignetError('INVALID_IMAGE', `${what} does not name a version 1 of the image layout.`)
  }
}

async function readEntries(files: ImageFiles): Promise<readonly LayoutEntry[]> {
  const what = `The file "index.json" of ${files.name}`
  try {
    return parseLayoutIndex(await files.readSmall('index.json', LIMITS.manifestBytes), what)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND')) throw error
    throw new CosignetError('INVALID_IMAGE', `${what} is not there.`, { cause: error })
  }
}

async function readBlobWhole(files: ImageFiles, digest: Digest, what: string): Promise<Uint8Array> {
  try {
    return await files.readSmall(blobFile(digest), LIMITS.manifestBytes)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND')) throw error
    throw new CosignetError('NOT_FOUND', `${what} is not there.`, { cause: error })
  }
}

async function select(
  entries: readonly LayoutEntry[],
  image: string | number | undefined,
  name: string,
  readManifest: (digest: Digest) => Promise<Manifest>,
): Promise<Descriptor> {
  const found =
    typeof image === 'number'
      ? entries.slice(image, image + 1)
      : image === undefined
        ? await withoutAttachments(entries, readManifest)
        : entries.filter((entry) => entry.name === image)
  const [first] = found
  if (first === undefined) throw new CosignetError('NOT_FOUND', `${name} holds no such image.`)
  // One image may have several names.
  if (new Set(found.map(({ descriptor }) => descriptor.digest)).size === 1) return first.descriptor
  const places = found.map((entry) => entry.name || `@${entries.indexOf(entry)}`)
  throw new CosignetError('INVALID_REFERENCE', `${name} holds ${found.length} images: name one of them.`, {
    hint: `There are ${quote(places.join(', '))}.`,
  })
}

/** Manifests are read only if the names do not tell. */
async function withoutAttachments(
  entries: readonly LayoutEntry[],
  readManifest: (digest: Digest) => Promise<Manifest>,
): Promise<readonly LayoutEntry[]> {
  if (entries.length < 2) return entries
  const images = entries.filter(({ name }) => !isAttachmentName(name))
  if (images.length < 2) return images
  const found: LayoutEntry[] = []
  for (const entry of images) {
    const { content } = await readManifest(entry.descriptor.digest)
    if (content.subject === undefined) found.push(entry)
  }
  return found
}
