import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { lstat, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import packageJson from '../../package.json' with { type: 'json' }
import type { Outcome, RunOptions, Sandbox } from '../interop/sandbox.ts'

/** The command line as it is shipped. */
export const MAIN = fileURLToPath(new URL(`../../${packageJson.bin.cosignet}`, import.meta.url))
if (!existsSync(MAIN)) throw new Error(`${MAIN} is missing: run 'make' before these tests.`)

/** Password of the keys that the tests make. */
export const PASSWORD = 'correct horse'

export interface CommandOptions extends RunOptions {
  /** `COSIGN_PASSWORD`; null leaves it out. Default: `PASSWORD`. */
  readonly password?: string | null
}

/** Runs a command line to its end, whatever its exit status. */
export function cosignet(
  sandbox: Sandbox,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<Outcome> {
  return sandbox.run(process.execPath, [MAIN, ...args], clean(sandbox, options))
}

/** Runs a command line that must exit with 0, and returns what it printed on standard output. */
export async function cosignetDoes(
  sandbox: Sandbox,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<string> {
  const outcome = await sandbox.succeed(process.execPath, [MAIN, ...args], clean(sandbox, options))
  return outcome.stdout
}

/** A command that is still running. */
export interface Running {
  readonly child: ChildProcess
  stdout(): string
  stderr(): string
  /** What it exits with; null: a signal killed it. */
  readonly ended: Promise<number | null>
}

/** Starts a command and does not wait for its end. The test ends it. */
export function startCosignet(sandbox: Sandbox, args: readonly string[]): Running {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: sandbox.dir,
    env: { ...sandbox.environment(), ...clean(sandbox, {}).env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output = { stdout: '', stderr: '' }
  child.stdout.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString()
  })
  child.stderr.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString()
  })
  const ended = once(child, 'close').then(([status]) => status as number | null)
  return { child, stdout: () => output.stdout, stderr: () => output.stderr, ended }
}

/** Starts a registry on plain HTTP. @returns host and port */
export function startRegistry(sandbox: Sandbox, ...flags: readonly string[]): Promise<string> {
  return sandbox.serve(process.execPath, [MAIN, 'registry', 'serve', ...flags], /Registry (\S+) at/)
}

/** Starts a KBS with its files in `kbs/`. @returns its URL */
export function startKbs(sandbox: Sandbox, ...flags: readonly string[]): Promise<string> {
  const args = ['kbs', 'serve', '--storage', 'kbs', '--insecure-http', '--insecure-allow-sample-tee']
  return sandbox.serve(process.execPath, [MAIN, ...args, ...flags], /KBS at (\S+)\nAdministrator key: \S+\n/)
}

/** What is in a folder: path, kind, permission bits, and what a file holds or a link points to. */
export async function listing(folder: string): Promise<readonly string[]> {
  const rows: string[] = []
  for (const name of (await readdir(folder, { recursive: true })).sort()) {
    const path = join(folder, name)
    const found = await lstat(path)
    const mode = (found.mode & 0o7777).toString(8)
    if (found.isFile()) rows.push(`${name} ${mode} ${found.mtimeMs} ${await contentOf(path, found.size)}`)
    else if (found.isSymbolicLink()) rows.push(`${name} -> ${await readlink(path)}`)
    else rows.push(`${name}/ ${mode}`)
  }
  return rows
}

/** The hash of a file; its size where that is faster and, with its time, enough. */
async function contentOf(path: string, size: number): Promise<string> {
  if (size > 1024 * 1024) return `${size} bytes`
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

/** The sandbox's own authority is for peers: here, each command names the ones to trust. */
function clean(sandbox: Sandbox, { password = PASSWORD, ...options }: CommandOptions): RunOptions {
  const secret = password === null ? {} : { COSIGN_PASSWORD: password }
  const env = { SSL_CERT_FILE: '', TMPDIR: sandbox.path('cache'), ...secret, ...options.env }
  return { ...options, env }
}
