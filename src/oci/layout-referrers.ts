import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import { type Digest, digestParts, isDigest } from './digest.ts'
import type { ImageFiles } from './layout-files.ts'
import { isSavedByCosign, type LayoutEntry } from './layout-index.ts'
import { type Descriptor, isManifestMediaType, type Manifest, parseManifest } from './manifest.ts'

type ReadManifest = (digest: Digest) => Promise<Manifest>

/** A manifest that has a subject. */
export interface Referrer {
  readonly subject: Digest
  readonly descriptor: Descriptor
}

/** Manifests that `cosign save` puts beside the image without an entry: bundles of a kilobyte. */
const UNLISTED_BYTES_MAX = 64 * 1024

/**
 * Makes the function that lists what refers to an image in a layout: the manifests of its index with that `subject`,
 * as ORAS keeps them, those of the list under the tag `sha256-<hex>`, as regclient keeps them, and those that
 * `cosign save` leaves out of its index. What is listed and not there is passed over: a layout may be sparse.
 * @returns throws DIGEST_MISMATCH, INVALID_MANIFEST, TOO_LARGE beyond `LIMITS.referrers`, FILE
 */
export function createReferrerList(
  files: ImageFiles,
  entries: readonly LayoutEntry[],
  readManifest: ReadManifest,
): (subject: Digest) => Promise<readonly Descriptor[]> {
  let listed: Promise<readonly Referrer[]> | undefined
  return async (subject) => {
    listed ??= readListed(files, entries, readManifest)
    const tagged = await readTagged(entries, subject, readManifest)
    const found = [...(await listed), ...tagged].filter((referrer) => referrer.subject === subject)
    const unique = new Map(found.map(({ descriptor }) => [descriptor.digest, descriptor]))
    if (unique.size > LIMITS.referrers) throw tooMany(files, `referrers of ${subject}`, LIMITS.referrers)
    return [...unique.values()]
  }
}

/**
 * Reads manifests and keeps those that have a subject; what is not there is passed over.
 * @throws TOO_LARGE beyond `LIMITS.referrersBytes`, and as `readManifest`
 */
export async function readReferrers(
  digests: readonly Digest[],
  readManifest: ReadManifest,
): Promise<readonly Referrer[]> {
  const found: Referrer[] = []
  let bytes = 0
  for (const digest of digests) {
    try {
      const manifest = await readManifest(digest)
      const { subject } = manifest.content
      if (subject === undefined) continue
      bytes += manifest.bytes.byteLength
      if (bytes > LIMITS.referrersBytes) {
        const limit = `the limit of ${LIMITS.referrersBytes} bytes`
        throw new CosignetError('TOO_LARGE', `The manifests that refer to others are larger than ${limit}.`)
      }
      found.push({ subject: subject.digest, descriptor: describeReferrer(manifest) })
    } catch (error) {
      if (!isCosignetError(error, 'NOT_FOUND')) throw error
    }
  }
  return found
}

/** What a registry's referrers API answers for a manifest (distribution-spec 1.1, "Listing Referrers"). */
function describeReferrer({ bytes, digest, mediaType, content }: Manifest): Descriptor {
  const config = content.kind === 'image' ? content.config.mediaType : undefined
  const artifactType = content.artifactType ?? config
  return {
    mediaType,
    digest,
    size: bytes.byteLength,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(content.annotations === undefined ? {} : { annotations: content.annotations }),
  }
}

async function readListed(
  files: ImageFiles,
  entries: readonly LayoutEntry[],
  readManifest: ReadManifest,
): Promise<readonly Referrer[]> {
  const digests = manifestsAmong(entries.map(({ descriptor }) => descriptor))
  const listed = await readReferrers(digests, readManifest)
  return isSavedByCosign(entries) ? [...listed, ...(await readUnlisted(files, entries))] : listed
}

async function readTagged(
  entries: readonly LayoutEntry[],
  subject: Digest,
  readManifest: ReadManifest,
): Promise<readonly Referrer[]> {
  const { algorithm, hex } = digestParts(subject)
  const tag = `${algorithm}-${hex.slice(0, 64)}`
  const entry = entries.find(({ name }) => name === tag)?.descriptor
  const list = entry === undefined ? undefined : await readManifest(entry.digest)
  if (list?.content.kind !== 'index') return []
  return await readReferrers(manifestsAmong(list.content.manifests), readManifest)
}

function manifestsAmong(descriptors: readonly Descriptor[]): readonly Digest[] {
  return descriptors.filter(({ mediaType }) => isManifestMediaType(mediaType)).map(({ digest }) => digest)
}

async function readUnlisted(
  files: ImageFiles,
  entries: readonly LayoutEntry[],
): Promise<readonly Referrer[]> {
  const known = new Set<string>(entries.map(({ descriptor }) => descriptor.digest))
  const found: Referrer[] = []
  let seen = 0
  for await (const hex of files.list('blobs/sha256')) {
    const digest = `sha256:${hex}`
    if (!isDigest(digest) || known.has(digest)) continue
    seen += 1
    if (seen > LIMITS.unlistedBlobs) throw tooMany(files, 'blobs', LIMITS.unlistedBlobs)
    const referrer = await readIfReferrer(files, digest)
    if (referrer !== undefined) found.push(referrer)
  }
  return found
}

/** Any blob may be met here: most are no manifests, and no concern of a list of referrers. */
async function readIfReferrer(files: ImageFiles, digest: Digest): Promise<Referrer | undefined> {
  const what = `The manifest ${digest} of ${files.name}`
  try {
    const bytes = await files.readSmall(`blobs/sha256/${digestParts(digest).hex}`, UNLISTED_BYTES_MAX)
    const manifest = parseManifest(bytes, undefined, what)
    const { subject } = manifest.content
    if (manifest.digest !== digest || subject === undefined) return undefined
    return { subject: subject.digest, descriptor: describeReferrer(manifest) }
  } catch (error) {
    if (isCosignetError(error, 'TOO_LARGE', 'INVALID_JSON', 'INVALID_MANIFEST')) return undefined
    throw error
  }
}

function tooMany(files: ImageFiles, what: string, limit: number): CosignetError {
  return new CosignetError('TOO_LARGE', `${files.name} has more than the limit of ${limit} ${what}.`)
}
