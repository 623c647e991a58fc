import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage } from './images.ts'
import { createPodman, type TestPodman } from './podman.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'
import { type ImageContent, imageContent, skopeo } from './skopeo.ts'

describeWithPeers('docker-daemon:, as podman serves it,', ['podman', 'skopeo'], () => {
  let sandbox: Sandbox
  let podman: TestPodman
  let daemon: string
  let source: string
  let content: ImageContent

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    podman = await createPodman(sandbox)
    daemon = await podman.serve()
    source = `oci:${(await makeImage(sandbox)).layout}`
    content = await imageContent(sandbox, source)
  })
  afterAll(() => sandbox.dispose())

  it('takes an image that podman and skopeo find there', async () => {
    await copy(source, 'docker-daemon:example.com/ours:v1', '--dest-daemon-host', daemon)
    expect(await inspect('example.com/ours:v1')).toEqual(content)
    const target = `oci:${sandbox.path('read-by-skopeo')}:it`
    await skopeo(
      sandbox,
      ...['copy', '--src-daemon-host', daemon, 'docker-daemon:example.com/ours:v1', target],
    )
    expect((await imageContent(sandbox, target)).layers).toEqual(content.layers)
  })

  it('gives an image that skopeo put there, by name and by ID', async () => {
    const theirs = 'docker-daemon:example.com/theirs:v1'
    await skopeo(sandbox, 'copy', '--dest-daemon-host', daemon, source, theirs)
    for (const [i, from] of [theirs, `docker-daemon:${content.config}`].entries()) {
      for (const to of ['oci', 'docker-archive', 'dir']) {
        const target = `${to}:${sandbox.path(`from-daemon-${i}-${to}`)}`
        await copy(from, target, '--src-daemon-host', daemon)
        expect((await imageContent(sandbox, target)).layers).toEqual(content.layers)
      }
    }
  })

  it('and a name in it may stand for another image afterwards', async () => {
    const other = `oci:${(await makeImage(sandbox)).layout}`
    const name = 'docker-daemon:example.com/moves:v1'
    await copy(source, name, '--dest-daemon-host', daemon)
    await copy(other, name, '--dest-daemon-host', daemon)
    expect(await inspect('example.com/moves:v1')).toEqual(await imageContent(sandbox, other))
  })

  it('saves an archive of many images, of which each can be copied', async () => {
    const other = `oci:${(await makeImage(sandbox)).layout}`
    await copy(source, 'docker-daemon:example.com/many:one', '--dest-daemon-host', daemon)
    await copy(other, 'docker-daemon:example.com/many:two', '--dest-daemon-host', daemon)
    const archive = sandbox.path('many.tar')
    const names = ['example.com/many:one', 'example.com/many:two']
    await podman.run('save', '--multi-image-archive', '--output', archive, ...names)
    for (const [i, from] of [source, other].entries()) {
      for (const image of [names[i], `@${i}`]) {
        const target = `oci:${sandbox.path(`of-many-${i}-${image?.startsWith('@')}`)}:it`
        await copy(`docker-archive:${archive}:${image}`, target)
        expect((await imageContent(sandbox, target)).layers).toEqual(
          (await imageContent(sandbox, from)).layers,
        )
      }
    }
  })

  async function inspect(name: string): Promise<ImageContent> {
    const { stdout } = await podman.run('image', 'inspect', name)
    const [image]: { Id: string; RootFS: { Layers: string[] } }[] = JSON.parse(stdout)
    return { config: `sha256:${image?.Id}`, layers: image?.RootFS.Layers ?? [] }
  }

  function copy(...args: readonly string[]): Promise<Outcome> {
    return cosignetDoes(sandbox, ['image', 'copy', ...args])
  }
})
