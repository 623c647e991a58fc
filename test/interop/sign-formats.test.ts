import { readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COSIGNS, type CosignName, cosignSign, makeCosignKey, PASSWORD } from './cosign.ts'
import { cosignet, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { createPodman } from './podman.ts'
import { REGISTRIES, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { readSignatureImage } from './signature-image.ts'
import { skopeo, skopeoAccepts } from './skopeo.ts'

/** By which cosign 3 signs in a bundle without a log. */
const BUNDLE = ['--use-signing-config=false', '--tlog-upload=false']

describeWithPeers('sign', ['cosign3', 'cosign2', 'skopeo', 'docker-registry'], () => {
  describe.each(REGISTRIES)('on $registry with TLS', ({ start }) => {
    let sandbox: Sandbox
    let registry: TestRegistry
    let key: string
    let pub: string

    beforeAll(async () => {
      sandbox = await Sandbox.create()
      registry = await start(sandbox, { tls: true })
      ;({ key, pub } = await makeCosignKey(sandbox, 'key'))
    })
    afterAll(() => sandbox.dispose())

    /** Whether a cosign finds the signature in the repository that COSIGN_REPOSITORY names. */
    const verifies = async (cosign: CosignName, reference: string, repository: string): Promise<boolean> => {
      const args = ['verify', '--insecure-ignore-tlog', '--key', pub, reference]
      const env = { COSIGN_REPOSITORY: repository }
      const { status } = await sandbox.run(peer(cosign), args, { env })
      return status === 0
    }

    it.each(COSIGNS)(
      'puts signatures where $cosign looks for them: COSIGN_REPOSITORY',
      async ({ cosign }) => {
        const repository = `${registry.host}/signatures/${cosign}`
        const { reference } = await pushNewImage(sandbox, `${registry.host}/elsewhere`)
        await cosignetDoes(sandbox, ['sign', '--key', key, '--repository', repository, reference])
        expect(await verifies(cosign, reference, repository)).toBe(true)
        expect(await verifies(cosign, reference, `${registry.host}/elsewhere`)).toBe(false)
      },
    )

    it('puts bundles where cosign 3 looks for them: COSIGN_REPOSITORY', async () => {
      const repository = `${registry.host}/bundles/ours`
      const { reference } = await pushNewImage(sandbox, `${registry.host}/elsewhere`)
      const env = { COSIGN_REPOSITORY: repository }
      await cosignetDoes(sandbox, ['sign', '--key', key, '--format', 'bundle', reference], { env })
      expect(await verifies('cosign3', reference, repository)).toBe(true)
      expect(await verifies('cosign3', reference, `${registry.host}/elsewhere`)).toBe(false)
    })

    it.each(COSIGNS)('knows the signature of $cosign in COSIGN_REPOSITORY again', async ({ cosign }) => {
      const repository = `${registry.host}/known/${cosign}`
      const { reference, digest } = await pushNewImage(sandbox, `${registry.host}/elsewhere`)
      const env = { ...PASSWORD.env, COSIGN_REPOSITORY: repository }
      const legacy = COSIGNS.find((row) => row.cosign === cosign)?.legacy ?? []
      await sandbox.succeed(peer(cosign), ['sign', '--yes', ...legacy, '--key', key, reference], { env })
      const { stdout } = await cosignetDoes(sandbox, ['sign', '--key', key, reference], { env })
      expect(stdout).toMatch(/^Was signed with this key already/)
      const { payloads } = await readSignatureImage(registry, `known/${cosign}`, digest)
      expect(payloads).toHaveLength(1)
    })

    it('knows the bundle of cosign 3 again', async () => {
      const { reference } = await pushNewImage(sandbox, `${registry.host}/known/bundle`)
      const flags = ['--yes', ...BUNDLE, '--key', key, '-a', 'a=b']
      await sandbox.succeed(peer('cosign3'), ['sign', ...flags, reference], PASSWORD)
      const ours = ['sign', '--format', 'bundle', '--key', key, '-a', 'a=b', reference]
      expect((await cosignetDoes(sandbox, ours)).stdout).toMatch(/^Was signed with this key already/)
    })

    it.each([['a=1,b=2', 'c=3'], ['"a=1,2",b=<&>'], ['a="', undefined], ['a'], ['z=1', 'z=2', 'a=é']])(
      'reads annotations as cosign 3 does: %j %j',
      async (...lists) => {
        const image = await pushNewImage(sandbox, `${registry.host}/annotated`)
        const flags = lists.flatMap((list) => (list === undefined ? [] : ['-a', list]))
        const theirs = await cosignSign(sandbox, 'cosign3', key, image.reference, flags).then(
          () => true,
          () => false,
        )
        const { status, stdout } = await cosignet(sandbox, ['sign', '--key', key, ...flags, image.reference])
        expect(status === 0).toBe(theirs)
        // The same payload to the byte, or it would be another signature.
        if (theirs) expect(stdout).toMatch(/^Was signed with this key already/)
      },
    )

    it('names the image as it is told to, as cosign 3 does', async () => {
      const image = await pushNewImage(sandbox, `${registry.host}/named`)
      const identity = 'registry.example/team/app:v1'
      await cosignSign(sandbox, 'cosign3', key, image.reference, ['--sign-container-identity', identity])
      const ours = ['sign', '--key', key, '--identity', identity, image.reference]
      expect((await cosignetDoes(sandbox, ours)).stdout).toMatch(/^Was signed with this key already/)
    })

    it('prints the signature that cosign 3 attaches', async () => {
      const image = await pushNewImage(sandbox, `${registry.host}/attached`)
      const files = ['--output-signature', 'signature', '--output-payload', 'payload']
      const flags = ['--key', key, '--upload=false', ...files]
      await cosignetDoes(sandbox, ['sign', ...flags, image.reference])
      const attach = ['attach', 'signature', '--payload', 'payload', '--signature', 'signature']
      await sandbox.succeed(peer('cosign3'), [...attach, image.reference])
      const verify = ['verify', '--insecure-ignore-tlog', '--key', pub, image.reference]
      await sandbox.succeed(peer('cosign3'), verify)
    })

    it('signs in a layout and in dir: what skopeo and cosign verify after it is copied', async () => {
      const { layout, digest } = await makeImage(sandbox)
      const repository = `${registry.host}/prepared`
      const folder = sandbox.path('prepared')
      await skopeo(sandbox, 'copy', `oci:${layout}`, `dir:${folder}`)
      for (const place of [`oci:${layout}`, `dir:${folder}`]) {
        await cosignetDoes(sandbox, ['sign', '--key', key, '--identity', repository, place])
      }
      expect(await skopeoAccepts(sandbox, pub, repository, `dir:${folder}`)).toBe(true)
      expect((await readFile(`${folder}/signature-1`)).subarray(0, 15).toString()).toBe('\0sigstore-json\n')
      await cosignetDoes(sandbox, ['image', 'copy', `oci:${layout}`, `docker://${repository}:v1`])
      const verify = ['verify', '--insecure-ignore-tlog', '--key', pub, `${repository}@${digest}`]
      for (const { cosign } of COSIGNS) await sandbox.succeed(peer(cosign), verify)
      expect(await skopeoAccepts(sandbox, pub, repository, `docker://${repository}:v1`)).toBe(true)
    })

    it('signs what image copy makes of a docker-archive:', async () => {
      const { layout } = await makeImage(sandbox)
      const archive = `docker-archive:${sandbox.path('archive.tar')}`
      await skopeo(sandbox, 'copy', `oci:${layout}`, `${archive}:registry.example/app:v1`)
      const repository = `${registry.host}/unpacked`
      const flags = ['--key', key, '--identity', repository, '--repository', repository]
      await cosignetDoes(sandbox, ['sign', ...flags, archive])
      await cosignetDoes(sandbox, ['image', 'copy', archive, `docker://${repository}:v1`])
      const verify = ['verify', '--insecure-ignore-tlog', '--key', pub, `${repository}:v1`]
      await sandbox.succeed(peer('cosign3'), verify)
    })
  })
})

describeWithPeers('sign docker-daemon:', ['cosign3', 'podman', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox

  beforeAll(async () => {
    sandbox = await Sandbox.create()
  })
  afterAll(() => sandbox.dispose())

  it('signs what image copy puts into a registry', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: true })
    const daemon = await (await createPodman(sandbox)).serve()
    const { key, pub } = await makeCosignKey(sandbox, 'key')
    const repository = `${registry.host}/from/daemon`
    const image = `docker-daemon:${repository}:v1`
    const { layout } = await makeImage(sandbox)
    await skopeo(sandbox, 'copy', '--dest-daemon-host', daemon, `oci:${layout}`, image)
    const flags = ['--key', key, '--daemon-host', daemon]
    const refused = await cosignet(sandbox, ['sign', ...flags, image])
    expect(refused).toMatchObject({ status: 3, stderr: expect.stringContaining('cannot hold signatures') })
    await cosignetDoes(sandbox, ['sign', ...flags, '--repository', repository, image])
    await cosignetDoes(sandbox, [
      'image',
      'copy',
      '--src-daemon-host',
      daemon,
      image,
      `docker://${repository}:v1`,
    ])
    const verify = ['verify', '--insecure-ignore-tlog', '--key', pub, `${repository}:v1`]
    await sandbox.succeed(peer('cosign3'), verify)
  })
})
