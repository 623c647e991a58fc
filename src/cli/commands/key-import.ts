import { LIMITS, quote, readFileBounded } from '../../core/index.ts'
import { importPrivateKey, keyFilePaths, writeKeyPair } from '../../keys/index.ts'
import type { Outcome } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, parseText, switchFlag } from '../flags.ts'
import { mayReplace, readImportPassword } from '../key-files.ts'
import { describeWritten } from '../key-text.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword } from '../password.ts'

interface Flags extends PasswordFlags {
  readonly outputKeyPrefix: string
  readonly importPasswordFile?: string | undefined
  readonly yes: boolean
}

export const command = defineCommand<Flags, [string]>({
  brief:
    "Imports a private key of another tool: writes PREFIX.key, in cosign's encrypted format, and PREFIX.pub.",
  details:
    'Takes PEM files with PKCS#1, SEC1 or PKCS#8, which may be encrypted by PBES2 (PBKDF2 or scrypt), of RSA keys with\n' +
    "2048, 3072 or 4096 bits, P-256, P-384, P-521 and Ed25519 keys, and cosign's own, for another password.\n" +
    'Only P-256 and RSA keys are verified everywhere; key inspect tells by whom.',
  parameters: {
    flags: {
      outputKeyPrefix: {
        kind: 'parsed',
        parse: parseText,
        default: 'import-cosign',
        brief: 'Path of the two files without their endings',
        placeholder: 'PREFIX',
      },
      importPasswordFile: optionalText(
        'File whose first line is the password of FILE, if that is encrypted (default: it is asked for)',
        'FILE',
      ),
      ...PASSWORD_FLAGS,
      yes: switchFlag('Replace a key pair that is there without asking'),
    },
    aliases: { y: 'yes' },
    positional: oneText('FILE', 'Private key to import'),
  },
  async run(cli, flags, file): Promise<Outcome> {
    const bytes = await readFileBounded(file, LIMITS.keyBytes, 'private key')
    const ask = (): Promise<Uint8Array> => readImportPassword(cli, file, flags.importPasswordFile)
    const key = await importPrivateKey(bytes, ask, `The private key ${quote(file)}`)
    const prefix = flags.outputKeyPrefix
    const replace = await mayReplace(cli, keyFilePaths(prefix, 'cosign'), flags.yes)
    const password = await readPassword(cli, { confirm: true, file: flags.passwordFile })
    return describeWritten(await writeKeyPair({ prefix, password, key, replace }))
  },
})
