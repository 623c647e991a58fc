import { CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import { type Digest, digestOf, isDigest } from './digest.ts'

/** Media types that the code names; everything else passes through as text. */
export const MEDIA_TYPES = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  ociLayer: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayer: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const

/** What each manifest media type holds. */
const MANIFEST_KINDS: Readonly<Record<string, 'image' | 'index'>> = {
  [MEDIA_TYPES.ociManifest]: 'image',
  [MEDIA_TYPES.dockerManifest]: 'image',
  [MEDIA_TYPES.ociIndex]: 'index',
  [MEDIA_TYPES.dockerIndex]: 'index',
}

/** The four media types that a manifest may have, as an Accept header lists them. */
export const MANIFEST_MEDIA_TYPES: readonly string[] = Object.keys(MANIFEST_KINDS)

/** Operating system and processor of an image (image-spec, image-index.md). */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
}

/** Names content by digest and size (image-spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  readonly platform?: Platform
  readonly artifactType?: string
  /** Where else the content may be had. Nothing here fetches from there. */
  readonly urls?: readonly string[]
}

export interface ImageManifest {
  readonly kind: 'image'
  readonly config: Descriptor
  readonly layers: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

export interface IndexManifest {
  readonly kind: 'index'
  readonly manifests: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly artifactType?: string
  readonly annotations?: Readonly<Record<string, string>>
}

/** A manifest as it was read: the bytes are the truth, `content` is a parsed copy. */
export interface Manifest {
  readonly bytes: Uint8Array
  /** Digest of `bytes`. */
  readonly digest: Digest
  readonly mediaType: string
  readonly content: ImageManifest | IndexManifest
}

/**
 * Parses a manifest or index and refuses what two readers could take for two different images (CVE-2021-41190): a
 * `mediaType` that is not the announced one, `layers` beside `manifests`, a key given twice.
 * @param announced media type by which the bytes were served or described, if any; parameters are ignored.
 * @param what names the manifest in messages, for example "The manifest of ghcr.io/a/b:c".
 * @throws INVALID_MANIFEST, INVALID_JSON, TOO_LARGE
 */
export function parseManifest(bytes: Uint8Array, announced: string | undefined, what: string): Manifest {
  if (bytes.byteLength > LIMITS.manifestBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.manifestBytes} bytes.`)
  }
  const reader = new FieldReader(what)
  const document = reader.object(parseJson(bytes, what), 'the document')
  const mediaType = resolveMediaType(reader, document, announced)
  const kind = isManifestMediaType(mediaType) ? MANIFEST_KINDS[mediaType] : undefined
  if (kind === undefined) reader.fail(`its media type ${quote(mediaType)} is not one of an image or an index`)
  if (document['schemaVersion'] !== 2) reader.fail('its schemaVersion is not 2')
  return {
    bytes,
    digest: digestOf(bytes),
    mediaType,
    content: kind === 'image' ? readImage(reader, document) : readIndex(reader, document),
  }
}

/** Whether `mediaType` is one of the four manifest media types. */
export function isManifestMediaType(mediaType: string): boolean {
  return Object.hasOwn(MANIFEST_KINDS, mediaType)
}

type JsonObject = { readonly [key: string]: JsonValue }

function resolveMediaType(reader: FieldReader, document: JsonObject, announced: string | undefined): string {
  const outer = announced?.split(';')[0]?.trim()
  const inner = document['mediaType']
  if (inner !== undefined && typeof inner !== 'string') reader.fail('its mediaType is not a string')
  if (outer !== undefined && isManifestMediaType(outer)) {
    if (inner !== undefined && inner !== outer) {
      reader.fail(`it was announced as ${quote(outer)} but says of itself ${quote(inner)}`)
    }
    return outer
  }
  if (inner !== undefined) return inner
  // image-spec 1.0 allows a manifest that does not name its type; what it holds tells.
  return document['manifests'] === undefined ? MEDIA_TYPES.ociManifest : MEDIA_TYPES.ociIndex
}

function readImage(reader: FieldReader, document: JsonObject): ImageManifest {
  for (const key of ['manifests', 'fsLayers', 'history']) {
    if (document[key] !== undefined)
      reader.fail(`it is an image manifest and has ${quote(key)}, so it is ambiguous`)
  }
  return {
    kind: 'image',
    config: reader.descriptor(document['config'], 'config'),
    layers: reader
      .array(document['layers'], 'layers', LIMITS.layers)
      .map((layer, i) => reader.descriptor(layer, `layers[${i}]`)),
    ...readCommon(reader, document),
  }
}

function readIndex(reader: FieldReader, document: JsonObject): IndexManifest {
  for (const key of ['config', 'layers', 'fsLayers', 'history']) {
    if (document[key] !== undefined) reader.fail(`it is an index and has ${quote(key)}, so it is ambiguous`)
  }
  return {
    kind: 'index',
    manifests: reader
      .array(document['manifests'], 'manifests', LIMITS.indexEntries)
      .map((entry, i) => reader.descriptor(entry, `manifests[${i}]`)),
    ...readCommon(reader, document),
  }
}

function readCommon(
  reader: FieldReader,
  document: JsonObject,
): Pick<ImageManifest, 'subject' | 'artifactType' | 'annotations'> {
  const { subject, artifactType, annotations } = document
  return {
    ...(subject === undefined || subject === null ? {} : { subject: reader.descriptor(subject, 'subject') }),
    ...(artifactType === undefined ? {} : { artifactType: reader.string(artifactType, 'artifactType') }),
    ...(annotations === undefined || annotations === null
      ? {}
      : { annotations: reader.annotations(annotations, 'annotations') }),
  }
}

/** Reads fields of the expected shape; every failure names the document and the field. */
class FieldReader {
  readonly #what: string

  constructor(what: string) {
    this.#what = what
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_MANIFEST', `${this.#what} is not valid: ${reason}.`)
  }

  object(value: JsonValue | undefined, field: string): JsonObject {
    if (value === null || typeof value !== 'object' || Array.isArray(value))
      this.fail(`${field} is not an object`)
    return value as JsonObject
  }

  array(value: JsonValue | undefined, field: string, limit: number): readonly JsonValue[] {
    if (!Array.isArray(value)) this.fail(`${field} is not a list`)
    if (value.length > limit) this.fail(`${field} has more than ${limit} entries`)
    return value
  }

  string(value: JsonValue | undefined, field: string): string {
    if (typeof value !== 'string') this.fail(`${field} is not a string`)
    return value
  }

  annotations(value: JsonValue | undefined, field: string): Readonly<Record<string, string>> {
    const entries = Object.entries(this.object(value, field))
    return Object.fromEntries(
      entries.map(([key, text]) => [key, this.string(text, `${field}[${quote(key)}]`)]),
    )
  }

  descriptor(value: JsonValue | undefined, field: string): Descriptor {
    const object = this.object(value, field)
    const digest = this.string(object['digest'], `${field}.digest`)
    if (!isDigest(digest)) this.fail(`${field}.digest ${quote(digest)} is not a digest`)
    const size = object['size']
    if (typeof size !== 'number' || !Number.isSafeInteger(size) || size < 0)
      this.fail(`${field}.size is not a size in bytes`)
    const { annotations, platform, artifactType, urls } = object
    return {
      mediaType: this.string(object['mediaType'], `${field}.mediaType`),
      digest,
      size,
      ...(annotations === undefined || annotations === null
        ? {}
        : { annotations: this.annotations(annotations, `${field}.annotations`) }),
      ...(platform === undefined || platform === null
        ? {}
        : { platform: this.#platform(platform, `${field}.platform`) }),
      ...(artifactType === undefined
        ? {}
        : { artifactType: this.string(artifactType, `${field}.artifactType`) }),
      ...(urls === undefined || urls === null
        ? {}
        : {
            urls: this.array(urls, `${field}.urls`, LIMITS.layers).map((url) =>
              this.string(url, `${field}.urls`),
            ),
          }),
    }
  }

  #platform(value: JsonValue, field: string): Platform {
    const object = this.object(value, field)
    const { variant } = object
    return {
      os: this.string(object['os'], `${field}.os`),
      architecture: this.string(object['architecture'], `${field}.architecture`),
      ...(variant === undefined || variant === ''
        ? {}
        : { variant: this.string(variant, `${field}.variant`) }),
    }
  }
}
