import { CosignetError, quote } from '../../core/index.ts'
import { parseLocation, repositoryName } from '../../oci/index.ts'
import { asJson } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText } from '../flags.ts'
import { ONE_REGISTRY_FLAGS, type OneRegistryFlags } from '../one-image.ts'
import { openRegistryAccess } from '../registry-access.ts'
import { registrySettings } from '../registry-flags.ts'

export const command = defineCommand<OneRegistryFlags, [string]>({
  brief: 'Lists the tags of a repository, all pages of them.',
  details: 'One tag a line, in the order of the registry. Signatures of cosign are tags too: sha256-….sig.',
  parameters: {
    flags: ONE_REGISTRY_FLAGS,
    positional: oneText('REPOSITORY', 'docker://HOST/PATH, without a tag'),
  },
  async run(cli, flags, name) {
    const location = parseLocation(name)
    if (location.transport !== 'docker' || !hasNoTag(name)) {
      throw new CosignetError(
        'USAGE',
        `${quote(name)} is not a repository of a registry, such as docker://ghcr.io/team/app.`,
      )
    }
    const access = await openRegistryAccess(cli, registrySettings('', flags))
    try {
      const registry = await access.open(location.reference)
      const tags = await registry.listTags(cli.signal)
      return {
        exit: 0,
        data: asJson({ repository: repositoryName(location.reference), tags }),
        text: tags.join('\n'),
      }
    } finally {
      access.close()
    }
  },
})

/** A tag was filled in by the parser if the text has none behind its last slash. */
function hasNoTag(name: string): boolean {
  return !/[:@]/.test(name.slice(name.lastIndexOf('/')))
}
