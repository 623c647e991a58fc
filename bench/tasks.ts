import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { cosignetProgram } from '../test/interop/cosignet.ts'
import { peer, peersFolder } from '../test/interop/peers.ts'

export interface Contender {
  /** Name in the table. */
  readonly label: string
  readonly program: string
  /** Arguments of run number `run`, from 0. */
  readonly args: (run: number) => readonly string[]
  /** Done before each run and not timed. */
  readonly before?: () => Promise<void>
}

/** The same work done by all. */
export interface Task {
  readonly name: string
  readonly cosignet: Contender
  readonly peers: readonly Contender[]
  /** Done once, before all runs. */
  readonly prepare?: () => Promise<void>
  /** Default: `WARM_UPS` and `RUNS`. */
  readonly warmUps?: number
  readonly runs?: number
  /**
   * Whether memory is looked at; not worth its time where a run takes milliseconds. The servers' output is read meanwhile,
   * which they wait for where it is much. Default: false.
   */
  readonly memory?: boolean
}

export const WARM_UPS = 2
export const RUNS = 21

/** How long a program takes that does nothing. */
export async function makeStartTasks(): Promise<readonly Task[]> {
  return [
    {
      name: 'start: --help',
      cosignet: { label: 'cosignet --help', program: cosignetProgram, args: () => ['--help'] },
      peers: [
        { label: 'node -e 0', program: process.execPath, args: () => ['-e', '0'] },
        { label: 'cosign 3 version', program: cosignBinary(), args: () => ['version'] },
      ],
    },
  ]
}

/** Cosign itself where this system's C library can start it, which is 2 ms faster than the wrapper. */
export function cosignBinary(): string {
  const binary = join(peersFolder(), 'sid', 'usr', 'bin', 'cosign')
  return spawnSync(binary, ['version']).status === 0 ? binary : peer('cosign3')
}
