import { CosignetError, LIMITS } from '../core/index.ts'
import {
  type Digest,
  formatReference,
  type ImageLocation,
  type ImageSource,
  isManifestMediaType,
  type Manifest,
  parseLocation,
  parseReference,
  type Reference,
  repositoryName,
} from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { formatLocation, type OpenedImage, openImage, type PlaceAccess } from './image-access.ts'

/** An image to sign, found. */
export interface SignSubject {
  readonly location: ImageLocation
  /** The manifests to sign: that of the image or index, then what is in the index. */
  readonly digests: readonly Digest[]
  /** Reads one of them. @throws as `ImageSource.getManifest` */
  getManifest(digest: Digest, signal?: AbortSignal): Promise<Manifest>
}

/** Indexes within indexes that are signed. */
const DEPTH_MAX = 4

const TRANSPORT = /^(?:docker:\/\/|oci:|dir:|oci-archive:|docker-archive:|docker-daemon:)/

/** Reads the name of an image to sign: a reference, or a location as skopeo spells it. @throws INVALID_REFERENCE */
export function parseImageName(text: string): ImageLocation {
  if (TRANSPORT.test(text)) return parseLocation(text)
  return { transport: 'docker', reference: parseReference(text) }
}

/** The reference by which an image is known; undefined where a folder or a file holds it under no such name. */
export function referenceOf(location: ImageLocation): Reference | undefined {
  if (location.transport === 'docker') return location.reference
  if (location.transport === 'docker-archive') return location.reference
  return location.transport === 'docker-daemon' && !('id' in location.name) ? location.name : undefined
}

/** How a manifest of an image is called in results. */
export function nameOfManifest(location: ImageLocation, digest: Digest): string {
  const reference = referenceOf(location)
  return `${reference === undefined ? formatLocation(location) : repositoryName(reference)}@${digest}`
}

/**
 * Finds what an image is now, and lends it to `use`.
 * @param options.recursive whether what is in an index is signed too.
 * @throws as `openImage`; TOO_LARGE for an index without an end
 */
export async function withSubject<T>(
  cli: Cli,
  location: ImageLocation,
  access: PlaceAccess,
  options: { readonly recursive: boolean; readonly signal: AbortSignal },
  use: (subject: SignSubject) => Promise<T>,
): Promise<T> {
  const { recursive, signal } = options
  const image = await openToSign(location, access)
  try {
    const { source, from } = image
    // Read and not only looked up: what is signed is the digest of these bytes, not the registry's word.
    const root =
      source.makesManifests === true ? await made(image, signal) : await source.getManifest(from, signal)
    if (referenceOf(location)?.digest === undefined) {
      cli.say(`Signing ${shown(location)}, which is ${root.digest} now.`)
    }
    return await use({
      location,
      digests: recursive ? await withChildren(source, root, signal) : [root.digest],
      getManifest: async (digest, either) =>
        digest === root.digest ? root : await source.getManifest(digest, either),
    })
  } finally {
    await image.close()
  }
}

async function made(image: OpenedImage, signal: AbortSignal): Promise<Manifest> {
  const { manifestWhenPushed } = await import('./sign-unpushed.ts')
  return await manifestWhenPushed(image, signal)
}

/** Looked up where it is signed: a mirror that lags behind would have an old image signed. */
async function openToSign(location: ImageLocation, access: PlaceAccess): Promise<OpenedImage> {
  if (location.transport !== 'docker') return await openImage(location, access)
  return await openImage(location, { ...access, openSource: (reference) => access.open(reference) })
}

/** Each manifest of a tree once, the outermost first. Images are named by their index and not read. */
async function withChildren(
  source: ImageSource,
  root: Manifest,
  signal: AbortSignal,
): Promise<readonly Digest[]> {
  const found = new Set<Digest>([root.digest])
  let level: readonly Manifest[] = [root]
  for (let depth = 0; level.length > 0; depth += 1) {
    const next: Digest[] = []
    for (const { content } of level) {
      if (content.kind !== 'index') continue
      for (const { digest, mediaType } of content.manifests) {
        if (!found.has(digest) && isIndex(mediaType)) next.push(digest)
        found.add(digest)
      }
    }
    if (found.size > LIMITS.indexEntries + 1 || depth === DEPTH_MAX) throw tooLarge(source, root)
    level = await Promise.all(next.map((digest) => source.getManifest(digest, signal)))
  }
  return [...found]
}

function isIndex(mediaType: string): boolean {
  return isManifestMediaType(mediaType) && /(?:index|list)\.v\d\+json$/.test(mediaType)
}

function shown(location: ImageLocation): string {
  return location.transport === 'docker' ? formatReference(location.reference) : formatLocation(location)
}

function tooLarge(source: ImageSource, { digest }: Manifest): CosignetError {
  return new CosignetError(
    'TOO_LARGE',
    `${source.name}@${digest} has more than ${LIMITS.indexEntries} manifests, or nests more than ${DEPTH_MAX} indexes.`,
  )
}
