import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** How a program is started. */
export interface Started {
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** What a run of a program took. */
export interface Taken {
  /** From start to end, in milliseconds. */
  readonly ms: number
  /** The most memory that it had (VmHWM), in MiB; undefined where it was not looked at, or the system does not tell. */
  readonly peakMiB?: number | undefined
}

/** How often the system is asked for the peak, which it keeps itself: only what comes after the last time is missed. */
const LOOK_MS = 10

/** Runs a program and takes its time, with nothing else done meanwhile. */
export function timeProgram({ program, args, cwd, env }: Started): Taken {
  const start = process.hrtime.bigint()
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env })
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  if (status !== 0) throw failed(program, args, status, `${stdout}${stderr}`)
  return { ms }
}

/** Runs a program and takes its time and its memory. */
export async function watchProgram({ program, args, cwd, env }: Started): Promise<Taken> {
  const start = process.hrtime.bigint()
  const child = spawn(program, args, { cwd, env, stdio: ['ignore', 'ignore', 'pipe'] })
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  let peakMiB: number | undefined
  const looking = setInterval(() => {
    peakMiB = peakOf(child.pid) ?? peakMiB
  }, LOOK_MS)
  const [status] = (await once(child, 'exit')) as [number | null]
  const ms = Number(process.hrtime.bigint() - start) / 1e6
  clearInterval(looking)
  if (status !== 0) throw failed(program, args, status, stderr)
  return { ms, peakMiB }
}

function failed(program: string, args: readonly string[], status: number | null, output: string): Error {
  const shown = args.length > 12 ? [...args.slice(0, 12), '…'] : args
  return new Error(`${program} ${shown.join(' ')} ended with ${status}:\n${output}`)
}

function peakOf(pid: number | undefined): number | undefined {
  try {
    const kiB = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    return kiB === undefined ? undefined : Number(kiB) / 1024
  } catch {
    return undefined
  }
}
