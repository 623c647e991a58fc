import { CosignetError } from '../../core/index.ts'
import { generateKeyPair, generateOpenPgpKey, keyFilePaths, writeKeyPair } from '../../keys/index.ts'
import type { Cli, Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { optionalText, parseText, switchFlag } from '../flags.ts'
import { mayReplace, writeOpenPgpPair } from '../key-files.ts'
import { parseStoreReference, putKeyPair } from '../key-stores.ts'
import { describeOpenPgpPair, describePair } from '../key-text.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword } from '../password.ts'

interface Flags extends PasswordFlags {
  readonly outputKeyPrefix: string
  readonly type: 'cosign' | 'gpg'
  readonly userId?: string | undefined
  readonly yes: boolean
}

export const command = defineCommand<Flags, [string?]>({
  brief: "Makes a key pair: PREFIX.key, in cosign's encrypted format, and PREFIX.pub.",
  details:
    'The key is on the curve P-256, which every verifier takes. With --type gpg it is an OpenPGP key (RSA-3072) in\n' +
    'PREFIX.gpg.key and PREFIX.gpg.pub, for simple signatures: gpg --import takes both. A guest verifies with the primary\n' +
    'key only, so the primary key signs, and there is no signing subkey.\n' +
    'With a PLACE, the private key and its password go there and not into a file: k8s://NAMESPACE/NAME, gitlab://PROJECT\n' +
    'or github://OWNER[/REPOSITORY], in the form of cosign. GITHUB_TOKEN, GITHUB_HOST, GITLAB_TOKEN, GITLAB_HOST and\n' +
    'KUBECONFIG say who writes there, as for cosign. What is there already is replaced only after a yes.',
  parameters: {
    flags: {
      outputKeyPrefix: {
        kind: 'parsed',
        parse: parseText,
        default: 'cosign',
        brief: 'Path of the two files without their endings',
        placeholder: 'PREFIX',
      },
      type: { kind: 'enum', values: ['cosign', 'gpg'], default: 'cosign', brief: 'Kind of the key' },
      userId: optionalText("Whose OpenPGP key it is: 'Release <release@example.com>'", 'NAME'),
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
  async run(cli, flags, place) {
    if (flags.type === 'gpg') return await generateOpenPgp(cli, flags, place)
    if (flags.userId !== undefined) {
      throw new CosignetError('USAGE', 'A key of cosign has no user ID; --user-id is for --type gpg.')
    }
    if (place !== undefined) return await generateInto(cli, flags, place)
    const prefix = flags.outputKeyPrefix
    const replace = await mayReplace(cli, keyFilePaths(prefix, 'cosign'), flags.yes)
    const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
    return describePair(await writeKeyPair({ prefix, password, replace }))
  },
})

async function generateOpenPgp(cli: Cli, flags: Flags, place: string | undefined): Promise<Outcome> {
  if (place !== undefined) {
    throw new CosignetError('USAGE', 'An OpenPGP key goes into files, not to a place for keys of cosign.')
  }
  if (flags.userId === undefined) {
    throw new CosignetError('USAGE', 'An OpenPGP key has a user ID, and --user-id is missing.', {
      hint: "Say whose it is, for example: --user-id 'Release <release@example.com>'.",
    })
  }
  const paths = keyFilePaths(flags.outputKeyPrefix, 'openpgp')
  const replace = await mayReplace(cli, paths, flags.yes)
  const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
  const pair = await generateOpenPgpKey({ userId: flags.userId, password })
  await writeOpenPgpPair(paths, pair, replace)
  return describeOpenPgpPair(paths, pair.key)
}

async function generateInto(cli: Cli, flags: Flags, place: string): Promise<Outcome> {
  const reference = parseStoreReference(place)
  const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
  const key = await generateKeyPair()
  const { publicKeyPath } = keyFilePaths(flags.outputKeyPrefix, 'cosign')
  const { store, written } = await putKeyPair(cli, reference, {
    ...{ key, password, yes: flags.yes, publicKeyPath },
  })
  const { algorithm, fingerprint } = key.publicKey
  return {
    exit: 0,
    data: { store, written: [...written], publicKey: publicKeyPath, algorithm, fingerprint },
    text: `Key pair put to ${store}: ${written.join(', ')}\nPublic key written to ${publicKeyPath} (fingerprint ${fingerprint})`,
  }
}
