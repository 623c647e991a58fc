import { CosignetError, isCosignetError, quote, reasonOf } from '../core/index.ts'
import { readFileTree } from './build-base-tree.ts'
import { configDocument, emptyConfig, type ImageConfig, readConfig } from './build-config.ts'
import { BuildContext } from './build-context.ts'
import { formatPlatform } from './build-platform.ts'
import { assembleImage, type BuiltImage, type ImagePart } from './build-result.ts'
import { type LayerCache, Stage } from './build-stage.ts'
import { FileTree } from './build-tree.ts'
import { checkDigest, type Digest } from './digest.ts'
import { type Dockerfile, dockerfileError, parseDockerfile } from './dockerfile.ts'
import { LayerSpool } from './layer-spool.ts'
import { type Descriptor, type ImageManifest, type Manifest, MEDIA_TYPES, type Platform } from './manifest.ts'
import { formatReference, type Reference } from './reference.ts'
import type { ImageSource } from './store.ts'

/** The image that FROM names, for one platform. */
export interface BaseImage {
  /** Where its layers are read, until the built image is closed. */
  readonly source: ImageSource
  /** Of the image, not of an index. */
  readonly manifest: Manifest
  /** Content of its configuration. */
  readonly config: Uint8Array
}

export interface DockerfileBuildOptions {
  /** Text of the Dockerfile. */
  readonly dockerfile: string
  /** Names it in messages. Default: `Dockerfile`. */
  readonly name?: string
  /** The folder whose files COPY and ADD may read. */
  readonly context: string
  /** What is left out of it, as `.dockerignore` has it. Default: the file of that name in the context. */
  readonly ignore?: string
  /** One image for each; more than one makes an index. Default: what FROM says, else linux/amd64. */
  readonly platforms?: readonly Platform[]
  /** Time of what is made here, in seconds since 1970 (`SOURCE_DATE_EPOCH`). Default: 0. */
  readonly epoch?: number
  /** Where compressed layers are kept until the image is closed. */
  readonly temporaryFolder: string
  readonly openBase: (reference: Reference, platform: Platform, signal?: AbortSignal) => Promise<BaseImage>
  readonly signal?: AbortSignal
}

/** The largest time in a tar header. */
const EPOCH_MAX = 0o77777777777
const DEFAULT_PLATFORM: Platform = { os: 'linux', architecture: 'amd64' }

/** Layers that a manifest of the OCI may have, by Docker's names of them. */
const OCI_LAYERS: Readonly<Record<string, string>> = {
  [MEDIA_TYPES.dockerLayerGzip]: MEDIA_TYPES.ociLayerGzip,
  'application/vnd.docker.image.rootfs.diff.tar': MEDIA_TYPES.ociLayer,
  'application/vnd.docker.image.rootfs.diff.tar.zstd': MEDIA_TYPES.ociLayerZstd,
}

/**
 * Builds an OCI image from a Dockerfile that runs nothing, without a daemon. The layers of the base are passed on as
 * they are; each instruction that adds files adds a layer, in which names are sorted and times are `epoch`: the same
 * base, files and options give the same digests. Extended attributes, capabilities and hard links of the context are
 * not kept. Where files are added, the layers of the base are read through once, for the links and users in them.
 *
 * The image must be closed. The base is taken as `openBase` gives it: who it is from is not verified.
 * @throws INVALID_IMAGE, UNSUPPORTED, NOT_FOUND with the line of the Dockerfile; FILE, ABORTED, TOO_LARGE; USAGE for a
 * broken option; what `openBase` and its source throw
 */
export async function buildFromDockerfile(options: DockerfileBuildOptions): Promise<BuiltImage> {
  const dockerfile = parseDockerfile(options.dockerfile, options.name ?? 'Dockerfile')
  const { epoch = 0 } = options
  if (!Number.isSafeInteger(epoch) || epoch < 0 || epoch > EPOCH_MAX) {
    throw new CosignetError('USAGE', `${quote(`${epoch}`)} is not a time in seconds since 1970.`)
  }
  const context = await BuildContext.open(options.context, options.ignore)
  const spool = await LayerSpool.open(options.temporaryFolder)
  const bases = new Map<Digest, ImageSource>()
  try {
    const builder = { dockerfile, context, spool, bases, epoch, options, layers: new Map() }
    const parts: ImagePart[] = []
    for (const platform of platformsOf(dockerfile, options))
      parts.push(await buildPlatform(platform, builder))
    const name = `the image of ${quote(dockerfile.name)}`
    return assembleImage(name, parts, {
      read: (descriptor, signal) =>
        spool.read(descriptor, `The layer ${descriptor.digest} of ${name}`) ??
        bases.get(descriptor.digest)?.getBlob(descriptor, signal),
      close: () => spool.close(),
    })
  } catch (error) {
    await spool.close()
    throw error
  }
}

