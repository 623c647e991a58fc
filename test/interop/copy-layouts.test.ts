import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage, type TestImage } from './images.ts'
import { orasAccess, orasAttach, orasReferrers } from './oras.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, type TestRegistry } from './registries.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'
import { manifestDigest, skopeo } from './skopeo.ts'

describeWithPeers('a layout that many write to', ['skopeo', 'umoci', 'oras', 'cosign3'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let layout: string
  const images: TestImage[] = []

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startCosignetRegistry(sandbox, { tls: true })
    layout = sandbox.path('shared')
    for (let i = 0; i < 4; i += 1) images.push(await makeImage(sandbox))
    const [one, two, three, four] = images.map((image) => `oci:${image.layout}`)
    await skopeo(sandbox, 'copy', one ?? '', `oci:${layout}:theirs`)
    await copy(two ?? '', `oci:${layout}:ours`)
    await skopeo(sandbox, 'copy', three ?? '', `oci:${layout}:moved`)
    await copy(four ?? '', `oci:${layout}:moved`)
  })
  afterAll(() => sandbox.dispose())

  it('holds under each name what was put there last, for skopeo, umoci, oras and us', async () => {
    const expected = { theirs: images[0]?.digest, ours: images[1]?.digest, moved: images[3]?.digest }
    const names = Object.keys(expected).sort()
    const listed = await sandbox.succeed(peer('umoci'), ['list', '--layout', layout])
    expect(listed.stdout.trim().split('\n').sort()).toEqual(names)
    const tags = await sandbox.succeed(peer('oras'), ['repo', 'tags', '--oci-layout', layout])
    expect(tags.stdout.trim().split('\n').sort()).toEqual(names)
    for (const [name, digest] of Object.entries(expected)) {
      expect(await manifestDigest(sandbox, `oci:${layout}:${name}`)).toBe(digest)
      const ours = await cosignetDoes(sandbox, ['image', 'digest', `oci:${layout}:${name}`])
      expect(ours.stdout.trim()).toBe(digest)
    }
  })

  it('keeps an image with its signature and referrers when umoci collects garbage', async () => {
    const { key, pub } = await makeCosignKey(sandbox, 'theirs')
    const image = await pushNewImage(sandbox, `${registry.host}/kept`, ['amd64', 'arm64'])
    await cosignSign(sandbox, 'cosign3', key, image.reference)
    const access = orasAccess(registry)
    const referrer = await orasAttach(sandbox, image.reference, access)
    await copy('--all', `docker://${image.reference}`, `oci:${layout}:kept`)
    await sandbox.succeed(peer('umoci'), ['gc', '--layout', layout])
    await copy('--all', `oci:${layout}:kept`, `docker://${registry.host}/back:latest`)
    const back = `${registry.host}/back@${image.digest}`
    expect(await cosignAccepts(sandbox, 'cosign3', pub, back)).toBe(true)
    expect(await orasReferrers(sandbox, back, access)).toEqual([referrer])
  })

  it('is read by oras with the referrers of an image that we put there', async () => {
    const image = await pushNewImage(sandbox, `${registry.host}/referred`)
    const access = orasAccess(registry)
    const referrer = await orasAttach(sandbox, image.reference, access)
    await copy(`docker://${image.reference}`, `oci:${layout}:referred`)
    const copied = `${registry.host}/by-oras`
    await sandbox.succeed(peer('oras'), [
      ...['cp', '--recursive', '--from-oci-layout', `${layout}:referred`, `${copied}:v1`],
    ])
    expect(await orasReferrers(sandbox, `${copied}@${image.digest}`, access)).toEqual([referrer])
  })

  function copy(...args: readonly string[]): Promise<Outcome> {
    return cosignetDoes(sandbox, ['image', 'copy', ...args])
  }
})
