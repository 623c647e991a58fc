import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { type FileTree, readFileTree } from './file-tree.ts'
import { peer } from './peers.ts'
import { createPodman } from './podman.ts'
import { startCosignetRegistry, startDockerRegistry } from './registries.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'
import { manifestDigest } from './skopeo.ts'

const ARCHITECTURES = ['amd64', 'arm64'] as const
const PEERS = ['rootfs', 'umoci', 'oras', 'skopeo', 'podman', 'docker-registry'] as const

describeWithPeers('a Debian for two platforms', PEERS, () => {
  let sandbox: Sandbox
  let layout: string
  const trees = new Map<string, FileTree>()

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    layout = sandbox.path('debian')
    await umoci('init', '--layout', layout)
    for (const architecture of ARCHITECTURES) {
      const image = `${layout}:${architecture}`
      const root = `${peer('rootfs')}/${architecture}`
      await umoci('new', '--image', image)
      await umoci('insert', ...rootless(), '--image', image, root, '/')
      await umoci('config', '--image', image, '--architecture', architecture)
      trees.set(architecture, await readFileTree(root))
    }
    await sandbox.succeed(peer('oras'), [
      ...['manifest', 'index', 'create', '--oci-layout', `${layout}:both`],
      ...ARCHITECTURES,
    ])
  })
  afterAll(() => sandbox.dispose())

  it('goes from store to store with the same digest, and umoci unpacks the same files', async () => {
    const theirs = await startDockerRegistry(sandbox, { tls: true })
    const ours = await startCosignetRegistry(sandbox, { tls: true })
    const end = `oci:${sandbox.path('went')}:both`
    const stops = [
      `oci:${layout}:both`,
      `docker://${theirs.host}/debian:both`,
      `oci-archive:${sandbox.path('went.tar')}:both`,
      `docker://${ours.host}/debian:both`,
      `dir:${sandbox.path('went-dir')}`,
      end,
    ]
    const digest = await manifestDigest(sandbox, `oci:${layout}:both`)
    for (const [i, stop] of stops.slice(1).entries()) {
      await copy('--all', stops[i] ?? '', stop)
      expect(await manifestDigest(sandbox, stop)).toBe(digest)
    }
    for (const architecture of ARCHITECTURES) {
      await expectSameFiles(architecture, end)
    }
  })

  it('goes through an archive of Docker and a daemon, and umoci unpacks the same files', async () => {
    const daemon = await (await createPodman(sandbox)).serve()
    const archive = `docker-archive:${sandbox.path('debian.tar')}:example.com/debian:v1`
    await copy(`oci:${layout}:arm64`, archive)
    await copy(archive, 'docker-daemon:example.com/debian:v1', '--dest-daemon-host', daemon)
    const end = `oci:${sandbox.path('from-daemon')}:end`
    await copy('docker-daemon:example.com/debian:v1', end, '--src-daemon-host', daemon)
    await expectSameFiles('arm64', end)
  })

  /** Has umoci unpack the image for an architecture. */
  async function expectSameFiles(architecture: string, location: string): Promise<void> {
    const single = sandbox.path(`unpacked-${architecture}-${location.length}`)
    await copy('--override-os', 'linux', '--override-arch', architecture, location, `oci:${single}:it`)
    await umoci('unpack', ...rootless(), '--image', `${single}:it`, `${single}-bundle`)
    expect(await readFileTree(`${single}-bundle/rootfs`)).toEqual(trees.get(architecture))
  }

  /** Whether umoci may set owners. */
  function rootless(): readonly string[] {
    return process.getuid?.() === 0 ? [] : ['--rootless']
  }

  function umoci(...args: readonly string[]): Promise<Outcome> {
    return sandbox.succeed(peer('umoci'), args)
  }

  function copy(...args: readonly string[]): Promise<Outcome> {
    return cosignetDoes(sandbox, ['image', 'copy', ...args])
  }
})
