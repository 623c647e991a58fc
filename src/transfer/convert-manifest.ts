import { CosignetError, encodeUtf8, quote } from '../core/index.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES, parseManifest } from '../oci/index.ts'

/** The formats of an image, as skopeo's `--format` names them. */
export type ImageFormat = 'oci' | 'v2s2'

/** Media types by meaning, in each format. */
const NAMES: readonly Readonly<Record<ImageFormat, string>>[] = [
  { oci: MEDIA_TYPES.ociManifest, v2s2: MEDIA_TYPES.dockerManifest },
  { oci: MEDIA_TYPES.ociIndex, v2s2: MEDIA_TYPES.dockerIndex },
  { oci: MEDIA_TYPES.ociConfig, v2s2: MEDIA_TYPES.dockerConfig },
  { oci: MEDIA_TYPES.ociLayer, v2s2: MEDIA_TYPES.dockerLayer },
  { oci: MEDIA_TYPES.ociLayerGzip, v2s2: MEDIA_TYPES.dockerLayerGzip },
  {
    oci: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
    v2s2: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
  },
  {
    oci: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
    v2s2: 'application/vnd.docker.image.rootfs.foreign.diff.tar',
  },
]

/** The format of a manifest or index. */
export function formatOf({ mediaType }: Pick<Manifest, 'mediaType'>): ImageFormat {
  return mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.ociIndex ? 'oci' : 'v2s2'
}

/**
 * Writes an image or index in another format, or with other content in the place of some. The configuration keeps its
 * bytes: both formats have the same (image-spec, config.md; moby, image/spec). What Docker's format cannot say is
 * refused, except for annotations, which it leaves out.
 * @param replaced descriptors that stand in for those of these digests.
 * @throws UNSUPPORTED for an artifact, or a layer that Docker's format does not have (zstd)
 */
export function convertManifest(
  manifest: Manifest,
  format: ImageFormat,
  replaced: ReadonlyMap<string, Pick<Descriptor, 'digest' | 'size' | 'mediaType'>>,
): Manifest {
  // Parsed already, strictly; what the parsed copy leaves out (os.version and the like) must not get lost.
  const document = JSON.parse(Buffer.from(manifest.bytes).toString('utf8')) as RawManifest
  const { subject, artifactType, annotations } = document
  if (format === 'v2s2' && (subject ?? artifactType) !== undefined) throw impossible(manifest)
  const convert = (descriptor: RawDescriptor): RawDescriptor => {
    const { mediaType, digest, size } = replaced.get(descriptor.digest) ?? descriptor
    const named = { mediaType: convertName(mediaType, format, manifest), digest, size }
    if (format === 'oci') return { ...descriptor, ...named }
    const { platform, urls } = descriptor
    return {
      ...named,
      ...(platform === undefined ? {} : { platform }),
      ...(urls === undefined ? {} : { urls }),
    }
  }
  const mediaType = convertName(manifest.mediaType, format, manifest)
  const { config, layers, manifests } = document
  const converted = {
    schemaVersion: 2,
    mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(config === undefined ? {} : { config: convert(config) }),
    ...(layers === undefined ? {} : { layers: layers.map(convert) }),
    ...(manifests === undefined ? {} : { manifests: manifests.map(convert) }),
    ...(subject === undefined ? {} : { subject }),
    ...(annotations === undefined || format === 'v2s2' ? {} : { annotations }),
  }
  const what = `The converted manifest ${manifest.digest}`
  return parseManifest(encodeUtf8(JSON.stringify(converted)), mediaType, what)
}

/** What a manifest was checked to be. */
interface RawManifest {
  readonly config?: RawDescriptor
  readonly layers?: readonly RawDescriptor[]
  readonly manifests?: readonly RawDescriptor[]
  readonly subject?: unknown
  readonly artifactType?: unknown
  readonly annotations?: unknown
}

interface RawDescriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly platform?: unknown
  readonly urls?: unknown
}

function convertName(mediaType: string, format: ImageFormat, manifest: Manifest): string {
  const known = NAMES.find((names) => names.oci === mediaType || names.v2s2 === mediaType)
  if (known !== undefined) return known[format]
  // OCI takes any media type; Docker's schema names all that it has.
  if (format === 'oci') return mediaType
  throw impossible(manifest, mediaType)
}

function impossible({ digest }: Manifest, mediaType?: string): CosignetError {
  const reason = mediaType === undefined ? 'is an artifact' : `has ${quote(mediaType)}`
  return new CosignetError(
    'UNSUPPORTED',
    `The manifest ${digest} ${reason}, which Docker's format (v2s2) cannot hold.`,
    {
      hint: 'Copy it in the OCI format, to a destination that takes it.',
    },
  )
}
