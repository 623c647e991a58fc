import { CosignetError } from '../core/index.ts'
import { type Digest, digestParts } from '../oci/index.ts'

/** Names in the signature images of cosign (cosign, specs/SIGNATURE_SPEC.md; pkg/types, pkg/oci/static). */
export const COSIGN = {
  payloadMediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
  payloadType: 'cosign container image signature',
  signature: 'dev.cosignproject.cosign/signature',
  certificate: 'dev.sigstore.cosign/certificate',
  bundle: 'dev.sigstore.cosign/bundle',
  /** What the media types of all versions of the sigstore bundle begin with. */
  bundleMediaType: 'application/vnd.dev.sigstore.bundle',
} as const

const TAG_LENGTH_MAX = 128

/**
 * The tag under which cosign keeps the signatures of an image: `sha256-<hex>.sig`.
 * @throws UNSUPPORTED for SHA-512, whose tag would be longer than the 128 characters that a registry allows.
 */
export function signatureTag(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest)
  const tag = `${algorithm}-${hex}.sig`
  if (tag.length > TAG_LENGTH_MAX) {
    throw new CosignetError(
      'UNSUPPORTED',
      `An image with the digest ${digest} cannot have a signature tag: it is too long.`,
    )
  }
  return tag
}
