import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** What a program left behind. */
export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  /** Variables beside those of the sandbox. */
  readonly env?: Readonly<Record<string, string>>
  /** What the program reads from stdin. Default: nothing. */
  readonly input?: string
  /** Milliseconds until the program is killed. Default 60 s. */
  readonly timeout?: number
}

/** How long a server may take to say that it listens. */
const START_MS = 20_000
/** How long a server may take to end after SIGTERM. */
const STOP_MS = 5_000

/**
 * A folder of its own, in which programs find a home, configuration and caches that are empty, and a proxy that leads
 * nowhere: they reach the loopback interface and nothing else. Servers started in it end with it.
 */
export class Sandbox {
  readonly dir: string
  /** PEM file of every authority that `trust` was told of; all programs trust it. */
  readonly caFile: string
  readonly #servers: ChildProcess[] = []
  readonly #lastActions: (() => Promise<unknown>)[] = []

  private constructor(dir: string) {
    this.dir = dir
    this.caFile = join(dir, 'ca.pem')
  }

  static async create(): Promise<Sandbox> {
    const sandbox = new Sandbox(await mkdtemp(join(tmpdir(), 'cosignet-')))
    await Promise.all(
      ['home/.gnupg', 'config', 'data', 'cache', 'run'].map((name) =>
        mkdir(sandbox.path(name), { recursive: true, mode: 0o700 }),
      ),
    )
    await writeFile(sandbox.caFile, '')
    return sandbox
  }

  path(name: string): string {
    return join(this.dir, name)
  }

  async write(name: string, content: string | Uint8Array): Promise<string> {
    await mkdir(dirname(this.path(name)), { recursive: true })
    await writeFile(this.path(name), content)
    return this.path(name)
  }

  read(name: string): Promise<string> {
    return readFile(this.path(name), 'utf8')
  }

  trust(pem: string): void {
    appendFileSync(this.caFile, pem.endsWith('\n') ? pem : `${pem}\n`)
  }

  /** Runs a program to its end, whatever its exit status. */
  async run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const child = spawn(program, args, {
      cwd: this.dir,
      env: { ...this.environment(), ...options.env },
      timeout: options.timeout ?? 60_000,
      killSignal: 'SIGKILL',
    })
    const [stdout, stderr] = [collect(child.stdout), collect(child.stderr)]
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
    const [status] = (await once(child, 'close')) as [number | null]
    return { status, stdout: stdout(), stderr: stderr() }
  }

  /** Runs a program that must exit with 0; the error shows all that it printed. */
  async succeed(program: string, args: readonly string[], options: RunOptions = {}): Promise<Outcome> {
    const outcome = await this.run(program, args, options)
    if (outcome.status !== 0) {
      const output = `${outcome.stdout}${outcome.stderr}`
      throw new Error(`${program} ${args.join(' ')} ended with ${outcome.status}:\n${output}`)
    }
    return outcome
  }

  /**
   * Starts a server that ends with the sandbox.
   * @param ready matches what it prints once it listens.
   * @returns the first group of the match.
   */
  async serve(program: string, args: readonly string[], ready: RegExp): Promise<string> {
    const child = spawn(program, args, {
      cwd: this.dir,
      env: this.environment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#servers.push(child)
    process.once('exit', () => child.kill('SIGKILL'))
    return new Promise((resolve, reject) => {
      let output = ''
      const timer = setTimeout(() => fail('does not listen yet'), START_MS)
      const fail = (reason: string): void => {
        clearTimeout(timer)
        reject(new Error(`${program} ${args.join(' ')} ${reason}:\n${output}`))
      }
      const look = (chunk: Buffer): void => {
        output += chunk.toString()
        const address = ready.exec(output)?.[1]
        if (address === undefined) return
        clearTimeout(timer)
        resolve(address)
      }
      child.stdout.on('data', look)
      child.stderr.on('data', look)
      child.once('error', (error) => fail(error.message))
      child.once('exit', (status) => fail(`ended with ${status}`))
    })
  }

  /** Has something done at the end, once the servers have ended and before the folder is removed. */
  atEnd(action: () => Promise<unknown>): void {
    this.#lastActions.push(action)
  }

  async dispose(): Promise<void> {
    await Promise.all(this.#servers.map(stop))
    for (const action of this.#lastActions) await action()
    await rm(this.dir, { recursive: true, force: true, maxRetries: 3 })
  }

  /** What a program started in the sandbox finds in its environment. */
  environment(): Record<string, string> {
    return {
      PATH: process.env['PATH'] ?? '',
      LANG: 'C.UTF-8',
      TMPDIR: tmpdir(),
      HOME: this.path('home'),
      GNUPGHOME: this.path('home/.gnupg'),
      XDG_CONFIG_HOME: this.path('config'),
      XDG_DATA_HOME: this.path('data'),
      XDG_CACHE_HOME: this.path('cache'),
      XDG_RUNTIME_DIR: this.path('run'),
      DOCKER_CONFIG: this.path('config/docker'),
      TUF_ROOT: this.path('cache/tuf'),
      SSL_CERT_FILE: this.caFile,
      HTTP_PROXY: 'http://127.0.0.1:9',
      HTTPS_PROXY: 'http://127.0.0.1:9',
      NO_PROXY: '127.0.0.1,localhost',
    }
  }
}

function collect(stream: NodeJS.ReadableStream): () => string {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  return () => Buffer.concat(chunks).toString()
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await ended
  clearTimeout(timer)
}
