import { LIMITS, quote, readFileBounded } from '../../core/index.ts'
import {
  importOpenPgpKey,
  importPrivateKey,
  keyFilePaths,
  looksLikeOpenPgp,
  writeKeyPair,
} from '../../keys/index.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, parseText, switchFlag } from '../flags.ts'
import { mayReplace, readImportPassword, writeOpenPgpPair } from '../key-files.ts'
import { describeOpenPgpPair, describePair } from '../key-text.ts'
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
    "2048, 3072 or 4096 bits, P-256, P-384, P-521 and Ed25519 keys, and cosign's own, for another password. What gpg\n" +
    '--export-secret-keys writes stays an OpenPGP key: PREFIX.gpg.key and PREFIX.gpg.pub, encrypted anew.\n' +
    'Every verifier takes P-256 keys; key inspect tells who takes the others.',
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
  async run(cli, flags, file) {
    const bytes = await readFileBounded(file, LIMITS.keyringBytes, 'private key')
    const what = `The private key ${quote(file)}`
    const prefix = flags.outputKeyPrefix
    const oldPassword = (): Promise<Uint8Array> => readImportPassword(cli, file, flags.importPasswordFile)
    const newPassword = (): Promise<Uint8Array> =>
      readPassword(cli, { confirm: true, file: flags.passwordFile })
    if (looksLikeOpenPgp(bytes)) {
      const paths = keyFilePaths(prefix, 'openpgp')
      const replace = await mayReplace(cli, paths, flags.yes)
      const pair = await importOpenPgpKey(bytes, { old: oldPassword, new: newPassword }, what)
      await writeOpenPgpPair(paths, pair, replace)
      return describeOpenPgpPair(paths, pair.key)
    }
    const key = await importPrivateKey(bytes, oldPassword, what)
    const replace = await mayReplace(cli, keyFilePaths(prefix, 'cosign'), flags.yes)
    return describePair(await writeKeyPair({ prefix, password: await newPassword(), key, replace }))
  },
})
