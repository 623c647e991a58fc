import { createHash } from 'node:crypto'
import { pipeline, Readable } from 'node:stream'
import { constants, createGzip } from 'node:zlib'
import { CosignetError, encodeUtf8, quote } from '../core/index.ts'
import { type Digest, digestOf } from './digest.ts'
import { packFolder } from './folder-tar.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES, type Platform, parseManifest } from './manifest.ts'
import type { ImageSource } from './store.ts'
import { verifiedStream } from './verified-stream.ts'

export interface BuildImageOptions {
  /** One image for each; more than one makes an index. */
  readonly platforms: readonly Platform[]
  readonly entrypoint?: readonly string[]
  readonly cmd?: readonly string[]
  /** `NAME=value`. */
  readonly env?: readonly string[]
  readonly workdir?: string
  readonly labels?: Readonly<Record<string, string>>
}

/** An image that was built: a source that reads the folder again for each reader of its layer. */
export interface BuiltImage extends ImageSource {
  /** The index, or the manifest where there is one platform. */
  readonly root: Manifest
  /** One for each platform, in their order. */
  readonly manifests: readonly Manifest[]
}

/** Image time that does not change with the day of the build. */
const CREATED = '1970-01-01T00:00:00Z'
const CHUNK_BYTES = 256 * 1024

/**
 * Makes an OCI image of a folder: one gzip layer, a configuration for each platform, an index over more than one. The
 * same files and options give the same digests. The folder is read here to compute them and again for each upload; a
 * change in between is a DIGEST_MISMATCH there.
 * @throws USAGE without a platform or with a broken variable; INVALID_IMAGE, FILE as `packFolder`
 */
export async function buildImage(folder: string, options: BuildImageOptions): Promise<BuiltImage> {
  checkOptions(options)
  const { layer, diffId } = await measureLayer(folder)
  const blobs = new Map<Digest, Uint8Array>()
  const manifests = options.platforms.map((platform) => {
    const config = encodeJson(imageConfig(platform, diffId, options))
    const configDescriptor = describe(MEDIA_TYPES.ociConfig, config)
    blobs.set(configDescriptor.digest, config)
    return toManifest({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: configDescriptor,
      layers: [layer],
    })
  })
  const [first] = manifests
  const root = manifests.length === 1 && first !== undefined ? first : toIndex(manifests, options.platforms)
  const byDigest = new Map([root, ...manifests].map((manifest) => [manifest.digest, manifest]))
  const name = `the image of ${quote(folder)}`
  return {
    name,
    root,
    manifests,
    getManifest: async (digest) => byDigest.get(digest as Digest) ?? missing(name, digest),
    async *getBlob({ digest }) {
      const bytes = blobs.get(digest)
      if (bytes !== undefined) yield bytes
      else if (digest === layer.digest)
        yield* verifiedStream(compress(packFolder(folder)), layer, `The layer of ${name}`)
      else missing(name, digest)
    },
    listReferrers: async () => [],
  }
}

function checkOptions({ platforms, env = [] }: BuildImageOptions): void {
  if (platforms.length === 0) throw new CosignetError('USAGE', 'An image needs at least one platform.')
  for (const variable of env) {
    if (variable.indexOf('=') < 1) {
      throw new CosignetError(
        'USAGE',
        `An environment variable of an image is NAME=value, not ${quote(variable)}.`,
      )
    }
  }
}

async function measureLayer(folder: string): Promise<{ layer: Descriptor; diffId: Digest }> {
  const unpacked = createHash('sha256')
  const packed = createHash('sha256')
  let size = 0
  async function* tapped(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of packFolder(folder)) {
      unpacked.update(chunk)
      yield chunk
    }
  }
  for await (const chunk of compress(tapped())) {
    packed.update(chunk)
    size += chunk.byteLength
  }
  const digest = `sha256:${packed.digest('hex')}` as Digest
  return {
    layer: { mediaType: MEDIA_TYPES.ociLayerGzip, digest, size },
    diffId: `sha256:${unpacked.digest('hex')}` as Digest,
  }
}

/** Node's gzip writes no time and no name, so equal input gives equal output. */
function compress(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  const gzip = createGzip({ chunkSize: CHUNK_BYTES, level: constants.Z_DEFAULT_COMPRESSION })
  // An error reaches the reader through the gzip stream, which it destroys.
  pipeline(Readable.from(chunks, { objectMode: false }), gzip, () => undefined)
  return gzip
}

function imageConfig(platform: Platform, diffId: Digest, options: BuildImageOptions): object {
  const { entrypoint, cmd, env, workdir, labels } = options
  return {
    created: CREATED,
    architecture: platform.architecture,
    os: platform.os,
    variant: platform.variant,
    config: { Env: env, Entrypoint: entrypoint, Cmd: cmd, WorkingDir: workdir, Labels: labels },
    rootfs: { type: 'layers', diff_ids: [diffId] },
    history: [{ created: CREATED, created_by: 'cosignet' }],
  }
}

function toIndex(manifests: readonly Manifest[], platforms: readonly Platform[]): Manifest {
  return toManifest({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: manifests.map(({ mediaType, bytes }, i) => {
      const { os, architecture, variant } = platforms[i] ?? { os: '', architecture: '' }
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
