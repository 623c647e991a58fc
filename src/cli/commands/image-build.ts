import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  CosignetError,
  collectBytes,
  decodeUtf8,
  errnoOf,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../../core/index.ts'
import {
  type BaseImage,
  buildFromDockerfile,
  type ImageLocation,
  type Platform,
  parseLocation,
  parsePlatform,
  type Reference,
  repositoryName,
} from '../../oci/index.ts'
import { type CopiedImage, chooseInstance, copyImage, type RefusedImage } from '../../transfer/index.ts'
import { asJson, type Cli, type Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { openDaemon } from '../daemon-access.ts'
import { optionalText, switchFlag, twoTexts } from '../flags.ts'
import { formatLocation, openTarget } from '../image-access.ts'
import { showProgress } from '../progress.ts'
import { openRegistryAccess, type RegistryAccess } from '../registry-access.ts'
import {
  type RegistrySideFlags,
  registryFlags,
  registrySettings,
  SHARED_REGISTRY_FLAGS,
  type SharedRegistryFlags,
} from '../registry-flags.ts'

interface Flags extends SharedRegistryFlags, RegistrySideFlags<'src'>, RegistrySideFlags<'dest'> {
  readonly file?: string | undefined
  readonly platform?: string | undefined
  readonly quiet: boolean
  readonly destDaemonHost?: string | undefined
}

export const command = defineCommand<Flags, [string, string]>({
  brief: 'Builds an image from a Dockerfile that runs nothing, without a daemon.',
  details:
    'The Dockerfile may have FROM, COPY, ADD of files, ENV, LABEL, EXPOSE, USER, WORKDIR, CMD and ENTRYPOINT; RUN and\n' +
    'all else is refused with its line. CONTEXT is the folder whose files it copies, less what .dockerignore names.\n' +
    'DESTINATION is docker://REFERENCE, oci:FOLDER[:NAME] or another place that image copy writes to.\n\n' +
    'The same base, files and options give the same digests; times are 1970, or SOURCE_DATE_EPOCH. Layers of the base\n' +
    'stay as they are. Extended attributes, capabilities and hard links are not kept.',
  parameters: {
    flags: {
      file: optionalText('The Dockerfile (default: Dockerfile in the context)', 'FILE'),
      platform: optionalText(
        'Platforms, separated by commas; several make an index (default: what FROM says, else linux/amd64)',
        'OS/ARCH[,…]',
      ),
      quiet: switchFlag('Show no progress'),
      destDaemonHost: optionalText('Docker daemon to write to (default: DOCKER_HOST)', 'HOST'),
      ...SHARED_REGISTRY_FLAGS,
      ...registryFlags('src'),
      ...registryFlags('dest'),
    },
    aliases: { f: 'file', q: 'quiet' },
    positional: twoTexts(
      ['CONTEXT', 'Folder with the files of the image'],
      ['DESTINATION', 'Where to put it'],
    ),
  },
  async run(cli, flags, context, to) {
    const destination = parseLocation(to)
    const platforms = flags.platform?.split(',').map(parsePlatform)
    const epoch = readEpoch(cli)
    const file = flags.file ?? join(context, 'Dockerfile')
    const dockerfile = await readText(file, 'Dockerfile')
    const ignore = await readIgnore(`${file}.dockerignore`)
    const [sourceAccess, targetAccess] = await Promise.all([
      openRegistryAccess(cli, registrySettings('src', flags)),
      openRegistryAccess(cli, registrySettings('dest', flags)),
    ])
    const places = { ...targetAccess, openDaemon: () => openDaemon(cli, flags.destDaemonHost) }
    const progress = showProgress(cli, flags.quiet)
    let base: ImageLocation | undefined
    try {
      const image = await buildFromDockerfile({
        dockerfile,
        name: file,
        context,
        temporaryFolder: tmpdir(),
        openBase: async (reference, platform, signal) => {
          base = { transport: 'docker', reference }
          return await openBase(sourceAccess, reference, platform, signal)
        },
        signal: cli.signal,
        ...(ignore === undefined ? {} : { ignore }),
        ...(platforms === undefined ? {} : { platforms }),
        ...(epoch === undefined ? {} : { epoch }),
      })
      try {
        const result = await copyImage({
          source: image,
          from: image.root.digest,
          openTarget: () => openTarget(destination, places, base),
          select: 'all',
          attached: false,
          preserveDigests: false,
          temporaryFolder: tmpdir(),
          signal: cli.signal,
          onEvent: progress.onEvent,
        })
        progress.end()
        return built(destination, result)
      } finally {
        await image.close()
      }
    } finally {
      progress.end()
      sourceAccess.close()
      targetAccess.close()
    }
  },
})

async function openBase(
  access: RegistryAccess,
  reference: Reference,
  platform: Platform,
  signal: AbortSignal | undefined,
): Promise<BaseImage> {
  const source = await access.openSource(reference)
  const root = await source.getManifest(reference.digest ?? reference.tag ?? 'latest', signal)
  const { content } = root
  const manifest =
    content.kind === 'image'
      ? root
      : await source.getManifest(chooseInstance(content, platform, source.name).digest, signal)
  if (manifest.content.kind !== 'image') {
    throw new CosignetError('UNSUPPORTED', `${source.name}@${root.digest} has an index in its index.`)
  }
  const what = `The configuration of ${source.name}`
  const config = await collectBytes(source.getBlob(manifest.content.config, signal), LIMITS.configBytes, what)
  return { source, manifest, config }
}

/** https://reproducible-builds.org/specs/source-date-epoch/ */
function readEpoch(cli: Cli): number | undefined {
  const text = cli.environment['SOURCE_DATE_EPOCH'] ?? ''
  if (text === '') return undefined
  if (!/^[0-9]{1,10}$/.test(text)) {
    throw new CosignetError('USAGE', `SOURCE_DATE_EPOCH is ${quote(text)}, not seconds since 1970.`)
  }
  return Number(text)
}

async function readIgnore(path: string): Promise<string | undefined> {
  try {
    return await readText(path, 'ignore file')
  } catch (error) {
    if (isCosignetError(error, 'FILE') && errnoOf(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

async function readText(path: string, what: string): Promise<string> {
  const text = decodeUtf8(await readFileBounded(path, LIMITS.dockerfileBytes, what))
  if (text === undefined)
    throw new CosignetError('INVALID_IMAGE', `The ${what} ${quote(path)} is not UTF-8 text.`)
  return text
}

function built(destination: ImageLocation, result: CopiedImage | RefusedImage): Outcome {
  if (result.outcome === 'denied')
    throw new CosignetError('INTERNAL', 'A policy judged an image without one.')
  const { digest, manifests, blobs } = result
  const place = formatLocation(destination)
  const name =
    destination.transport === 'docker' ? `${repositoryName(destination.reference)}@${digest}` : digest
  return {
    exit: 0,
    data: asJson({ outcome: 'built', destination: place, digest, manifests, blobs }),
    text: `Built ${place}\n${name}`,
  }
}
