import { CosignetError, encodeUtf8, quote } from '../core/index.ts'
import { type Digest, digestOf } from './digest.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES, type Platform, parseManifest } from './manifest.ts'
import type { ImageSource } from './store.ts'

/** An image that was built, to be read until it is closed. */
export interface BuiltImage extends ImageSource {
  /** The index, or the manifest where there is one platform. */
  readonly root: Manifest
  /** One for each platform, in their order. */
  readonly manifests: readonly Manifest[]
  /** Removes the temporary files. */
  close(): Promise<void>
}

/** The image of one platform. */
export interface ImagePart {
  readonly platform: Platform
  readonly config: object
  readonly layers: readonly Descriptor[]
}

/** Where the layers of a built image are read. */
export interface LayerReader {
  read(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    signal?: AbortSignal,
  ): AsyncIterable<Uint8Array> | undefined
  close(): Promise<void>
}

/**
 * Makes OCI manifests of images that differ in platform, and an index over more than one.
 * @param name what it is, for messages: `the image of "folder"`.
 */
export function assembleImage(name: string, parts: readonly ImagePart[], layers: LayerReader): BuiltImage {
  const configs = new Map<Digest, Uint8Array>()
  const manifests = parts.map((part) => {
    const config = encodeJson(part.config)
    const descriptor = describe(MEDIA_TYPES.ociConfig, config)
    configs.set(descriptor.digest, config)
    return toManifest({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: descriptor,
      layers: part.layers,
    })
  })
  const [first] = manifests
  const root = manifests.length === 1 && first !== undefined ? first : toIndex(manifests, parts)
  const byDigest = new Map([root, ...manifests].map((manifest) => [manifest.digest, manifest]))
  return {
    name,
    root,
    manifests,
    getManifest: async (digest) => byDigest.get(digest as Digest) ?? missing(name, digest),
    async *getBlob(descriptor, signal) {
      const config = configs.get(descriptor.digest)
      if (config !== undefined) yield config
      else yield* layers.read(descriptor, signal) ?? missing(name, descriptor.digest)
    },
    listReferrers: async () => [],
    close: () => layers.close(),
  }
}

function toIndex(manifests: readonly Manifest[], parts: readonly ImagePart[]): Manifest {
  return toManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: manifests.map(({ mediaType, bytes }, i) => {
      const { os, architecture, variant } = parts[i]?.platform ?? { os: '', architecture: '' }
      return { ...describe(mediaType, bytes), platform: { architecture, os, variant } }
    }),
  })
}

function toManifest(document: { readonly mediaType: string; readonly [key: string]: unknown }): Manifest {
  return parseManifest(encodeJson(document), document.mediaType, 'The manifest of the image')
}

function describe(mediaType: string, bytes: Uint8Array): Descriptor {
  return { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
}

function encodeJson(value: object): Uint8Array {
  return encodeUtf8(JSON.stringify(value))
}

function missing(name: string, digest: string): never {
  throw new CosignetError('NOT_FOUND', `${name} has no ${quote(digest)}.`)
}
