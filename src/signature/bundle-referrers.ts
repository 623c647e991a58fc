import { isCosignetError } from '../core/index.ts'
import { type Descriptor, type Digest, type ImageSource, MEDIA_TYPES } from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'

/**
 * Lists the referrers of an image that call themselves sigstore bundles, the format that cosign 3 writes unless it is
 * told otherwise. The guest does not read it. Nothing in them is read or verified here: an attestation is such a
 * bundle too.
 * @throws what `source.listReferrers` throws.
 */
export async function listBundleReferrers(
  source: ImageSource,
  digest: Digest,
  signal?: AbortSignal,
): Promise<readonly Descriptor[]> {
  const referrers = await source.listReferrers(digest, signal)
  const found: Descriptor[] = []
  for (const referrer of referrers) {
    if (isBundle(referrer) || (isUntold(referrer) && (await holdsBundle(source, referrer, signal)))) {
      found.push(referrer)
    }
  }
  return found
}

/** Whether a descriptor or a manifest calls itself a bundle, of any version. */
export function isBundle({
  artifactType,
  mediaType,
}: Partial<Pick<Descriptor, 'artifactType' | 'mediaType'>>): boolean {
  return [artifactType, mediaType].some((type) => type?.startsWith(COSIGN.bundleMediaType) === true)
}

/** Where a registry has no referrers API, cosign 3 keeps the list itself and puts the type of the empty config in it. */
export function isUntold({ artifactType }: Descriptor): boolean {
  return artifactType === undefined || artifactType === MEDIA_TYPES.ociEmpty
}

async function holdsBundle(
  source: ImageSource,
  referrer: Descriptor,
  signal?: AbortSignal,
): Promise<boolean> {
  try {
    const { content } = await source.getManifest(referrer.digest, signal)
    return content.kind === 'image' && (isBundle(content) || content.layers.some(isBundle))
  } catch (error) {
    // A list that a client keeps may name what is gone, and what is gone signs nothing.
    if (isCosignetError(error, 'NOT_FOUND')) return false
    throw error
  }
}
