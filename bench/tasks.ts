import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { COSIGNS, cosignSign, makeCosignKey } from '../test/interop/cosign.ts'
import { cosignetProgram } from '../test/interop/cosignet.ts'
import { pushNewImage } from '../test/interop/images.ts'
import { peer, peersFolder } from '../test/interop/peers.ts'
import { startDockerRegistry } from '../test/interop/registries.ts'
import type { Sandbox } from '../test/interop/sandbox.ts'

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
  /** Whether memory is looked at; not worth its time where a run takes milliseconds. Default: false. */
  readonly memory?: boolean
}

export const WARM_UPS = 2
export const RUNS = 21

/**
 * Prepares the tasks of milliseconds. Images stand in distribution's registry on plain HTTP and are named by digest, so
 * that neither program has a look-up that the other is spared.
 */
export async function makeSmallTasks(sandbox: Sandbox): Promise<readonly Task[]> {
  const cosign = cosignBinary()
  const { host } = await startDockerRegistry(sandbox, { tls: false })
  const { key, pub } = await makeCosignKey(sandbox, 'bench')

  const signed = (await pushNewImage(sandbox, `${host}/verify`)).reference
  await cosignSign(sandbox, 'cosign3', key, signed)
  // A signature that is there already would be read and compared: each run signs an image of its own.
  const unsigned: string[] = []
  for (let i = 0; i < 2 * (WARM_UPS + RUNS); i++)
    unsigned.push((await pushNewImage(sandbox, `${host}/sign`)).reference)
  const ourImage = (run: number): string => unsigned[2 * run] ?? ''
  const theirImage = (run: number): string => unsigned[2 * run + 1] ?? ''
  const legacy = COSIGNS[0].legacy

  return [
    {
      name: 'start: --help',
      cosignet: { label: 'cosignet --help', program: cosignetProgram, args: () => ['--help'] },
      peers: [
        { label: 'node -e 0', program: process.execPath, args: () => ['-e', '0'] },
        { label: 'cosign 3 version', program: cosign, args: () => ['version'] },
      ],
    },
    {
      name: 'verify with a key',
      cosignet: {
        label: 'cosignet verify',
        program: cosignetProgram,
        args: () => ['verify', '--key', pub, signed],
      },
      peers: [
        {
          label: 'cosign 3 verify',
          program: cosign,
          args: () => ['verify', '--insecure-ignore-tlog', '--key', pub, signed],
        },
      ],
    },
    {
      name: 'sign with a key',
      cosignet: {
        label: 'cosignet sign',
        program: cosignetProgram,
        args: (run) => ['sign', '--key', key, ourImage(run)],
      },
      peers: [
        {
          label: 'cosign 3 sign',
          program: cosign,
          args: (run) => ['sign', '--yes', ...legacy, '--key', key, theirImage(run)],
        },
      ],
    },
  ]
}

/** Cosign itself where this system's C library can start it, which is 2 ms faster than the wrapper. */
function cosignBinary(): string {
  const binary = join(peersFolder(), 'sid', 'usr', 'bin', 'cosign')
  return spawnSync(binary, ['version']).status === 0 ? binary : peer('cosign3')
}
