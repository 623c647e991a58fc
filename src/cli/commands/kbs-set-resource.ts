import { LIMITS, readFileBounded } from '../../core/index.ts'
import { formatResourceUri, parseResourcePath } from '../../kbs/index.ts'
import { defineCommand } from '../command.ts'
import { textFlag } from '../flags.ts'
import { ADMIN_FLAGS, type AdminFlags, adminToken, KBS_FLAGS, type KbsFlags, withKbs } from '../kbs-access.ts'

interface Flags extends KbsFlags, AdminFlags {
  readonly path: string
  readonly resourceFile: string
}

export const command = defineCommand<Flags>({
  brief: 'Stores a file as a resource of a KBS; one that is there is replaced.',
  parameters: {
    flags: {
      ...KBS_FLAGS,
      ...ADMIN_FLAGS,
      path: textFlag('Where to store it', 'REPOSITORY/TYPE/TAG'),
      resourceFile: textFlag('What to store', 'FILE'),
    },
  },
  async run(cli, flags) {
    const path = parseResourcePath(flags.path)
    const bytes = await readFileBounded(flags.resourceFile, LIMITS.resourceBytes, 'resource file')
    const token = await adminToken(flags)
    await withKbs(cli, flags, async (client) => await client.setResource(path, bytes, { adminToken: token }))
    const uri = formatResourceUri(path)
    return {
      exit: 0,
      data: { uri, size: bytes.byteLength },
      text: `Stored ${uri} (${bytes.byteLength} bytes)`,
    }
  },
})
