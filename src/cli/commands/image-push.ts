import { CosignetError, quote } from '../../core/index.ts'
import {
  buildImage,
  formatReference,
  type ImageSource,
  openLayout,
  type Platform,
  parseReference,
  pushImage,
  repositoryName,
} from '../../oci/index.ts'
import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { optionalText, parseText, twoTexts } from '../flags.ts'
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
    const { tag } = reference
    const { source, root } = await openSource(sourceName, flags)
    const pushed = await withRegistries(cli, flags, async (open) => {
      return await pushImage(source, root, open(reference), tag, cli.signal)
    })
    const name = `${repositoryName(reference)}@${pushed.root}`
    return {
      exit: 0,
      data: asJson({
        reference: formatReference(reference),
        digest: pushed.root,
        manifests: pushed.manifests,
      }),
      text: `Pushed ${formatReference(reference)}\n${name}`,
    }
  },
})

async function openSource(name: string, flags: Flags): Promise<{ source: ImageSource; root: string }> {
  if (name.startsWith('oci:')) {
    if ((flags.platform ?? flags.entrypoint) !== undefined) {
      throw new CosignetError('USAGE', 'A layout has its platforms and entry points already.', {
        hint: '--platform and --entrypoint are for a folder that becomes an image.',
      })
    }
    // As skopeo reads it: the path ends at the first colon.
    const [path = '', ...ref] = name.slice('oci:'.length).split(':')
    const layout = await openLayout(path, ref.length === 0 ? undefined : ref.join(':'))
    return { source: layout, root: layout.root.digest }
  }
  const image = await buildImage(name, {
    platforms: (flags.platform ?? 'linux/amd64').split(',').map(parsePlatform),
    ...(flags.entrypoint === undefined ? {} : { entrypoint: flags.entrypoint }),
  })
  return { source: image, root: image.root.digest }
}

function parsePlatform(text: string): Platform {
  const match = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9]+))?$/.exec(text.trim())
  const [, os, architecture, variant] = match ?? []
  if (os === undefined || architecture === undefined) {
    throw new CosignetError('USAGE', `${quote(text)} is not a platform such as linux/amd64.`)
  }
  return { os, architecture, ...(variant === undefined ? {} : { variant }) }
}
