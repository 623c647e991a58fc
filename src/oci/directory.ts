import { lstat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  fileError,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { checkDigest, type Digest, isDigest } from './digest.ts'
import {
  blobFileOf,
  digestOfManifestFile,
  isVersionText,
  manifestFileOf,
  ROOT_FILE,
  signatureFileOf,
  tagFileOf,
  VERSION_FILE,
} from './directory-names.ts'
import { folderFiles, type ImageFiles } from './layout-files.ts'
import type { LocalImage } from './layout-image.ts'
import { type Referrer, readReferrers } from './layout-referrers.ts'
import { type Manifest, parseManifest } from './manifest.ts'

/** An image in a folder of the form that skopeo calls `dir:`. */
export type DirectoryImage = LocalImage & Required<Pick<LocalImage, 'listSignatures'>>

const VERSION_BYTES_MAX = 100

/**
 * Opens a folder in the form that skopeo calls `dir:` (containers/image, directory): one image, its manifest in
 * `manifest.json`. Manifests under cosign's tags, which skopeo does not keep, are found in `<tag>.manifest.json`.
 * @throws INVALID_IMAGE if it is not such a folder, or of a newer version; INVALID_MANIFEST, INVALID_JSON, TOO_LARGE,
 * FILE
 */
export async function openDirectory(path: string): Promise<DirectoryImage> {
  const name = `dir:${path}`
  const files = folderFiles(path, name)
  await checkVersion(files)
  const root = await readRoot(files)
  const readManifest = async (digest: Digest): Promise<Manifest> => {
    const what = `The manifest ${digest} of ${name}`
    if (digest === root.digest) return root
    const bytes = await readNamed(files, manifestFileOf(digest), what)
    checkDigest(bytes, digest, what)
    return { ...parseManifest(bytes, undefined, what), digest }
  }
  let referrers: Promise<readonly Referrer[]> | undefined
  return {
    name,
    root: { mediaType: root.mediaType, digest: root.digest, size: root.bytes.byteLength },
    getManifest: async (tagOrDigest) => {
      if (isDigest(tagOrDigest)) return await readManifest(tagOrDigest)
      const what = `The manifest ${quote(tagOrDigest)} of ${name}`
      const file = tagFileOf(tagOrDigest)
      if (file === undefined)
        throw new CosignetError('NOT_FOUND', `${what} is not there: it holds one image.`)
      return parseManifest(await readNamed(files, file, what), undefined, what)
    },
    getBlob: (descriptor, signal) => files.readBlob(blobFileOf(descriptor.digest), descriptor, signal),
    listReferrers: async (subject) => {
      referrers ??= listManifests(files).then((digests) => readReferrers(digests, readManifest))
      const found = (await referrers).filter((referrer) => referrer.subject === subject)
      if (found.length > LIMITS.referrers) throw tooMany(name, `referrers of ${subject}`, LIMITS.referrers)
      return found.map(({ descriptor }) => descriptor)
    },
    listSignatures: async (digest) =>
      await readSignatures(path, name, digest === root.digest ? undefined : digest),
  }
}

/** Like skopeo, takes a folder without a version. */
async function checkVersion(files: ImageFiles): Promise<void> {
  try {
    const text = decodeUtf8(await files.readSmall(VERSION_FILE, VERSION_BYTES_MAX)) ?? ''
    if (isVersionText(text)) return
    throw new CosignetError(
      'INVALID_IMAGE',
      `${files.name} is of a version that is not known: ${quote(text)}.`,
    )
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND')) throw error
  }
}

async function readRoot(files: ImageFiles): Promise<Manifest> {
  const what = `The file ${quote(ROOT_FILE)} of ${files.name}`
  try {
    return parseManifest(await files.readSmall(ROOT_FILE, LIMITS.manifestBytes), undefined, what)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND')) throw error
    throw new CosignetError('INVALID_IMAGE', `${files.name} is not a dir: image: it has no ${ROOT_FILE}.`, {
      cause: error,
    })
  }
}

async function readNamed(files: ImageFiles, file: string, what: string): Promise<Uint8Array> {
  try {
    return await files.readSmall(file, LIMITS.manifestBytes)
  } catch (error) {
    if (!isCosignetError(error, 'NOT_FOUND')) throw error
    throw new CosignetError('NOT_FOUND', `${what} is not there.`, { cause: error })
  }
}

async function listManifests(files: ImageFiles): Promise<readonly Digest[]> {
  const found: Digest[] = []
  for await (const file of files.list('')) {
    const digest = digestOfManifestFile(file)
    if (digest !== undefined && isDigest(digest)) found.push(digest)
    if (found.length > LIMITS.unlistedBlobs) throw tooMany(files.name, 'manifests', LIMITS.unlistedBlobs)
  }
  return found
}

/** @param digest of the manifest; undefined for the image's own. */
async function readSignatures(
  path: string,
  name: string,
  digest: Digest | undefined,
): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = []
  let bytes = 0
  for (;;) {
    const signature = await readSignature(join(path, signatureFileOf(digest, found.length + 1)))
    if (signature === undefined) return found
    found.push(signature)
    bytes += signature.byteLength
    if (found.length > LIMITS.signatures) throw tooMany(name, 'signatures', LIMITS.signatures)
    if (bytes > LIMITS.payloadsBytes) throw tooMany(name, 'bytes of signatures', LIMITS.payloadsBytes)
  }
}

/**
 * No digest covers a signature, and a copy passes it on as it is: a link could make it any file of this machine, so
 * only a plain file is read.
 */
async function readSignature(path: string): Promise<Uint8Array | undefined> {
  try {
    const stats = await lstat(path)
    if (stats.isFile()) return await readFileBounded(path, LIMITS.payloadBytes, 'signature')
    throw new CosignetError('FILE', `The signature ${quote(path)} cannot be read: it is not a plain file.`)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, `The signature ${quote(path)} cannot be read`)
  }
}

function tooMany(name: string, what: string, limit: number): CosignetError {
  return new CosignetError('TOO_LARGE', `${name} has more than the limit of ${limit} ${what}.`)
}
