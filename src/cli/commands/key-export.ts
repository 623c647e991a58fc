import {
  CosignetError,
  encodeUtf8,
  LIMITS,
  quote,
  readFileBounded,
  writeFileAtomically,
} from '../../core/index.ts'
import { decryptPrivateKey, encryptPkcs8, formatPkcs8, looksLikeOpenPgp } from '../../keys/index.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText, switchFlag } from '../flags.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword, readPasswordFile } from '../password.ts'

interface Flags extends PasswordFlags {
  readonly to: 'encrypted-pkcs8' | 'pkcs8'
  readonly exportPasswordFile?: string | undefined
  readonly insecurePlain: boolean
  readonly out?: string | undefined
}

export const command = defineCommand<Flags, [string]>({
  brief: 'Prints a private key of cosign for other tools, as PKCS#8 in PEM, encrypted unless you insist.',
  details:
    'It is encrypted by PBES2 (PBKDF2 with HMAC-SHA-256, AES-256) with the password of FILE, or with another one;\n' +
    'openssl, Java and others read it. An OpenPGP key needs no export: gpg --import takes its file.',
  parameters: {
    flags: {
      to: {
        kind: 'enum',
        values: ['encrypted-pkcs8', 'pkcs8'],
        default: 'encrypted-pkcs8',
        brief: 'Format; pkcs8, which is not encrypted, needs --insecure-plain',
      },
      exportPasswordFile: optionalText(
        'File whose first line is the password to encrypt it with (default: that of FILE)',
        'FILE',
      ),
      insecurePlain: switchFlag('With --to pkcs8: print the private key as it is; who reads it can sign'),
      out: optionalText('Write it to this new file, for you alone (default: standard output)', 'FILE'),
      ...PASSWORD_FLAGS,
    },
    positional: oneText('FILE', 'Private key of cosign'),
  },
  async run(cli, flags, file) {
    const plain = flags.to === 'pkcs8'
    if (plain !== flags.insecurePlain) {
      throw new CosignetError('USAGE', '--to pkcs8 and --insecure-plain are given together or not at all.')
    }
    if (plain && flags.exportPasswordFile !== undefined) {
      throw new CosignetError('USAGE', '--export-password-file and --insecure-plain contradict each other.')
    }
    const bytes = await readFileBounded(file, LIMITS.keyBytes, 'private key')
    if (looksLikeOpenPgp(bytes)) {
      throw new CosignetError('UNSUPPORTED', `${quote(file)} is an OpenPGP key, which is no PKCS#8.`, {
        hint: 'gpg --import takes the file as it stands.',
      })
    }
    const password = await readPassword(cli, { confirm: false, file: flags.passwordFile })
    const key = await decryptPrivateKey(bytes, password, `The private key ${quote(file)}`)
    const { exportPasswordFile: another } = flags
    const newPassword = another === undefined ? password : await readPasswordFile(cli, another)
    const pem = plain ? formatPkcs8(key) : await encryptPkcs8(key, notEmpty(newPassword))
    if (flags.out === undefined) return { exit: 0, data: { privateKey: pem }, text: pem.trimEnd() }
    await writeFileAtomically(flags.out, encodeUtf8(pem), { mode: 0o600, exclusive: true })
    return { exit: 0, data: { out: flags.out }, text: `Private key written to ${flags.out}` }
  },
})

/** OpenSSL takes an empty password and calls the key encrypted all the same. */
function notEmpty(password: Uint8Array): Uint8Array {
  if (password.byteLength > 0) return password
  throw new CosignetError('INVALID_PASSWORD', 'The exported key would be encrypted with an empty password.', {
    hint: 'Give --export-password-file; or --to pkcs8 --insecure-plain, and look after the file.',
  })
}
