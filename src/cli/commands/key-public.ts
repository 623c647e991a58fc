import { CosignetError, encodeUtf8, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import {
  formatOpenPgpPublicKey,
  formatPublicKey,
  importPrivateKey,
  inspectKey,
  looksLikeOpenPgp,
  parseKeyReference,
} from '../../keys/index.ts'
import type { Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText, optionalText } from '../flags.ts'
import { readPublicKeys } from '../key-access.ts'
import { writeOutputFile } from '../output-file.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword } from '../password.ts'

interface Flags extends PasswordFlags {
  readonly out?: string | undefined
}

export const command = defineCommand<Flags, [string]>({
  brief: 'Prints the public key of a key: PEM as in cosign.pub, or an armored OpenPGP key.',
  details:
    'KEY is a private or public key: a file of cosign, of another tool or of gpg; or a public key as verify takes it\n' +
    '(k8s://, gitlab://, env://, https://). The password is asked for only where the public key cannot be told without.',
  parameters: {
    flags: {
      out: optionalText('Write it to this file (default: standard output)', 'FILE'),
      ...PASSWORD_FLAGS,
    },
    positional: oneText('KEY', 'Key to print the public half of'),
  },
  async run(cli, flags, name) {
    const publicKey = await publicKeyOf(cli, name, flags)
    if (flags.out === undefined) return { exit: 0, data: { publicKey }, text: publicKey.trimEnd() }
    await writeOutputFile(flags.out, encodeUtf8(publicKey), { mode: 0o644 })
    return { exit: 0, data: { publicKey, out: flags.out }, text: `Public key written to ${flags.out}` }
  },
})

async function publicKeyOf(cli: Cli, name: string, { passwordFile: file }: PasswordFlags): Promise<string> {
  if (parseKeyReference(name).kind !== 'file') {
    const [trusted] = await readPublicKeys(cli, [name])
    if (trusted?.kind === 'cosign') return formatPublicKey(trusted.key)
    throw new CosignetError('UNSUPPORTED', `The OpenPGP key ${quote(name)} is printed from a file alone.`)
  }
  const what = `The key ${quote(name)}`
  const bytes = await readFileBounded(name, LIMITS.keyBytes, 'key')
  if (looksLikeOpenPgp(bytes)) return await formatOpenPgpPublicKey(bytes, what)
  const facts = await inspectKey(bytes, what)
  if (facts.format === 'pem' && facts.publicKey !== undefined) return formatPublicKey(facts.publicKey)
  const key = await importPrivateKey(bytes, () => readPassword(cli, { confirm: false, file }), what)
  return formatPublicKey(key.publicKey)
}
