import { tmpdir } from 'node:os'
import { CosignetError, quote } from '../../core/index.ts'
import {
  buildImage,
  formatReference,
  parseLocation,
  parsePlatform,
  parseReference,
  repositoryName,
} from '../../oci/index.ts'
import { copyImage } from '../../transfer/index.ts'
import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { openDaemon } from '../daemon-access.ts'
import { optionalText, parseText, twoTexts } from '../flags.ts'
import { type OpenedImage, openImage, openTarget, type PlaceAccess } from '../image-access.ts'
import { REGISTRY_FLAGS, type RegistryFlags, withRegistries } from '../registry-access.ts'

interface Flags extends RegistryFlags {
  readonly platform?: string | undefined
  readonly entrypoint?: readonly string[] | undefined
}

export const command = defineCommand<Flags, [string, string]>({
  brief: 'Pushes an OCI layout, or a folder as a new image, to a registry.',
  details:
    'SOURCE is oci:FOLDER[:NAME] for a layout; any other folder becomes an image with one layer that holds its files.\n' +
    'The same files give the same digests. The tag moves last, when everything else is there.',
  parameters: {
    flags: {
      ...REGISTRY_FLAGS,
      platform: optionalText(
        'Platforms of an image made from a folder, separated by commas (default: linux/amd64)',
        'OS/ARCH[,…]',
      ),
      entrypoint: {
        kind: 'parsed',
        parse: parseText,
        variadic: true,
        optional: true,
        brief: 'Entry point of an image made from a folder; repeat it for each argument',
        placeholder: 'WORD',
      },
    },
    positional: twoTexts(
      ['SOURCE', 'Folder, or oci:FOLDER[:NAME]'],
      ['REFERENCE', 'Where to push it, with a tag'],
    ),
  },
  async run(cli, flags, sourceName, destination) {
    const reference = parseReference(destination)
    if (reference.digest !== undefined || reference.tag === undefined) {
      throw new CosignetError(
        'USAGE',
        `${quote(destination)} names a digest; push to a tag, the digest follows from the image.`,
      )
    }
    const location = { transport: 'docker', reference } as const
    const pushed = await withRegistries(cli, flags, async (open, openRegistrySource) => {
      const access = { open, openSource: openRegistrySource, openDaemon: () => openDaemon(cli, undefined) }
      const { source, from, close } = await openSource(sourceName, flags, access, cli.signal)
      const copying = copyImage({
        source,
        from,
        openTarget: () => openTarget(location, access),
        select: 'all',
        attached: true,
        preserveDigests: true,
        temporaryFolder: tmpdir(),
        signal: cli.signal,
      })
      return await copying.finally(close)
    })
    if (pushed.outcome === 'denied') throw new CosignetError('INTERNAL', 'There was no policy to deny it.')
    const { digest, manifests } = pushed
    return {
      exit: 0,
      data: asJson({
        reference: formatReference(reference),
        digest,
        manifests: manifests.length === 1 ? manifests : manifests.slice(0, -1),
      }),
      text: `Pushed ${formatReference(reference)}\n${repositoryName(reference)}@${digest}`,
    }
  },
})

async function openSource(
  name: string,
  flags: Flags,
  access: PlaceAccess,
  signal: AbortSignal,
): Promise<OpenedImage> {
  if (name.startsWith('oci:')) {
    if ((flags.platform ?? flags.entrypoint) !== undefined) {
      throw new CosignetError('USAGE', 'A layout has its platforms and entry points already.', {
        hint: '--platform and --entrypoint are for a folder that becomes an image.',
      })
    }
    return await openImage(parseLocation(name), access)
  }
  const image = await buildImage(name, {
    platforms: (flags.platform ?? 'linux/amd64').split(',').map(parsePlatform),
    temporaryFolder: tmpdir(),
    signal,
    ...(flags.entrypoint === undefined ? {} : { entrypoint: flags.entrypoint }),
  })
  return { source: image, from: image.root.digest, close: () => image.close() }
}
