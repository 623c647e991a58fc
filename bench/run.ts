// Benchmarks against real peers: `make bench`, or `node bench/run.ts [-o text|json] [--only TEXT]`.
//
// Each task is timed as a user meets it: a whole process, from its start to its end, all programs in turn within one
// run. Each works on the loopback interface in a home of its own that is empty. The copies of big images need 16 GB in
// the folder for temporary files.
import { spawnSync } from 'node:child_process'
import { cpus } from 'node:os'
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Sandbox } from '../test/interop/sandbox.ts'
import { makeCopyTasks } from './copy-tasks.ts'
import { type Started, type Taken, timeProgram, watchProgram } from './run-program.ts'
import { makeSignatureTasks } from './signature-tasks.ts'
import { type Contender, makeStartTasks, RUNS, type Task, WARM_UPS } from './tasks.ts'

/** Times in milliseconds, memory in MiB. */
interface Measured {
  readonly task: string
  readonly peer: string
  readonly runs: number
  readonly cosignetMs: number
  readonly peerMs: number
  /** Time of cosignet as a share of the peer's: below 1 is faster. */
  readonly ratio: number
  /** The most of all runs. */
  readonly cosignetPeakMiB?: number
  readonly peerPeakMiB?: number
}

/** Tasks by the words that their names begin with. */
const KINDS: readonly (readonly [
  words: readonly string[],
  make: (sandbox: Sandbox, other: Sandbox) => Promise<readonly Task[]>,
])[] = [
  [['start'], makeStartTasks],
  [['sign', 'verify'], makeSignatureTasks],
  [['copy'], makeCopyTasks],
]

const { values } = parseArgs({
  options: {
    output: { type: 'string', short: 'o', default: 'text' },
    only: { type: 'string', default: '' },
  },
})
const [sandbox, other] = [await Sandbox.create(), await Sandbox.create()]
try {
  const results: Measured[] = []
  for (const [kind, make] of KINDS) {
    // Preparing takes longer than many a task.
    const [wanted = ''] = values.only.split(/[: ]/)
    if (KINDS.some(([names]) => names.includes(wanted)) && !kind.includes(wanted)) continue
    for (const task of await make(sandbox, other)) {
      if (task.name.includes(values.only)) results.push(...(await measure(task)))
    }
  }
  console.log(values.output === 'json' ? JSON.stringify(results, undefined, 2) : table(results))
} finally {
  await Promise.all([sandbox.dispose(), other.dispose()])
}

async function measure(task: Task): Promise<readonly Measured[]> {
  const { warmUps = WARM_UPS, runs = RUNS } = task
  const contenders = [task.cosignet, ...task.peers]
  const taken: Taken[][] = contenders.map(() => [])
  await task.prepare?.()
  for (let run = 0; run < warmUps + runs; run++) {
    for (const [i, contender] of contenders.entries()) taken[i]?.push(await take(task, contender, run))
    // Lets the output of the registry be read, or it would wait for that.
    await setImmediate()
  }
  const [ours, ...theirs] = taken.map((all) => summarise(all.slice(warmUps)))
  return theirs.map((their, i) => ({
    task: task.name,
    peer: task.peers[i]?.label ?? '',
    runs,
    cosignetMs: ours?.ms ?? Number.NaN,
    peerMs: their.ms,
    ratio: (ours?.ms ?? Number.NaN) / their.ms,
    ...(ours?.peakMiB === undefined ? {} : { cosignetPeakMiB: ours.peakMiB }),
    ...(their.peakMiB === undefined ? {} : { peerPeakMiB: their.peakMiB }),
  }))
}

async function take({ memory }: Task, contender: Contender, run: number): Promise<Taken> {
  const started: Started = {
    program: contender.program,
    args: contender.args(run),
    cwd: sandbox.dir,
    env: {
      ...sandbox.environment(),
      COSIGN_PASSWORD: '',
      // Skopeo then keeps its cache of where blobs are in this home also for root.
      _CONTAINERS_ROOTLESS_UID: '1000',
    },
  }
  await contender.before?.()
  if (memory !== true) return timeProgram(started)
  // What the run before left to be written is not this one's.
  spawnSync('sync')
  return await watchProgram(started)
}

function summarise(taken: readonly Taken[]): Taken {
  const peaks = taken.flatMap(({ peakMiB }) => (peakMiB === undefined ? [] : [peakMiB]))
  return {
    ms: median(taken.map(({ ms }) => ms)),
    ...(peaks.length === 0 ? {} : { peakMiB: Math.max(...peaks) }),
  }
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length / 2
  const [low = Number.NaN, high = Number.NaN] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return (low + high) / 2
}

function table(results: readonly Measured[]): string {
  const memory = (mib: number | undefined): string => (mib === undefined ? '' : `${mib.toFixed(0)} MiB`)
  const rows = [
    ['task', 'runs', 'cosignet', '', 'peer', '', '', 'ratio'],
    ...results.map((one) => [
      one.task,
      `${one.runs}`,
      `${one.cosignetMs.toFixed(1)} ms`,
      memory(one.cosignetPeakMiB),
      one.peer,
      `${one.peerMs.toFixed(1)} ms`,
      memory(one.peerPeakMiB),
      one.ratio.toFixed(2),
    ]),
  ]
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  const left = new Set([0, 4])
  const lines = rows.map((row) =>
    row
      .map((cell, i) => (left.has(i) ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join('  ')
      .trimEnd(),
  )
  return [
    ...lines,
    '',
    'Median of the runs, all programs in turn; of the memory, the peak.',
    `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? 'unknown processor'}.`,
  ].join('\n')
}
