import { generateKeyPair, keyFilePaths, writeKeyPair } from '../../keys/index.ts'
import type { Cli, Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { parseText, switchFlag } from '../flags.ts'
import { mayReplace } from '../key-files.ts'
import { parseStoreReference, putKeyPair } from '../key-stores.ts'
import { describeWritten } from '../key-text.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword } from '../password.ts'

interface Flags extends PasswordFlags {
  readonly outputKeyPrefix: string
  readonly yes: boolean
}

export const command = defineCommand<Flags, [string?]>({
  brief: "Makes a P-256 key pair: PREFIX.key, in cosign's encrypted format, and PREFIX.pub.",
  details:
    'With a PLACE, the private key and its password go there and not into a file: k8s://NAMESPACE/NAME, gitlab://PROJECT\n' +
    'or github://OWNER[/REPOSITORY], in the form of cosign. A key pair that is there is replaced only after a yes.\n' +
    'GITHUB_TOKEN, GITHUB_HOST, GITLAB_TOKEN, GITLAB_HOST and KUBECONFIG say who writes there, as for cosign.',
  parameters: {
    flags: {
      outputKeyPrefix: {
        kind: 'parsed',
        parse: parseText,
        default: 'cosign',
        brief: 'Path of the two files without their endings',
        placeholder: 'PREFIX',
      },
      ...PASSWORD_FLAGS,
      yes: switchFlag('Replace a key pair that is there without asking'),
    },
    aliases: { y: 'yes' },
    positional: {
      kind: 'tuple',
      parameters: [
        {
          parse: parseText,
          placeholder: 'PLACE',
          brief: 'Where the key pair goes (default: files)',
          optional: true,
        },
      ],
    },
  },
  async run(cli, flags, place): Promise<Outcome> {
    if (place !== undefined) return await generateInto(cli, flags, place)
    const prefix = flags.outputKeyPrefix
    const replace = await mayReplace(cli, keyFilePaths(prefix, 'cosign'), flags.yes)
    const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
    return describeWritten(await writeKeyPair({ prefix, password, replace }))
  },
})

async function generateInto(cli: Cli, flags: Flags, place: string): Promise<Outcome> {
  const reference = parseStoreReference(place)
  const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
  const key = await generateKeyPair()
  const { publicKeyPath } = keyFilePaths(flags.outputKeyPrefix, 'cosign')
  const { store, written } = await putKeyPair(cli, reference, {
    key,
    password,
    yes: flags.yes,
    publicKeyPath,
  })
  const { algorithm, fingerprint } = key.publicKey
  return {
    exit: 0,
    data: { store, written: [...written], publicKey: publicKeyPath, algorithm, fingerprint },
    text: `Key pair put to ${store}: ${written.join(', ')}\nPublic key written to ${publicKeyPath} (fingerprint ${fingerprint})`,
  }
}
