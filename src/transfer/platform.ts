import { CosignetError } from '../core/index.ts'
import { type Descriptor, formatPlatform, type IndexManifest, type Platform } from '../oci/index.ts'

/**
 * Variants of a processor from the most capable to the most compatible (containers/image,
 * internal/pkg/platform/platform_matcher.go); others have none.
 */
const VARIANTS: Readonly<Record<string, readonly string[]>> = {
  arm: ['v8', 'v7', 'v6', 'v5'],
  arm64: ['v8'],
}

/**
 * Chooses the entry of an index for a platform as skopeo does: the variants that run on the wanted one in order of
 * preference, then an entry that names no platform; the first of equals.
 * @param what names the index in the message.
 * @throws NOT_FOUND with the platforms that there are
 */
export function chooseInstance(index: IndexManifest, wanted: Platform, what: string): Descriptor {
  const variants = wantedVariants(wanted)
  let best: { readonly entry: Descriptor; readonly rank: number } | undefined
  for (const entry of index.manifests) {
    const rank = rankOf(entry.platform, wanted, variants)
    if (rank !== undefined && (best === undefined || rank < best.rank)) best = { entry, rank }
  }
  if (best !== undefined) return best.entry
  const there = index.manifests.flatMap(({ platform }) => (platform ? [formatPlatform(platform)] : []))
  throw new CosignetError('NOT_FOUND', `${what} has no image for ${formatPlatform(wanted)}.`, {
    hint: `It has ${[...new Set(there)].join(', ') || 'none'}; name one of them, or take all.`,
  })
}

function wantedVariants({ architecture, variant }: Platform): readonly string[] {
  const known = Object.hasOwn(VARIANTS, architecture) ? (VARIANTS[architecture] ?? []) : []
  if (variant === undefined) return ['', ...known]
  const at = known.indexOf(variant)
  return at === -1 ? [variant, ''] : [...known.slice(at), '']
}

function rankOf(
  platform: Platform | undefined,
  wanted: Platform,
  variants: readonly string[],
): number | undefined {
  if (platform === undefined) return Number.POSITIVE_INFINITY
  if (platform.os !== wanted.os || platform.architecture !== wanted.architecture) return undefined
  const rank = variants.indexOf(platform.variant ?? '')
  return rank === -1 ? undefined : rank
}
