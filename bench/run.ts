// Benchmarks against real peers: `make bench`, or `node bench/run.ts [-o text|json]`.
//
// Each task is timed as a user meets it: a whole process, from its start to its end, both programs in turn within one
// run. Each works on the loopback interface in a home of its own that is empty.
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Sandbox } from '../test/interop/sandbox.ts'
import { type Contender, makeTasks, type Task } from './tasks.ts'

const WARM_UPS = 2
const RUNS = 21

/** Times in milliseconds. */
interface Measured {
  readonly task: string
  readonly peer: string
  readonly cosignetMs: number
  readonly peerMs: number
  /** Time of cosignet as a share of the peer's: below 1 is faster. */
  readonly ratio: number
}

const { values } = parseArgs({ options: { output: { type: 'string', short: 'o', default: 'text' } } })
const sandbox = await Sandbox.create()
try {
  const results: Measured[] = []
  for (const task of await makeTasks(sandbox, WARM_UPS + RUNS)) results.push(await measure(task))
  console.log(values.output === 'json' ? JSON.stringify(results, undefined, 2) : table(results))
} finally {
  await sandbox.dispose()
}

async function measure({ name, cosignet, peer }: Task): Promise<Measured> {
  const times: { cosignet: number[]; peer: number[] } = { cosignet: [], peer: [] }
  for (let run = 0; run < WARM_UPS + RUNS; run++) {
    times.cosignet.push(time(cosignet, run))
    times.peer.push(time(peer, run))
    // Lets the output of the registry be read, or it would wait for that.
    await setImmediate()
  }
  const cosignetMs = median(times.cosignet.slice(WARM_UPS))
  const peerMs = median(times.peer.slice(WARM_UPS))
  return { task: name, peer: peer.label, cosignetMs, peerMs, ratio: cosignetMs / peerMs }
}

function time({ program, args }: Contender, run: number): number {
  const words = args(run)
  const start = process.hrtime.bigint()
  const { status, stdout, stderr } = spawnSync(program, words, {
    cwd: sandbox.dir,
    env: { ...sandbox.environment(), COSIGN_PASSWORD: '' },
  })
  const end = process.hrtime.bigint()
  if (status !== 0) throw new Error(`${program} ${words.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return Number(end - start) / 1e6
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return (low + high) / 2
}

function table(results: readonly Measured[]): string {
  const rows = [
    ['task', 'cosignet', 'peer', '', 'ratio'],
    ...results.map(({ task, peer, cosignetMs, peerMs, ratio }) => [
      task,
      `${cosignetMs.toFixed(1)} ms`,
      peer,
      `${peerMs.toFixed(1)} ms`,
      ratio.toFixed(2),
    ]),
  ]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (i === 0 || i === 2 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  '),
  )
  return [
    ...lines,
    '',
    `Median of ${RUNS} runs in turn after ${WARM_UPS} warm-ups; Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}.`,
  ].join('\n')
}
