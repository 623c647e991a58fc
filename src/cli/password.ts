import { once } from 'node:events'
import { stat } from 'node:fs/promises'
import type { FlagParametersForType } from '@stricli/core'
import { CosignetError, encodeUtf8, LIMITS, quote, readFileBounded } from '../core/index.ts'
import type { Cli } from './cli.ts'
import { optionalText } from './flags.ts'

/** Where a command that opens or writes a private key is told its password, beside `COSIGN_PASSWORD`. */
export interface PasswordFlags {
  readonly passwordFile?: string | undefined
}

/** The flags of `PasswordFlags`. */
export const PASSWORD_FLAGS: FlagParametersForType<PasswordFlags> = {
  passwordFile: optionalText(
    'File whose first line is the password of the private key (default: COSIGN_PASSWORD, else it is asked for)',
    'FILE',
  ),
}

export interface PasswordOptions {
  /** Ask twice, for a password that is set and not tried. */
  readonly confirm: boolean
  /** A file with the password in its first line. Default: `COSIGN_PASSWORD`, else a person is asked. */
  readonly file?: string | undefined
}

const PROMPT = 'Enter password for private key'

/**
 * Takes the password of a private key: from the file named, else from `COSIGN_PASSWORD` if it is set, even if empty,
 * else asked for without echo. Unlike cosign it never waits for standard input where nobody sits at it.
 * @throws INVALID_PASSWORD; FILE and TOO_LARGE for the file
 */
export async function readPassword(cli: Cli, options: PasswordOptions): Promise<Uint8Array> {
  if (options.file !== undefined) return await readPasswordFile(cli, options.file)
  const given = cli.environment['COSIGN_PASSWORD']
  if (given !== undefined) return encodeUtf8(given)
  if (!cli.interactive) {
    throw new CosignetError(
      'INVALID_PASSWORD',
      'COSIGN_PASSWORD is not set, and there is no terminal to ask for the password.',
      {
        hint: 'Give --password-file, or set COSIGN_PASSWORD to the password of the private key (to nothing for an empty one).',
      },
    )
  }
  const password = await askSecret(cli, `${PROMPT}: `)
  if (options.confirm && (await askSecret(cli, `${PROMPT} again: `)) !== password) {
    throw new CosignetError('INVALID_PASSWORD', 'The two passwords do not match.')
  }
  return encodeUtf8(password)
}

/**
 * Reads a password from the first line of a file, up to LF, as skopeo and gpg do; a pipe (`<(…)`) is as good. Warns of
 * a file that others can read.
 * @throws FILE, TOO_LARGE
 */
export async function readPasswordFile(cli: Cli, path: string): Promise<Uint8Array> {
  const bytes = await readFileBounded(path, LIMITS.passwordFileBytes, 'password file')
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() === true && (found.mode & 0o044) !== 0) {
    cli.say(
      `WARN Others on this machine can read the password file ${quote(path)}; chmod 600 keeps it yours.`,
    )
  }
  const end = bytes.indexOf(LINE_FEED)
  return end === -1 ? bytes : bytes.subarray(0, end)
}

const LINE_FEED = 10

/**
 * Asks a person for something secret, without echo.
 * @throws ABORTED if the terminal goes away; as the terminal does when `cli.signal` is aborted
 */
export async function askSecret(cli: Cli, question: string): Promise<string> {
  const { createInterface } = await import('node:readline/promises')
  const { Writable } = await import('node:stream')
  process.stderr.write(question)
  // A terminal interface echoes what is typed to its output, so it gets one that swallows everything.
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() })
  const terminal = createInterface({ input: process.stdin, output: silent, terminal: true })
  // A question to a terminal that is gone is never answered, and a process that waits for nothing else ends with 0.
  const gone = once(terminal, 'close').then(() => {
    throw new CosignetError('ABORTED', 'The terminal went away before the password was given.')
  })
  try {
    return await Promise.race([terminal.question('', { signal: cli.signal }), gone])
  } finally {
    terminal.close()
    process.stderr.write('\n')
  }
}
