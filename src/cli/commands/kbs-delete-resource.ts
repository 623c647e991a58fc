import { formatResourceUri, parseResourcePath } from '../../kbs/index.ts'
import { defineCommand } from '../command.ts'
import { textFlag } from '../flags.ts'
import { ADMIN_FLAGS, type AdminFlags, adminToken, KBS_FLAGS, type KbsFlags, withKbs } from '../kbs-access.ts'

interface Flags extends KbsFlags, AdminFlags {
  readonly path: string
}

export const command = defineCommand<Flags>({
  brief: 'Deletes a resource of a KBS.',
  parameters: {
    flags: { ...KBS_FLAGS, ...ADMIN_FLAGS, path: textFlag('What to delete', 'REPOSITORY/TYPE/TAG') },
  },
  async run(cli, flags) {
    const path = parseResourcePath(flags.path)
    const token = await adminToken(flags)
    await withKbs(cli, flags, async (client) => await client.deleteResource(path, { adminToken: token }))
    const uri = formatResourceUri(path)
    return { exit: 0, data: { uri }, text: `Deleted ${uri}` }
  },
})
