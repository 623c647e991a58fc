import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { manifestDigest, skopeo } from './skopeo.ts'

describeWithPeers('looking at an image, as skopeo does', ['skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
  })
  afterAll(() => sandbox.dispose())

  describe.each([
    ['docker:', () => `docker://${registry.host}/inspect:v1`],
    ['oci:', () => `oci:${sandbox.path('inspect-layout')}:v1`],
    ['oci-archive:', () => `oci-archive:${sandbox.path('inspect-layout.tar')}:v1`],
    ['dir:', () => `dir:${sandbox.path('inspect-dir')}`],
  ])('%s', (_transport, place) => {
    let location: string

    beforeAll(async () => {
      location = place()
      await skopeo(sandbox, 'copy', `oci:${(await makeImage(sandbox)).layout}`, location)
    })

    it.each(['--raw', '--config --raw'])('image inspect %s prints the same bytes', async (flags) => {
      const args = ['inspect', ...flags.split(' '), location]
      const { stdout } = await skopeo(sandbox, ...args)
      expect((await ours('image', ...args)).stdout).toBe(stdout)
    })

    it('image digest prints the digest of the manifest', async () => {
      const { stdout } = await ours('image', 'digest', location)
      expect(stdout.trim()).toBe(await manifestDigest(sandbox, location))
    })
  })

  it('image list-tags lists what skopeo lists', async () => {
    const repository = `docker://${registry.host}/tags`
    const { layout } = await makeImage(sandbox)
    for (const tag of ['v2', 'v1', 'latest', 'v10']) {
      await skopeo(sandbox, 'copy', `oci:${layout}`, `${repository}:${tag}`)
    }
    const theirs: { Tags: string[] } = JSON.parse((await skopeo(sandbox, 'list-tags', repository)).stdout)
    const { stdout } = await ours('image', 'list-tags', repository, '-o', 'json')
    expect(JSON.parse(stdout)).toMatchObject({ tags: theirs.Tags })
  })

  it('image delete leaves nothing that skopeo finds', async () => {
    const image = await pushNewImage(sandbox, `${registry.host}/deleted`)
    const names = ['latest', 'v1'].map((tag) => `docker://${registry.host}/deleted:${tag}`)
    await skopeo(sandbox, 'copy', `docker://${image.reference}`, names[1] ?? '')
    await ours('image', 'delete', '--yes', names[0] ?? '')
    for (const name of [...names, `docker://${image.reference}`]) {
      expect((await sandbox.run(peer('skopeo'), ['inspect', name])).stderr).toMatch(/manifest unknown/)
    }
  })

  function ours(...args: readonly string[]): Promise<{ readonly stdout: string }> {
    return cosignetDoes(sandbox, args)
  }
})
