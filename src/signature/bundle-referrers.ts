import type { Descriptor, Digest, ImageSource } from '../oci/index.ts'
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
  return referrers.filter(
    ({ artifactType, mediaType }) =>
      artifactType?.startsWith(COSIGN.bundleMediaType) === true ||
      mediaType.startsWith(COSIGN.bundleMediaType),
  )
}