interface Builder {
  readonly dockerfile: Dockerfile
  readonly context: BuildContext
  readonly spool: LayerSpool
  /** Where each layer of a base is read. */
  readonly bases: Map<Digest, ImageSource>
  readonly epoch: number
  readonly options: DockerfileBuildOptions
  /** Layers that were made, by what is in them: platforms share them. */
  readonly layers: LayerCache
}

function platformsOf({ from, name }: Dockerfile, { platforms }: DockerfileBuildOptions): readonly Platform[] {
  if (platforms?.length === 0) throw new CosignetError('USAGE', 'An image needs at least one platform.')
  const own = from.platform
  const wanted = platforms ?? [own ?? DEFAULT_PLATFORM]
  if (own === undefined || wanted.every((platform) => isSamePlatform(platform, own))) return wanted
  throw dockerfileError(
    'INVALID_IMAGE',
    name,
    from.line,
    `FROM says ${formatPlatform(own)}, but the image is to be for ${wanted.map(formatPlatform).join(', ')}`,
  )
}

async function buildPlatform(platform: Platform, builder: Builder): Promise<ImagePart> {
  const { dockerfile, context, spool, epoch, options } = builder
  const { signal } = options
  const base = await openBase(platform, builder)
  const { source } = base
  const readTree = async (): Promise<FileTree> => {
    return source === undefined ? new FileTree() : await readFileTree(source, base.layers, signal)
  }
  const { layers } = builder
  const stage = new Stage(base.config, { dockerfile, context, spool, layers, epoch, signal, readTree })
  for (const step of dockerfile.steps) {
    try {
      await stage.run(step)
    } catch (error) {
      throw placed(error, dockerfile.name, step.line)
    }
  }
  return {
    platform: stage.config.platform,
    config: configDocument(stage.config, stage.created),
    layers: [...base.layers, ...stage.added],
  }
}

interface OpenBase {
  /** undefined: `scratch`. */
  readonly source: ImageSource | undefined
  readonly config: ImageConfig
  readonly layers: readonly Descriptor[]
}

async function openBase(platform: Platform, builder: Builder): Promise<OpenBase> {
  const { dockerfile, bases, options } = builder
  const { from, name } = dockerfile
  if (from.base === undefined) return { source: undefined, config: emptyConfig(platform), layers: [] }
  try {
    const { source, manifest, config } = await options.openBase(from.base, platform, options.signal)
    const image = imageOf(manifest, from.base)
    checkDigest(config, image.config.digest, `The configuration of ${formatReference(from.base)}`)
    const what = `The configuration of ${formatReference(from.base)}`
    const parsed = readConfig(config, image.layers.length, what)
    const { os, architecture } = parsed.platform
    if (os !== platform.os || architecture !== platform.architecture) {
      throw new CosignetError(
        'INVALID_IMAGE',
        `${formatReference(from.base)} is for ${formatPlatform(parsed.platform)}, not for ${formatPlatform(platform)}.`,
      )
    }
    const layers = image.layers.map((layer) => ({ ...layer, mediaType: ociLayerType(layer) }))
    for (const { digest } of layers) bases.set(digest, source)
    return { source, config: parsed, layers }
  } catch (error) {
    throw placed(error, name, from.line)
  }
}

function imageOf({ content }: Manifest, reference: Reference): ImageManifest {
  if (content.kind === 'image') return content
  throw new CosignetError('INVALID_IMAGE', `${formatReference(reference)} is an index and not an image.`)
}

function ociLayerType({ mediaType, digest }: Descriptor): string {
  const oci = Object.hasOwn(OCI_LAYERS, mediaType) ? OCI_LAYERS[mediaType] : undefined
  if (oci !== undefined) return oci
  if (mediaType.startsWith(MEDIA_TYPES.ociLayer)) return mediaType
  throw new CosignetError(
    'UNSUPPORTED',
    `The layer ${digest} has the media type ${quote(mediaType)}, which is not one of an image’s files.`,
  )
}

/** A variant counts only where both have one. */
function isSamePlatform(a: Platform, b: Platform): boolean {
  const variants = a.variant === undefined || b.variant === undefined || a.variant === b.variant
  return a.os === b.os && a.architecture === b.architecture && variants
}

/** Says at which line of the Dockerfile something failed that did not know it. */
function placed(error: unknown, name: string, line: number): unknown {
  if (!isCosignetError(error, 'INVALID_IMAGE', 'UNSUPPORTED', 'NOT_FOUND', 'FILE', 'TOO_LARGE')) return error
  const place = `${quote(name)}, line ${line}: `
  if (error.message.startsWith(place)) return error
  return new CosignetError(error.code, `${place}${reasonOf(error)}.`, { cause: error, hint: error.hint })
}
