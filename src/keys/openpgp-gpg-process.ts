import type { ChildProcess } from 'node:child_process'
import { CosignetError, collectBytes, decodeUtf8, errnoOf, LIMITS } from '../core/index.ts'

export interface GpgJob {
  readonly args: readonly string[]
  /** What gpg reads from stdin. Default: nothing. */
  readonly input?: Uint8Array
  /** What gpg reads as the passphrase, from a pipe of its own. Default: gpg's agent asks the user. */
  readonly passphrase?: Uint8Array
  /** Variables of the process; `GNUPGHOME` among them says where the keys are. */
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly signal: AbortSignal
}

/** What gpg left behind. */
export interface GpgOutcome {
  readonly exitStatus: number | null
  readonly output: Uint8Array
  /** Lines of the status file descriptor without `[GNUPG:] `, each split at the blanks (gnupg, doc/DETAILS). */
  readonly status: readonly (readonly string[])[]
  /** What gpg said to people, in English, for a message. */
  readonly talk: string
}

const PROGRAM = 'gpg'

/** What gpg is always told: it asks nobody on a terminal, and settings of the user's change no output. */
const FLAGS = ['--batch', '--no-tty', '--no-armor', '--display-charset', 'utf-8', '--status-fd', '3']
const LOOPBACK = ['--pinentry-mode', 'loopback', '--passphrase-fd', '4']

/**
 * Runs the program gpg to its end, without a shell and without a terminal. What it did is told by its status file
 * descriptor, a pipe of its own into which no text of a message gets (CVE-2018-12020), and never by what it prints for
 * people.
 * @throws UNSUPPORTED if there is no gpg; ABORTED, TOO_LARGE
 */
export async function runGpg(job: GpgJob): Promise<GpgOutcome> {
  const { args, input = new Uint8Array(), passphrase, environment, signal } = job
  // Loaded when it is needed: most of those who sign need no other program.
  const { spawn } = await import('node:child_process')
  const child = spawn(PROGRAM, [...FLAGS, ...(passphrase === undefined ? [] : LOOPBACK), ...args], {
    env: { ...environment, LC_ALL: 'C', LANGUAGE: 'en' },
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', passphrase === undefined ? 'ignore' : 'pipe'],
    signal,
  })
  try {
    send(child, 0, input)
    if (passphrase !== undefined) send(child, 4, Buffer.concat([passphrase, Buffer.from('\n')]))
    const [exitStatus, output, talk, status] = await Promise.all([
      exitOf(child),
      collect(child, 1, LIMITS.keyringBytes),
      collect(child, 2, LIMITS.gpgTalkBytes),
      collect(child, 3, LIMITS.gpgTalkBytes),
    ])
    return { exitStatus, output, status: statusLines(status), talk: lastLine(talk) }
  } catch (error) {
    child.kill()
    if (signal.aborted)
      throw new CosignetError('ABORTED', 'Gpg was stopped before it had ended.', { cause: error })
    if (errnoOf(error) !== 'ENOENT') throw error
    throw new CosignetError(
      'UNSUPPORTED',
      'There is no program gpg here, by which keys of its keyring sign.',
      {
        cause: error,
        hint: 'Install GnuPG, or export the key and give its file.',
      },
    )
  }
}

function send(child: ChildProcess, descriptor: 0 | 4, bytes: Uint8Array): void {
  const pipe = child.stdio[descriptor]
  if (pipe === null || pipe === undefined || !('end' in pipe)) return
  // Gpg may end before it has read everything; how it ended says why.
  pipe.on('error', () => undefined)
  pipe.end(bytes)
}

async function collect(child: ChildProcess, descriptor: 1 | 2 | 3, limit: number): Promise<Uint8Array> {
  const pipe = child.stdio[descriptor]
  if (pipe === null || pipe === undefined || !('read' in pipe)) return new Uint8Array()
  return await collectBytes(pipe, limit, 'What gpg printed')
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
}

const STATUS_PREFIX = '[GNUPG:] '

function statusLines(bytes: Uint8Array): readonly (readonly string[])[] {
  return textOf(bytes)
    .split('\n')
    .filter((line) => line.startsWith(STATUS_PREFIX))
    .map((line) => line.slice(STATUS_PREFIX.length).split(' '))
}

function lastLine(bytes: Uint8Array): string {
  return textOf(bytes).trim().split('\n').at(-1) ?? ''
}

function textOf(bytes: Uint8Array): string {
  return decodeUtf8(bytes) ?? ''
}
