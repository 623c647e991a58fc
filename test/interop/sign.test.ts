import { afterAll, beforeAll, expect, it } from 'vitest'
import { COSIGNS, cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage } from './images.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { readSignatureImage, removeSignatureImage } from './signature-image.ts'

const ARCHITECTURES = ['amd64', 'arm64']

// Who accepts them, on which registry, says the matrix.
describeWithPeers('signatures made here', ['cosign3', 'cosign2', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let key: string
  let pub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
    await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', sandbox.path('ours')])
    key = sandbox.path('ours.key')
    pub = sandbox.path('ours.pub')
  })
  afterAll(() => sandbox.dispose())

  it('are accepted by cosign by tag and by digest', async () => {
    const image = await makeImage(sandbox)
    const tag = `${registry.host}/sign/pushed:v1`
    await cosignetDoes(sandbox, ['image', 'push', `oci:${image.layout}`, tag])
    const reference = `${registry.host}/sign/pushed@${image.digest}`
    expect(await cosignAccepts(sandbox, 'cosign3', pub, reference)).toBe(false)
    await cosignetDoes(sandbox, ['sign', '--key', key, reference])
    expect(await cosignAccepts(sandbox, 'cosign3', pub, reference)).toBe(true)
    expect(await cosignAccepts(sandbox, 'cosign3', pub, tag)).toBe(true)
  })

  it('of an index alone are not signatures of its images, for cosign and for us', async () => {
    const index = await pushNewImage(sandbox, `${registry.host}/sign/alone`, ARCHITECTURES)
    await cosignetDoes(sandbox, ['sign', '--recursive=false', '--key', key, index.reference])
    expect(await cosignAccepts(sandbox, 'cosign3', pub, index.reference)).toBe(true)
    for (const digest of index.images) {
      const reference = `${registry.host}/sign/alone@${digest}`
      expect(await cosignAccepts(sandbox, 'cosign3', pub, reference)).toBe(false)
      expect(await cosignetAccepts(sandbox, pub, reference)).toBe(false)
    }
  })

  it.each(COSIGNS)('stand beside one of $cosign by another key', async ({ cosign }) => {
    const theirs = await makeCosignKey(sandbox, `beside-${cosign}`)
    const first = await pushNewImage(sandbox, `${registry.host}/sign/beside`)
    await cosignSign(sandbox, cosign, theirs.key, first.reference)
    await cosignetDoes(sandbox, ['sign', '--key', key, first.reference])
    const second = await pushNewImage(sandbox, `${registry.host}/sign/beside`)
    await cosignetDoes(sandbox, ['sign', '--key', key, second.reference])
    await cosignSign(sandbox, cosign, theirs.key, second.reference)
    for (const { reference } of [first, second]) {
      for (const one of [pub, theirs.pub]) {
        expect(await cosignAccepts(sandbox, cosign, one, reference)).toBe(true)
        expect(await cosignetAccepts(sandbox, one, reference)).toBe(true)
      }
    }
  })

  it.each(COSIGNS)(
    'equal those that $cosign pushes in every byte but the signature value',
    async ({ cosign }) => {
      const image = await pushNewImage(sandbox, `${registry.host}/sign/equal`)
      const other = await pushNewImage(sandbox, `${registry.host}/sign/equal`)
      await cosignSign(sandbox, cosign, key, image.reference)
      const theirs = await readSignatureImage(registry, 'sign/equal', image.digest)
      await removeSignatureImage(registry, 'sign/equal', image.digest)
      await cosignetDoes(sandbox, ['sign', '--key', key, image.reference])
      expect(await readSignatureImage(registry, 'sign/equal', image.digest)).toEqual(theirs)

      // Two signatures by two keys, so that what is appended is compared too.
      await cosignSign(sandbox, cosign, key, other.reference)
      const again = await makeCosignKey(sandbox, `second-${cosign}`)
      await cosignSign(sandbox, cosign, again.key, other.reference)
      const theirPair = await readSignatureImage(registry, 'sign/equal', other.digest)
      await removeSignatureImage(registry, 'sign/equal', other.digest)
      await cosignetDoes(sandbox, ['sign', '--key', key, other.reference])
      await cosignetDoes(sandbox, ['sign', '--key', again.key, other.reference])
      expect(await readSignatureImage(registry, 'sign/equal', other.digest)).toEqual(theirPair)
    },
  )

  it('made twice by one key are one, as with cosign', async () => {
    const image = await pushNewImage(sandbox, `${registry.host}/sign/twice`)
    await cosignetDoes(sandbox, ['sign', '--key', key, image.reference])
    await cosignetDoes(sandbox, ['sign', '--key', key, image.reference])
    await cosignSign(sandbox, 'cosign3', key, image.reference)
    expect((await readSignatureImage(registry, 'sign/twice', image.digest)).payloads).toHaveLength(1)
  })
})
