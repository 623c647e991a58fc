import { CosignetError, collectBytes, type JsonValue, LIMITS, parseJson } from '../../core/index.ts'
import {
  type Descriptor,
  formatPlatform,
  type ImageManifest,
  type ImageSource,
  type Manifest,
  MEDIA_TYPES,
} from '../../oci/index.ts'
import { type AttachedName, attachedName, chooseInstance, findAttached } from '../../transfer/index.ts'
import { asJson, type Cli, type Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, switchFlag } from '../flags.ts'
import { formatLocation } from '../image-access.ts'
import { ONE_IMAGE_FLAGS, type OneImageFlags, withImage } from '../one-image.ts'
import { PLATFORM_FLAGS, type PlatformFlags, wantedPlatform } from '../platform-flags.ts'
import { formatBytes } from '../progress.ts'
import { visible, visibleJson } from '../visible-text.ts'

type Flags = OneImageFlags & PlatformFlags & { readonly raw: boolean; readonly config: boolean }

export const command = defineCommand<Flags, [string]>({
  brief: 'Shows an image: its platforms, layers, sizes and configuration, and what refers to it.',
  details:
    'Of an index, its platforms are listed, and --override-os, --override-arch and --override-variant choose the image\n' +
    'that is shown. --raw prints the manifest or index byte for byte, --config the configuration, and both together\n' +
    'the configuration byte for byte. Nothing is verified here but digests.',
  parameters: {
    flags: {
      raw: switchFlag('Print the manifest or index as it is'),
      config: switchFlag('Print the configuration'),
      ...PLATFORM_FLAGS,
      ...ONE_IMAGE_FLAGS,
    },
    positional: oneText(
      'IMAGE',
      'docker://REFERENCE, oci:FOLDER[:NAME], or where else image copy copies from',
    ),
  },
  run: (cli, flags, name) =>
    withImage(cli, flags, name, async ({ source, from }, location) => {
      const root = await source.getManifest(from, cli.signal)
      if (flags.raw && !flags.config) return exactly(root.bytes, 'The manifest')
      if (!flags.config) return await describeImage(cli, flags, formatLocation(location), source, root)
      const image = await choose(cli, flags, source, root)
      const bytes = await readConfig(cli, source, image.content)
      if (flags.raw) return exactly(bytes, 'The configuration')
      const data = parseJson(bytes, 'The configuration')
      return { exit: 0, data, text: visibleJson(data, 2) }
    }),
})

function exactly(bytes: Uint8Array, what: string): Outcome {
  return { exit: 0, data: parseJson(bytes, what), text: '', bytes }
}

type ImageOf = Manifest & { readonly content: ImageManifest }

/** The image itself, or the one of the wanted platform. */
async function choose(cli: Cli, flags: Flags, source: ImageSource, root: Manifest): Promise<ImageOf> {
  if (root.content.kind === 'image') return { ...root, content: root.content }
  const what = `The index ${root.digest} of ${source.name}`
  const { digest } = chooseInstance(root.content, wantedPlatform(flags), what)
  const image = await source.getManifest(digest, cli.signal)
  if (image.content.kind === 'image') return { ...image, content: image.content }
  throw new CosignetError('UNSUPPORTED', `${what} has an index in it for this platform.`)
}

async function readConfig(cli: Cli, source: ImageSource, { config }: ImageManifest): Promise<Uint8Array> {
  const what = `The configuration ${config.digest} of ${source.name}`
  return await collectBytes(source.getBlob(config, cli.signal), LIMITS.configBytes, what)
}

async function describeImage(
  cli: Cli,
  flags: Flags,
  name: string,
  source: ImageSource,
  root: Manifest,
): Promise<Outcome> {
  const platforms = root.content.kind === 'index' ? root.content.manifests.map(describePlatform) : undefined
  const chosen = await chosenOrNone(cli, flags, source, root)
  const attached = source.makesManifests === true ? [] : await attachedTo(cli, source, root, chosen)
  const image = chosen === undefined ? undefined : await describeManifest(cli, source, chosen)
  const { digest, mediaType } = root
  return {
    exit: 0,
    data: asJson({
      image: name,
      digest,
      mediaType,
      size: root.bytes.byteLength,
      ...(platforms === undefined ? {} : { platforms }),
      ...(image === undefined ? {} : { manifest: image }),
      attached,
    }),
    text: [
      name,
      `digest:     ${digest}`,
      `type:       ${visible(mediaType)}`,
      ...(platforms ?? []).map(
        (one, i) =>
          `${i === 0 ? 'platforms:' : '          '}  ${visible(one.platform).padEnd(14)} ${one.digest}`,
      ),
      ...(image === undefined ? [] : manifestLines(image, platforms !== undefined)),
      ...attached.map((one, i) => `${i === 0 ? 'referrers:' : '          '}  ${one.tag ?? one.digest}`),
    ].join('\n'),
  }
}

