import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import {
  CosignetError,
  chunksOf,
  collectBytes,
  encodeUtf8,
  errnoOf,
  fileError,
  LIMITS,
  quote,
} from '../core/index.ts'
import { checkDigest, type Digest, digestParts, parseDigest } from './digest.ts'
import { readDiffIds } from './docker-archive.ts'
import { encodeDockerManifest, MANIFEST_JSON } from './docker-archive-manifest.ts'
import { startRemoteHash } from './hash-worker.ts'
import { type Descriptor, type ImageManifest, type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { formatReference, type Reference } from './reference.ts'
import type { BlobOutcome, DestinationRules, ImageDestination, StagedDestination } from './store.ts'
import { openCompressed } from './tar-compression.ts'
import { createTar, type TarWriter } from './tar-writer.ts'
import { verifiedStream } from './verified-stream.ts'

export interface DockerArchiveOptions {
  /** Names of the image in the archive, each with a tag. Default: none; `docker load` then shows an ID. */
  readonly references?: readonly Reference[]
  /** Where the archive grows if the path is that of a pipe or a device. */
  readonly temporaryFolder: string
}

/** An archive holds one image in Docker's way: layers as plain tar files, and no signature. */
const DOCKER_ARCHIVE_RULES: DestinationRules = {
  manifests: [MEDIA_TYPES.dockerManifest, MEDIA_TYPES.ociManifest],
  attached: false,
  compressed: false,
}

const CONFIG_TYPES: readonly string[] = [MEDIA_TYPES.dockerConfig, MEDIA_TYPES.ociConfig]
/** From this size on, another thread computes the diff ID. */
const REMOTE_BYTES = 4 * 1024 * 1024

/**
 * Writes an image to an archive for `docker load` and `podman load`, its members named as containers/image names them.
 * Layers are unpacked, and must be the ones that the configuration names; the manifest itself is not kept, only what
 * it names. The same image gives the same bytes. The tag of `putManifest` is not used: `references` are the names.
 * @throws ALREADY_EXISTS if there is a file that is not empty: an archive cannot be changed; FILE
 */
export async function createDockerArchive(
  path: string,
  options: DockerArchiveOptions,
): Promise<StagedDestination> {
  await refuseExisting(path)
  const tar = await createTar(path, { temporaryFolder: options.temporaryFolder })
  const commit = async (): Promise<void> => {
    await refuseExisting(path)
    await tar.commit()
  }
  const { references = [] } = options
  return new DockerArchiveDestination({ name: `docker-archive:${path}`, references, tar, commit })
}

/** Where an archive is written, and what becomes of it. */
export interface DockerArchiveTarget {
  /** For messages. */
  readonly name: string
  readonly references: readonly Reference[]
  readonly tar: TarWriter
  /** Ends `tar`, which holds the image. */
  commit(signal?: AbortSignal): Promise<void>
}

/** Puts an image together in an archive, as `createDockerArchive` says. */
export class DockerArchiveDestination implements StagedDestination {
  readonly name: string
  readonly rules = DOCKER_ARCHIVE_RULES
  readonly #target: DockerArchiveTarget
  readonly #configs = new Map<Digest, Uint8Array>()
  /** Diff ID of each layer, by the digest of the blob that it came in. */
  readonly #diffIds = new Map<Digest, Digest>()
  #image: Digest | undefined

  constructor(target: DockerArchiveTarget) {
    this.name = target.name
    this.#target = target
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'> & Partial<Pick<Descriptor, 'mediaType'>>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  ): Promise<BlobOutcome> {
    const { digest, mediaType = '' } = descriptor
    if (this.#configs.has(digest) || this.#diffIds.has(digest)) return 'present'
    const what = `The blob ${digest} for ${this.name}`
    const open = (): AsyncIterable<Uint8Array> =>
      verifiedStream(content instanceof Uint8Array ? chunksOf(content) : content(), descriptor, what)
    if (CONFIG_TYPES.includes(mediaType)) {
      this.#configs.set(digest, await collectBytes(open(), LIMITS.configBytes, what))
    } else {
      await this.#addLayer(descriptor, open, what)
    }
    return 'written'
  }

  async putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options: Parameters<ImageDestination['putManifest']>[1] = {},
  ): Promise<void> {
    const what = `The manifest ${manifest.digest} for ${this.name}`
    checkDigest(manifest.bytes, manifest.digest, what)
    const { content } = parseManifest(manifest.bytes, manifest.mediaType, what)
    if (content.kind === 'index') throw this.#refuseIndex()
    if (typeof options.ifMatch === 'string') {
      throw new CosignetError('CONFLICT', `${this.name} is new and holds no image yet.`)
    }
    if (this.#image === manifest.digest) return
    if (this.#image !== undefined) {
      throw new CosignetError('UNSUPPORTED', `${this.name} holds one image, and got a second one.`)
    }
    const config = this.#checkImage(content, what)
    const configName = `${digestParts(content.config.digest).hex}.json`
    const { tar, references } = this.#target
    await tar.add(configName, config.byteLength, config)
    const list = encodeDockerManifest({
      config: configName,
      repoTags: references.map(formatReference),
      layers: content.layers.map(({ digest }) => layerName(this.#diffIds.get(digest) ?? digest)),
    })
    await tar.add(MANIFEST_JSON, Buffer.byteLength(list), encodeUtf8(list))
    this.#image = manifest.digest
  }

  async commit(signal?: AbortSignal): Promise<void> {
    if (this.#image === undefined) throw new CosignetError('INTERNAL', `${this.name} got no image.`)
    await this.#target.commit(signal)
  }

  async abort(): Promise<void> {
    await this.#target.tar.abort()
  }

  async #addLayer(
    { digest, size }: Pick<Descriptor, 'digest' | 'size'>,
    open: () => AsyncIterable<Uint8Array>,
    what: string,
  ): Promise<void> {
    let diffId: Digest | undefined
    const found = (id: Digest): void => {
      diffId = id
    }
    const content = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
      const { compression, chunks } = await openCompressed(open(), LIMITS.unpackedLayerBytes, what)
      if (compression !== undefined || !digest.startsWith('sha256:')) {
        return yield* digested(chunks, size >= REMOTE_BYTES, found)
      }
      yield* chunks
      found(digest)
    }
    await this.#target.tar.addUnsized(content, () => {
      if (diffId === undefined) throw new CosignetError('INTERNAL', `${what} has no diff ID.`)
      // Compressed in two ways, it is still one layer.
      const isNew = ![...this.#diffIds.values()].includes(diffId)
      this.#diffIds.set(digest, diffId)
      return isNew ? layerName(diffId) : undefined
    })
  }

  /** @returns the configuration. @throws UNSUPPORTED, INVALID_IMAGE, DIGEST_MISMATCH */
  #checkImage({ config, layers }: ImageManifest, what: string): Uint8Array {
    const bytes = this.#configs.get(config.digest)
    if (bytes === undefined) {
      throw new CosignetError(
        'UNSUPPORTED',
        `${this.name} takes images, and the configuration of this manifest is ${quote(config.mediaType)}.`,
      )
    }
    const diffIds = readDiffIds(bytes, `The configuration ${config.digest}`)
    if (diffIds.length !== layers.length) {
      throw new CosignetError(
        'INVALID_IMAGE',
        `${what} has ${layers.length} layers, and its configuration ${diffIds.length}.`,
      )
    }
    for (const [i, layer] of layers.entries()) {
      const actual = this.#diffIds.get(layer.digest)
      if (actual === undefined) {
        throw new CosignetError('NOT_FOUND', `The layer ${layer.digest} was not copied to ${this.name}.`)
      }
      if (actual !== diffIds[i]) {
        throw new CosignetError(
          'DIGEST_MISMATCH',
          `The layer ${layer.digest} unpacks to ${actual}, not to ${diffIds[i]} as its configuration says.`,
        )
      }
    }
    return bytes
  }

  #refuseIndex(): CosignetError {
    return new CosignetError('UNSUPPORTED', `${this.name} holds one image and no index.`, {
      hint: 'Copy the image of one platform, or to an OCI archive (oci-archive:).',
    })
  }
}

function layerName(diffId: Digest): string {
  return `${digestParts(diffId).hex}.tar`
}

/** As skopeo does: it is likelier a mistake than a wish. */
async function refuseExisting(path: string): Promise<void> {
  try {
    const stats = await stat(path)
    if (!stats.isFile() || stats.size === 0) return
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw fileError(error, `The archive ${quote(path)} cannot be written`)
  }
  throw new CosignetError(
    'ALREADY_EXISTS',
    `The archive ${quote(path)} exists already, and a docker-archive: cannot be changed.`,
    { hint: 'Name another file, or remove this one first.' },
  )
}

/** Tells the digest of a stream when it has passed. */
async function* digested(
  chunks: AsyncIterable<Uint8Array>,
  isLarge: boolean,
  found: (digest: Digest) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const remote = isLarge ? startRemoteHash('sha256') : undefined
  const hash = createHash('sha256')
  try {
    for await (const chunk of chunks) {
      if (remote === undefined) hash.update(chunk)
      else await remote.update(chunk)
      yield chunk
    }
    found(parseDigest(`sha256:${remote === undefined ? hash.digest('hex') : await remote.finish()}`))
  } finally {
    remote?.close()
  }
}
