import { writeKeyPair } from '../../keys/index.ts'
import { defineCommand } from '../command.ts'
import { parseText } from '../flags.ts'
import { readPassword } from '../password.ts'

interface Flags {
  readonly outputKeyPrefix: string
}

export const command = defineCommand<Flags>({
  brief: "Makes a P-256 key pair: PREFIX.key, in cosign's encrypted format, and PREFIX.pub.",
  details:
    'The password comes from COSIGN_PASSWORD, else from the terminal. A file that exists is never overwritten.',
  parameters: {
    flags: {
      outputKeyPrefix: {
        kind: 'parsed',
        parse: parseText,
        default: 'cosign',
        brief: 'Path of the two files without their endings',
        placeholder: 'PREFIX',
      },
    },
  },
  async run(cli, flags) {
    const password = await readPassword(cli, { confirm: true })
    const written = await writeKeyPair({ prefix: flags.outputKeyPrefix, password })
    const { fingerprint, algorithm } = written.publicKey
    return {
      exit: 0,
      data: { privateKey: written.privateKeyPath, publicKey: written.publicKeyPath, algorithm, fingerprint },
      text: `Private key written to ${written.privateKeyPath}\nPublic key written to ${written.publicKeyPath} (fingerprint ${fingerprint})`,
    }
  },
})
