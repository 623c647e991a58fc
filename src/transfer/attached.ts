import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import { type Digest, digestParts, type ImageSource, type Manifest } from '../oci/index.ts'
import { parallel } from './parallel.ts'
import { readTree } from './read-image.ts'
import type { SignedSource } from './signature-tags.ts'

/** Something that refers to an image: a signature, an attestation, an SBOM. */
export interface Attached {
  /** Digest of the manifest that it refers to. */
  readonly subject: Digest
  /** Its own tag, `sha256-<hex>.sig`; a referrer has none. */
  readonly tag?: string
  readonly manifest: Manifest
  /** Its manifest, after those that it names if it is an index. */
  readonly manifests: readonly Manifest[]
}

/** Names something that refers to an image. */
export interface AttachedName {
  readonly subject: Digest
  readonly digest: Digest
  readonly tag?: string
}

/** The name of something that refers to an image. */
export function attachedName({ subject, manifest, tag }: Attached): AttachedName {
  return { subject, digest: manifest.digest, ...(tag === undefined ? {} : { tag }) }
}

/** What cosign hangs beside an image, by the end of its tag (cosign, pkg/oci/remote/remote.go). */
const TAG_SUFFIXES = ['sig', 'att', 'sbom'] as const

/** Requests for one image or another that are under way at once. */
const PARALLEL = 8

/**
 * Finds what refers to manifests: cosign's tags and OCI referrers, and what refers to those in turn. A referrer counts
 * only if its own `subject` says so.
 * @param digests of manifests in the source.
 * @returns what refers to something after that to which it refers.
 * @throws TOO_LARGE, and what the source throws
 */
export async function findAttached(
  source: ImageSource,
  digests: readonly Digest[],
  signal?: AbortSignal,
): Promise<readonly Attached[]> {
  const found: Attached[] = []
  const seen = new Set<Digest>(digests)
  for (let level = [...seen]; level.length > 0; ) {
    const lists = await parallel(level, PARALLEL, `Reading ${source.name}`, signal, (digest, either) =>
      attachedTo(source, digest, either),
    )
    level = []
    for (const attached of lists.flat()) {
      found.push(attached)
      const { digest } = attached.manifest
      if (!seen.has(digest)) level.push(digest)
      seen.add(digest)
    }
    if (found.length > LIMITS.referrers) {
      throw new CosignetError(
        'TOO_LARGE',
        `More than ${LIMITS.referrers} signatures and other referrers hang at the image in ${source.name}.`,
      )
    }
  }
  return found
}

/**
 * Finds the OpenPGP signatures of manifests, which refer to nothing else and to which nothing refers.
 * @returns those that have any.
 * @throws INVALID_SIGNATURE, TOO_LARGE, and what the source throws
 */
export async function findOpenPgp(
  source: SignedSource,
  digests: readonly Digest[],
  signal?: AbortSignal,
): Promise<ReadonlyMap<Digest, readonly Uint8Array[]>> {
  let bytes = 0
  const found = await parallel(
    digests,
    PARALLEL,
    `Reading ${source.name}`,
    signal,
    async (digest, either) => {
      const signatures = await source.listOpenPgp(digest, either)
      bytes += signatures.reduce((sum, { byteLength }) => sum + byteLength, 0)
      if (bytes <= LIMITS.payloadsBytes) return [digest, signatures] as const
      throw new CosignetError(
        'TOO_LARGE',
        `The signatures of the image in ${source.name} are larger than the limit of ${LIMITS.payloadsBytes} bytes.`,
      )
    },
  )
  return new Map(found.filter(([, signatures]) => signatures.length > 0))
}

async function attachedTo(
  source: ImageSource,
  subject: Digest,
  signal: AbortSignal,
): Promise<readonly Attached[]> {
  const { algorithm, hex } = digestParts(subject)
  // The tag of a SHA-512 digest would be longer than a tag may be, so nothing can hang there.
  const tags = algorithm === 'sha256' ? TAG_SUFFIXES.map((suffix) => `${algorithm}-${hex}.${suffix}`) : []
  const [tagged, referrers] = await Promise.all([
    Promise.all(tags.map((tag) => readTagged(source, subject, tag, signal))),
    readReferrers(source, subject, signal),
  ])
  const isTagged = new Set(tagged.map((one) => one?.manifest.digest))
  return [
    ...tagged.filter((one) => one !== undefined),
    ...referrers.filter(({ manifest }) => !isTagged.has(manifest.digest)),
  ]
}

async function readTagged(
  source: ImageSource,
  subject: Digest,
  tag: string,
  signal: AbortSignal,
): Promise<Attached | undefined> {
  const manifest = await getIfThere(source, tag, signal)
  if (manifest === undefined) return undefined
  return { subject, tag, manifest, manifests: await readTree(source, manifest, signal) }
}

async function readReferrers(
  source: ImageSource,
  subject: Digest,
  signal: AbortSignal,
): Promise<readonly Attached[]> {
  const descriptors = await source.listReferrers(subject, signal)
  const digests = [...new Set(descriptors.map(({ digest }) => digest))]
  const referrers = await parallel(
    digests,
    PARALLEL,
    `Reading ${source.name}`,
    signal,
    async (digest, either) => {
      const manifest = await getIfThere(source, digest, either)
      // A list may name what was deleted since, and whoever writes the list may name anything.
      if (manifest?.content.subject?.digest !== subject) return undefined
      return { subject, manifest, manifests: await readTree(source, manifest, either) }
    },
  )
  return referrers.filter((one) => one !== undefined)
}

async function getIfThere(
  source: ImageSource,
  tagOrDigest: string,
  signal: AbortSignal,
): Promise<Manifest | undefined> {
  try {
    return await source.getManifest(tagOrDigest, signal)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}
