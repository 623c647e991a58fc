import { isCosignetError, LIMITS, quote, readFileBounded } from '../../core/index.ts'
import {
  importPrivateKey,
  inspectKey,
  type KeyFacts,
  type PublicKey,
  parseKeyReference,
} from '../../keys/index.ts'
import { asJson, type Cli } from '../cli.ts'
import { defineCommand } from '../command.ts'
import { oneText } from '../flags.ts'
import { readPublicKeys } from '../key-access.ts'
import { describeInspected, type InspectedKey, keyData } from '../key-facts.ts'
import { PASSWORD_FLAGS, type PasswordFlags, readPassword } from '../password.ts'

export const command = defineCommand<PasswordFlags, [string]>({
  brief: 'Shows what a key file is: kind, encryption, fingerprints, and which verifiers accept the key.',
  details:
    'KEY is a file, private or public, of cosign, of another tool or of gpg; or a public key as verify takes it (k8s://,\n' +
    'gitlab://, env://, https://). No password is asked for; with --password-file or COSIGN_PASSWORD, the file is opened.',
  parameters: {
    flags: PASSWORD_FLAGS,
    positional: oneText('KEY', 'Key to look at'),
  },
  async run(cli, flags, name) {
    const inspected = await inspect(cli, name, flags)
    return { exit: 0, data: asJson(keyData(inspected)), text: describeInspected(inspected) }
  },
})

async function inspect(cli: Cli, name: string, flags: PasswordFlags): Promise<InspectedKey> {
  if (parseKeyReference(name).kind !== 'file') {
    const [trusted] = await readPublicKeys(cli, [name])
    if (trusted?.kind === 'openpgp') {
      return { name, facts: { format: 'openpgp', secret: false, keys: trusted.keys } }
    }
    const publicKey = trusted?.key
    const facts: KeyFacts = {
      format: 'pem',
      secret: false,
      label: 'PUBLIC KEY',
      ...(publicKey && { publicKey }),
    }
    return { name, facts, publicKey }
  }
  const what = `The key ${quote(name)}`
  const bytes = await readFileBounded(name, LIMITS.keyringBytes, 'key')
  const facts = await inspectKey(bytes, what)
  if (facts.format === 'openpgp') return { name, facts }
  return { name, facts, publicKey: facts.publicKey ?? (await openIfGiven(cli, bytes, what, flags)) }
}

/** A password that was named must open the file; one that happens to be in the environment may be of another key. */
async function openIfGiven(
  cli: Cli,
  bytes: Uint8Array,
  what: string,
  { passwordFile: file }: PasswordFlags,
): Promise<PublicKey | undefined> {
  if (file === undefined && cli.environment['COSIGN_PASSWORD'] === undefined) return undefined
  try {
    const key = await importPrivateKey(bytes, () => readPassword(cli, { confirm: false, file }), what)
    return key.publicKey
  } catch (error) {
    if (file !== undefined || !isCosignetError(error, 'INVALID_PASSWORD')) throw error
    cli.say(`WARN ${what} is not opened by COSIGN_PASSWORD.`)
    return undefined
  }
}
