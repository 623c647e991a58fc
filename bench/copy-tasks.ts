import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { cosignetProgram } from '../test/interop/cosignet.ts'
import { peer } from '../test/interop/peers.ts'
import { startDockerRegistry } from '../test/interop/registries.ts'
import type { Sandbox } from '../test/interop/sandbox.ts'
import { makeBigImage } from './big-image.ts'
import type { Contender, Task } from './tasks.ts'

/** A kind of copy: where from, where to, and how the destination is made empty again. */
interface Copy {
  readonly from: string
  /** Of run number `run` of one of the two programs. */
  readonly to: (run: number, who: string) => string
  readonly empty?: () => Promise<void>
  /** Whether skopeo keeps what it knows of where blobs are. Default: it forgets. */
  readonly cache?: boolean
}

/** Layers of 128 MiB. */
const IMAGES = { '256 MiB': 2, '1 GiB': 8, '4 GiB': 32 } as const
type Size = keyof typeof IMAGES

/**
 * Prepares the copies of big images. Between two of distribution's registries on this machine, which work on the same
 * processors; beside them stands how long OpenSSL takes for the digests alone, which is the limit.
 * @param other what holds the second registry.
 */
export async function makeCopyTasks(sandbox: Sandbox, other: Sandbox): Promise<readonly Task[]> {
  const [source, target] = await Promise.all([startStore(sandbox), startStore(other)])
  const folder = (size: Size): string => sandbox.path(`image-${IMAGES[size]}`)
  const out = sandbox.path('out')
  const inSource = (size: Size): string => `docker://${source.host}/source/image-${IMAGES[size]}:v1`
  const inTarget = (size: Size): string => `docker://${target.host}/target/image-${IMAGES[size]}:v1`

  const make = async (size: Size): Promise<void> => {
    await makeBigImage(folder(size), IMAGES[size])
    await sandbox.succeed(peer('skopeo'), skopeoCopy(`dir:${folder(size)}`, inSource(size)), {
      timeout: 600_000,
    })
  }
  const forget = (): Promise<void> => rm(sandbox.path('data/containers'), { recursive: true, force: true })

  const ours = ({ from, to, empty }: Copy): Contender => ({
    label: 'cosignet image copy',
    program: cosignetProgram,
    args: (run) => ['image', 'copy', '--quiet', from, to(run, 'ours')],
    before: async () => await empty?.(),
  })
  const theirs = ({ from, to, empty, cache = false }: Copy): Contender => ({
    label: cache ? 'skopeo copy, cache kept' : 'skopeo copy',
    program: peer('skopeo'),
    args: (run) => skopeoCopy(from, to(run, cache ? 'kept' : 'theirs')),
    before: async () => {
      await empty?.()
      if (!cache) await forget()
    },
  })
  const digests = async (): Promise<Contender> => {
    const files = (await readdir(folder('1 GiB'))).map((name) => join(folder('1 GiB'), name))
    return { label: 'openssl dgst', program: peer('openssl'), args: () => ['dgst', '-sha256', ...files] }
  }

  await make('1 GiB')
  const limit = await digests()
  const fromFolder: Copy = {
    from: `dir:${folder('1 GiB')}`,
    to: () => inTarget('1 GiB'),
    empty: target.empty,
  }
  const between = (size: Size): Copy => ({
    from: inSource(size),
    to: () => inTarget(size),
    empty: target.empty,
  })
  const toFolder: Copy = {
    from: inSource('1 GiB'),
    to: () => `dir:${out}`,
    empty: () => rm(out, { recursive: true, force: true }),
  }
  const again: Copy = { from: `dir:${folder('1 GiB')}`, to: () => inSource('1 GiB') }
  const across: Copy = {
    from: inSource('1 GiB'),
    to: (run, who) => `docker://${source.host}/${who}/${run}:v1`,
  }
  return [
    { name: '1 GiB, folder to registry', copy: fromFolder, more: [limit] },
    { name: '1 GiB, registry to registry', copy: between('1 GiB'), more: [limit] },
    { name: '1 GiB, registry to folder', copy: toFolder, more: [limit] },
    { name: '1 GiB that is there', copy: again, more: [] },
    {
      name: '1 GiB within a registry',
      copy: across,
      // It has just seen these blobs where they are copied from.
      more: [theirs({ ...across, cache: true })],
    },
    {
      name: '256 MiB, registry to registry',
      copy: between('256 MiB'),
      more: [],
      prepare: () => make('256 MiB'),
    },
    { name: '4 GiB, registry to registry', copy: between('4 GiB'), more: [], prepare: () => make('4 GiB') },
  ].map(({ name, copy, more, prepare }) => ({
    name: `copy ${name}`,
    cosignet: ours(copy),
    peers: [theirs(copy), ...more],
    ...(prepare === undefined ? {} : { prepare }),
    warmUps: 0,
    runs: name.startsWith('4 GiB') ? 1 : 5,
    memory: true,
  }))
}

/** A registry that can be emptied. */
async function startStore(
  sandbox: Sandbox,
): Promise<{ readonly host: string; readonly empty: () => Promise<void> }> {
  const { host } = await startDockerRegistry(sandbox, { tls: false })
  const storage = sandbox.path('docker-registry/http/docker')
  return { host, empty: () => rm(storage, { recursive: true, force: true }) }
}

function skopeoCopy(from: string, to: string): readonly string[] {
  return [
    ...['--insecure-policy', 'copy', '--quiet', '--preserve-digests'],
    ...['--src-tls-verify=false', '--dest-tls-verify=false', from, to],
  ]
}
