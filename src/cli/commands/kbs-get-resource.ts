import { encodeBase64, LIMITS, readFileBounded } from '../../core/index.ts'
import { formatResourceUri, parseResourcePath } from '../../kbs/index.ts'
import { defineCommand } from '../command.ts'
import { optionalText, textFlag } from '../flags.ts'
import { KBS_FLAGS, type KbsFlags, withKbs } from '../kbs-access.ts'
import { writeOutputFile } from '../output-file.ts'

interface Flags extends KbsFlags {
  readonly path: string
  readonly initdata?: string | undefined
  readonly out?: string | undefined
}

export const command = defineCommand<Flags>({
  brief: 'Attests to a KBS with sample evidence and reads a resource as a guest.',
  details:
    'Prints it as base64, or writes it as it is to a file. A KBS in production refuses sample evidence.',
  parameters: {
    flags: {
      ...KBS_FLAGS,
      path: textFlag('What to read', 'REPOSITORY/TYPE/TAG'),
      initdata: optionalText('Init data to attest with, TOML', 'FILE'),
      out: optionalText('File to write the resource to, for its owner alone', 'FILE'),
    },
  },
  async run(cli, flags) {
    const path = parseResourcePath(flags.path)
    const initData = flags.initdata === undefined ? {} : { initData: await readInitData(flags.initdata) }
    const bytes = await withKbs(cli, flags, async (client) => {
      await client.attest({ tee: 'sample', ...initData })
      return await client.getResource(path)
    })
    const uri = formatResourceUri(path)
    if (flags.out === undefined) {
      const resource = encodeBase64(bytes)
      return { exit: 0, data: { uri, resource }, text: resource }
    }
    await writeOutputFile(flags.out, bytes, { mode: 0o600 })
    return {
      exit: 0,
      data: { uri, file: flags.out, size: bytes.byteLength },
      text: `Wrote ${uri} to ${flags.out}`,
    }
  },
})

async function readInitData(path: string): Promise<{ format: 'toml'; body: string }> {
  const bytes = await readFileBounded(path, LIMITS.initdataBytes, 'init data')
  return { format: 'toml', body: Buffer.from(bytes).toString('utf8') }
}