/** An index need not have an image for the platform that happens to be wanted. */
async function chosenOrNone(
  cli: Cli,
  flags: Flags,
  source: ImageSource,
  root: Manifest,
): Promise<ImageOf | undefined> {
  const demanded = flags.overrideArch ?? flags.overrideOs ?? flags.overrideVariant
  if (root.content.kind === 'image' || demanded !== undefined) return await choose(cli, flags, source, root)
  const wanted = wantedPlatform(flags)
  const isThere = root.content.manifests.some(
    ({ platform }) => platform?.os === wanted.os && platform.architecture === wanted.architecture,
  )
  return isThere ? await choose(cli, flags, source, root) : undefined
}

async function attachedTo(
  cli: Cli,
  source: ImageSource,
  root: Manifest,
  chosen: Manifest | undefined,
): Promise<readonly AttachedName[]> {
  const digests = [...new Set([root.digest, ...(chosen === undefined ? [] : [chosen.digest])])]
  return (await findAttached(source, digests, cli.signal)).map(attachedName)
}

interface DescribedPlatform {
  readonly platform: string
  readonly digest: string
  readonly mediaType: string
  /** Of the manifest, in bytes. */
  readonly size: number
}

function describePlatform({ platform, digest, mediaType, size }: Descriptor): DescribedPlatform {
  return { platform: platform === undefined ? 'none' : formatPlatform(platform), digest, mediaType, size }
}

interface DescribedManifest {
  readonly digest: string
  readonly platform?: string
  /** Of the configuration and all layers, in bytes. */
  readonly size: number
  readonly layers: readonly Pick<Descriptor, 'digest' | 'size' | 'mediaType'>[]
  readonly annotations?: Readonly<Record<string, string>>
  readonly created?: string
  /** The section `config` of the configuration: environment, entry point, labels. */
  readonly config?: JsonValue
}

async function describeManifest(cli: Cli, source: ImageSource, image: ImageOf): Promise<DescribedManifest> {
  const { config, layers, annotations } = image.content
  const size = layers.reduce((sum, layer) => sum + layer.size, config.size)
  return {
    digest: image.digest,
    size,
    layers: layers.map(({ digest, size: bytes, mediaType }) => ({ digest, size: bytes, mediaType })),
    ...(annotations === undefined ? {} : { annotations }),
    ...(isImageConfig(config)
      ? describeConfig(parseJson(await readConfig(cli, source, image.content), 'The configuration'))
      : {}),
  }
}

function isImageConfig({ mediaType }: Descriptor): boolean {
  return mediaType === MEDIA_TYPES.ociConfig || mediaType === MEDIA_TYPES.dockerConfig
}

function describeConfig(document: JsonValue): Pick<DescribedManifest, 'platform' | 'created' | 'config'> {
  const { os, architecture, variant, created, config } = (document ?? {}) as {
    readonly [key: string]: JsonValue
  }
  const platform =
    typeof os === 'string' && typeof architecture === 'string'
      ? formatPlatform({
          os,
          architecture,
          ...(typeof variant === 'string' && variant !== '' ? { variant } : {}),
        })
      : undefined
  return {
    ...(platform === undefined ? {} : { platform }),
    ...(typeof created === 'string' ? { created } : {}),
    ...(config === undefined ? {} : { config }),
  }
}

function manifestLines(image: DescribedManifest, ofIndex: boolean): readonly string[] {
  const { digest, platform, created, size, layers, config } = image
  return [
    ...(ofIndex ? [`image:      ${digest}`] : []),
    ...(platform === undefined ? [] : [`platform:   ${visible(platform)}`]),
    ...(created === undefined ? [] : [`created:    ${visible(created)}`]),
    `size:       ${formatBytes(size)} in ${layers.length} layer(s)`,
    ...layers.map(
      (layer) => `            ${layer.digest}  ${formatBytes(layer.size)}  ${visible(layer.mediaType)}`,
    ),
    ...(config === undefined ? [] : [`config:     ${visibleJson(config)}`]),
  ]
}
