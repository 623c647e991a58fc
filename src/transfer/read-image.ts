import { CosignetError, LIMITS } from '../core/index.ts'
import type { Digest, ImageSource, Manifest, Platform } from '../oci/index.ts'
import { parallel } from './parallel.ts'
import { chooseInstance } from './platform.ts'

/** Manifests that are read at once. */
const PARALLEL = 6
/** Indexes within indexes. */
const DEPTH_MAX = 4

/** What of an image is copied. */
export interface SelectedImage {
  /** What the name will stand for at the destination. */
  readonly root: Manifest
  /** Every manifest, those that an index names before it; `root` is the last. */
  readonly manifests: readonly Manifest[]
  /** The index out of which `root` was chosen, if it was. */
  readonly index?: Manifest
}

/**
 * Reads the manifests of an image.
 * @param from tag or digest in the source.
 * @param select `all`, or the platform to choose where there is an index.
 * @throws NOT_FOUND, TOO_LARGE, and what the source throws
 */
export async function readImage(
  source: ImageSource,
  from: string | Digest,
  select: 'all' | Platform,
  signal?: AbortSignal,
): Promise<SelectedImage> {
  const top = await source.getManifest(from, signal)
  if (select === 'all' || top.content.kind === 'image')
    return { root: top, manifests: await readTree(source, top, signal) }
  let chosen = top
  for (let depth = 0; chosen.content.kind === 'index'; depth += 1) {
    if (depth === DEPTH_MAX) throw tooDeep(source, top)
    const entry = chooseInstance(chosen.content, select, `The index ${chosen.digest} of ${source.name}`)
    chosen = await source.getManifest(entry.digest, signal)
  }
  return { root: chosen, manifests: [chosen], index: top }
}

/**
 * Reads a manifest's whole tree, those that an index names before it, each once.
 * @throws TOO_LARGE, and what the source throws
 */
export async function readTree(
  source: ImageSource,
  root: Manifest,
  signal?: AbortSignal,
): Promise<readonly Manifest[]> {
  const seen = new Set<Digest>([root.digest])
  const levels: (readonly Manifest[])[] = [[root]]
  for (let level: readonly Manifest[] = [root]; level.length > 0; ) {
    if (levels.length > DEPTH_MAX + 1) throw tooDeep(source, root)
    const next = new Set<Digest>()
    for (const { content } of level) {
      if (content.kind !== 'index') continue
      for (const { digest } of content.manifests) if (!seen.has(digest)) next.add(digest)
    }
    for (const digest of next) seen.add(digest)
    if (seen.size > LIMITS.indexEntries + 1) {
      throw new CosignetError(
        'TOO_LARGE',
        `${source.name}@${root.digest} has more than ${LIMITS.indexEntries} manifests.`,
      )
    }
    level = await parallel([...next], PARALLEL, `Reading ${source.name}`, signal, (digest, either) =>
      source.getManifest(digest, either),
    )
    levels.push(level)
  }
  return levels.reverse().flat()
}

function tooDeep(source: ImageSource, { digest }: Manifest): CosignetError {
  return new CosignetError('TOO_LARGE', `${source.name}@${digest} nests more than ${DEPTH_MAX} indexes.`)
}
