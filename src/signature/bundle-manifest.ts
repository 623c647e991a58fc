import { encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, type Manifest, MEDIA_TYPES, parseManifest } from '../oci/index.ts'
import { BUNDLE_MEDIA_TYPE } from './bundle-format.ts'
import { SIGN_PREDICATE_TYPE } from './statement.ts'

/** The configuration of a manifest that has none (image-spec, manifest.md, "Guidance for an Empty Descriptor"). */
export const EMPTY_CONFIG: Uint8Array = encodeUtf8('{}')

/**
 * Writes the manifest by which a bundle refers to an image, byte for byte as cosign 3.1 does (pkg/oci/remote/write.go,
 * WriteReferrer): the type also in the descriptor of the configuration, and the time of signing, to the second.
 * @param subject the image or index.
 */
export function encodeBundleManifest(
  bundle: Uint8Array,
  subject: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
  created: Date,
): Manifest {
  const artifactType = BUNDLE_MEDIA_TYPE
  const layer = describe(artifactType, bundle.byteLength, digestOf(bundle))
  const bytes = encodeUtf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: {
        ...describe(MEDIA_TYPES.ociEmpty, EMPTY_CONFIG.byteLength, digestOf(EMPTY_CONFIG)),
        artifactType,
      },
      layers: [layer],
      annotations: {
        'dev.sigstore.bundle.content': 'dsse-envelope',
        'dev.sigstore.bundle.predicateType': SIGN_PREDICATE_TYPE,
        'org.opencontainers.image.created': created.toISOString().replace(/\.[0-9]+Z$/, 'Z'),
      },
      subject: describe(subject.mediaType, subject.bytes.byteLength, subject.digest),
      artifactType,
    }),
  )
  return parseManifest(bytes, MEDIA_TYPES.ociManifest, 'The manifest of the new bundle')
}

function describe(mediaType: string, size: number, digest: Digest): object {
  return { mediaType, size, digest }
}
