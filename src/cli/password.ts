import { CosignetError, encodeUtf8 } from '../core/index.ts'
import type { Cli } from './cli.ts'

export interface PasswordOptions {
  /** Ask twice, for a password that is set and not tried. */
  readonly confirm: boolean
}

/**
 * Takes the password of a private key: `COSIGN_PASSWORD` if it is set, even if empty, else asked for without echo.
 * Unlike cosign it never waits for standard input where nobody sits at it.
 * @throws INVALID_PASSWORD
 */
export async function readPassword(cli: Cli, options: PasswordOptions): Promise<Uint8Array> {
  const given = cli.environment['COSIGN_PASSWORD']
  if (given !== undefined) return encodeUtf8(given)
  if (!cli.interactive) {
    throw new CosignetError(
      'INVALID_PASSWORD',
      'COSIGN_PASSWORD is not set, and there is no terminal to ask for the password.',
      {
        hint: 'Set COSIGN_PASSWORD to the password of the private key (to nothing for an empty one).',
      },
    )
  }
  const password = await askSecret(cli, 'Enter password for private key: ')
  if (options.confirm && (await askSecret(cli, 'Enter password for private key again: ')) !== password) {
    throw new CosignetError('INVALID_PASSWORD', 'The two passwords do not match.')
  }
  return encodeUtf8(password)
}

/** Asks a person for something secret, without echo. @throws as the terminal does when `cli.signal` is aborted */
export async function askSecret(cli: Cli, question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const { Writable } = await import('node:stream')
  process.stderr.write(question)
  // A terminal interface echoes what is typed to its output, so it gets one that swallows everything.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  try {
    return await terminal.question('', { signal: cli.signal })
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
