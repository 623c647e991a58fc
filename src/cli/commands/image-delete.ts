import { CosignetError, quote } from '../../core/index.ts'
import { type Digest, parseLocation, type RegistryClient, repositoryName } from '../../oci/index.ts'
import { findAttached, parallel } from '../../transfer/index.ts'
import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { confirm } from '../confirm.ts'
import { oneText, switchFlag } from '../flags.ts'
import { ONE_REGISTRY_FLAGS, type OneRegistryFlags } from '../one-image.ts'
import { openRegistryAccess } from '../registry-access.ts'
import { registrySettings } from '../registry-flags.ts'

type Flags = OneRegistryFlags & { readonly yes: boolean }

/** Tags that are looked up at once. */
const PARALLEL = 8

export const command = defineCommand<Flags, [string]>({
  brief: 'Deletes an image from a registry, with every tag that stands for it.',
  details:
    'A registry deletes a digest, and all tags of that digest go with it: they are shown first, and without --yes you\n' +
    'are asked. Signatures and other referrers of the image are shown and stay where they are.',
  parameters: {
    flags: { ...ONE_REGISTRY_FLAGS, yes: switchFlag('Do not ask') },
    aliases: { y: 'yes' },
    positional: oneText('IMAGE', 'docker://REFERENCE, by tag or digest'),
  },
  async run(cli, flags, name) {
    const location = parseLocation(name)
    if (location.transport !== 'docker') {
      throw new CosignetError('USAGE', `${quote(name)} is not in a registry; delete its file or folder.`)
    }
    const { reference } = location
    const access = await openRegistryAccess(cli, registrySettings('', flags))
    try {
      const registry = await access.open(reference)
      const { digest } = await registry.getManifest(reference.digest ?? reference.tag ?? 'latest', cli.signal)
      const [tags, attached] = await Promise.all([
        tagsOf(registry, digest, cli.signal),
        findAttached(registry, [digest], cli.signal),
      ])
      const left = attached.map(({ tag, manifest }) => tag ?? manifest.digest)
      const image = `${repositoryName(reference)}@${digest}`
      cli.say(`${image} goes with ${tags.length === 0 ? 'no tag' : `the tag(s) ${tags.join(', ')}`}.`)
      if (left.length > 0) cli.say(`What refers to it stays: ${left.join(', ')}.`)
      if (!flags.yes && !(await confirm(cli, `Delete ${image}?`, '--yes'))) {
        throw new CosignetError('ABORTED', `${image} was not deleted.`)
      }
      await registry.deleteManifest(digest, cli.signal)
      return { exit: 0, data: asJson({ deleted: image, digest, tags, left }), text: `Deleted ${image}` }
    } finally {
      access.close()
    }
  },
})

/** Tags that stand for a digest; each must be asked, since a list of tags holds no digests. */
async function tagsOf(
  registry: RegistryClient,
  digest: Digest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const tags = await registry.listTags(signal)
  const task = `Looking up the tags of ${registry.name}`
  const heads = await parallel(tags, PARALLEL, task, signal, (tag, either) =>
    registry.headManifest(tag, either),
  )
  return tags.filter((_, i) => heads[i]?.digest === digest)
}
