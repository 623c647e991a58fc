import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import {
  CosignetError,
  errnoOf,
  fileError,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
  readFileBounded,
  reasonOf,
} from '../core/index.ts'
import { checkDigest, type Digest, digestParts, isDigest } from './digest.ts'
import { type Descriptor, type IndexManifest, type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import type { ImageSource } from './store.ts'
import { verifiedStream } from './verified-stream.ts'

/** An image in an OCI image layout. */
export interface LayoutImage extends ImageSource {
  /** The entry of `index.json` that the layout was opened for. */
  readonly root: Descriptor
}

const REF_NAME = 'org.opencontainers.image.ref.name'
const READ_BYTES = 256 * 1024

/**
 * Opens a folder as an OCI image layout (image-spec 1.1, image-layout.md). Blobs are found by digest only, so that no
 * file of the layout can name one outside of it.
 * @param ref name of the image in the layout (`org.opencontainers.image.ref.name`). Default: the only one.
 * @throws NOT_FOUND if the layout has no such image; INVALID_REFERENCE if it has several and none is named;
 * INVALID_IMAGE if the folder is not a layout; INVALID_MANIFEST, FILE, TOO_LARGE
 */
export async function openLayout(path: string, ref?: string): Promise<LayoutImage> {
  const name = ref === undefined ? `oci:${path}` : `oci:${path}:${ref}`
  await checkVersion(path)
  const index = await readIndex(path)
  const root = select(index, ref, name)

  const readManifest = async (digest: Digest, mediaType: string | undefined): Promise<Manifest> => {
    const what = `The manifest ${digest} of ${name}`
    const bytes = await readBlobFile(path, digest, LIMITS.manifestBytes, what)
    checkDigest(bytes, digest, what)
    return parseManifest(bytes, mediaType, what)
  }

  return {
    name,
    root,
    getManifest: async (tagOrDigest) => {
      if (!isDigest(tagOrDigest)) {
        const { digest, mediaType } = select(index, tagOrDigest, name)
        return await readManifest(digest, mediaType)
      }
      const entry = index.manifests.find(({ digest }) => digest === tagOrDigest)
      return await readManifest(tagOrDigest, entry?.mediaType)
    },
    getBlob: (descriptor) => readBlob(path, descriptor, name),
    listReferrers: async (subject) => {
      const found: Descriptor[] = []
      for (const entry of index.manifests) {
        const { content, bytes, mediaType, digest } = await readManifest(entry.digest, entry.mediaType)
        if (content.subject?.digest !== subject) continue
        found.push(describeReferrer({ mediaType, digest, size: bytes.byteLength }, content))
      }
      return found
    },
  }
}

async function checkVersion(path: string): Promise<void> {
  const what = `The file ${quote(join(path, 'oci-layout'))}`
  let document: JsonValue
  try {
    document = parseJson(
      await readFileBounded(join(path, 'oci-layout'), LIMITS.jsonBytes, 'layout file'),
      what,
    )
  } catch (error) {
    if (!isCosignetError(error, 'FILE', 'INVALID_JSON')) throw error
    throw new CosignetError(
      'INVALID_IMAGE',
      `${quote(path)} is not an OCI image layout: ${reasonOf(error)}.`,
      {
        cause: error,
      },
    )
  }
  const version = (document as { readonly [key: string]: JsonValue } | null)?.['imageLayoutVersion']
  if (typeof version !== 'string' || !version.startsWith('1.')) {
    throw new CosignetError('INVALID_IMAGE', `${what} does not name a version 1 of the image layout.`)
  }
}

async function readIndex(path: string): Promise<IndexManifest> {
  const file = join(path, 'index.json')
  const bytes = await readFileBounded(file, LIMITS.manifestBytes, 'index of the layout')
  const { content } = parseManifest(bytes, MEDIA_TYPES.ociIndex, `The file ${quote(file)}`)
  if (content.kind === 'index') return content
  throw new CosignetError('INVALID_IMAGE', `The file ${quote(file)} is not an index.`)
}

function select(index: IndexManifest, ref: string | undefined, name: string): Descriptor {
  const found = index.manifests.filter(
    ({ annotations }) => ref === undefined || annotations?.[REF_NAME] === ref,
  )
  const [first] = found
  if (first === undefined) throw new CosignetError('NOT_FOUND', `${name} holds no such image.`)
  if (found.length === 1) return first
  const refs = found.map(({ annotations, digest }) => annotations?.[REF_NAME] ?? digest)
  throw new CosignetError('INVALID_REFERENCE', `${name} holds ${found.length} images: name one of them.`, {
    hint: `There are ${quote(refs.join(', '))}.`,
  })
}

/** What a registry's referrers API answers for a manifest (distribution-spec 1.1, "Listing Referrers"). */
function describeReferrer(descriptor: Descriptor, content: Manifest['content']): Descriptor {
  const config = content.kind === 'image' ? content.config.mediaType : undefined
  const artifactType = content.artifactType ?? config
  return {
    ...descriptor,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(content.annotations === undefined ? {} : { annotations: content.annotations }),
  }
}

async function* readBlob(
  path: string,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const what = `The blob ${descriptor.digest} of ${name}`
  const chunks = createReadStream(blobPath(path, descriptor.digest), { highWaterMark: READ_BYTES })
  try {
    yield* verifiedStream(chunks, descriptor, what)
  } catch (error) {
    throw isCosignetError(error) ? error : blobError(error, what)
  }
}

async function readBlobFile(path: string, digest: Digest, limit: number, what: string): Promise<Uint8Array> {
  try {
    return await readFileBounded(blobPath(path, digest), limit, 'blob of the layout')
  } catch (error) {
    if (isCosignetError(error, 'FILE')) throw blobError(error.cause, what)
    throw error
  }
}

function blobPath(path: string, digest: Digest): string {
  const { algorithm, hex } = digestParts(digest)
  return join(path, 'blobs', algorithm, hex)
}

function blobError(error: unknown, what: string): CosignetError {
  if (errnoOf(error) === 'ENOENT')
    return new CosignetError('NOT_FOUND', `${what} is not there.`, { cause: error })
  return fileError(error, `${what} cannot be read`)
}
