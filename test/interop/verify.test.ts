import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COSIGNS, cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignet, cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { preflight } from './pods.ts'
import { REGISTRIES, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { forgeSignatureImage } from './signature-image.ts'

const PEERS = ['cosign3', 'cosign2', 'skopeo', 'docker-registry'] as const

describeWithPeers('signatures of cosign', PEERS, () => {
  describe.each(REGISTRIES)('on $registry with TLS', ({ start }) => {
    let sandbox: Sandbox
    let registry: TestRegistry
    let key: string
    let pub: string
    let otherPub: string

    beforeAll(async () => {
      sandbox = await Sandbox.create()
      registry = await start(sandbox, { tls: true })
      ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
      ;({ pub: otherPub } = await makeCosignKey(sandbox, 'other'))
    })
    afterAll(() => sandbox.dispose())

    it.each(COSIGNS)('$cosign are allowed by verify and preflight', async ({ cosign }) => {
      const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/plain`)
      const setup = { image, pub, ca: registry.ca }
      expect(await cosignetAccepts(sandbox, pub, image)).toBe(false)
      expect(await preflight(sandbox, setup)).toMatchObject({ status: 1 })
      await cosignSign(sandbox, cosign, key, image)
      expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
      expect(await preflight(sandbox, setup)).toMatchObject({ status: 0 })
    })

    it.each(COSIGNS)('$cosign with annotations are allowed', async ({ cosign }) => {
      const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/annotated`)
      await cosignSign(sandbox, cosign, key, image, ['-a', 'who=<me & you>', '-a', 'a=ü'])
      expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
    })

    it.each(COSIGNS)(
      '$cosign on an index: preflight needs the image of the guest signed',
      async ({ cosign }) => {
        const repository = `${registry.host}/verify/index`
        const alone = await pushNewImage(sandbox, repository, ['amd64', 'arm64'])
        await cosignSign(sandbox, cosign, key, alone.reference)
        const setup = { pub, ca: registry.ca }
        expect(await preflight(sandbox, { ...setup, image: alone.reference })).toMatchObject({ status: 1 })
        const whole = await pushNewImage(sandbox, repository, ['amd64', 'arm64'])
        await cosignSign(sandbox, cosign, key, whole.reference, ['--recursive'])
        expect(await preflight(sandbox, { ...setup, image: whole.reference })).toMatchObject({ status: 0 })
        expect(await cosignetAccepts(sandbox, pub, whole.reference)).toBe(true)
      },
    )

    it('are denied for another key, by cosign and by us', async () => {
      const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/wrong-key`)
      await cosignSign(sandbox, 'cosign3', key, image)
      for (const { cosign } of COSIGNS) {
        expect(await cosignAccepts(sandbox, cosign, otherPub, image)).toBe(false)
      }
      expect(await cosignetAccepts(sandbox, otherPub, image)).toBe(false)
      expect(await preflight(sandbox, { image, pub: otherPub, ca: registry.ca })).toMatchObject({ status: 1 })
    })

    it('moved to another image are denied, by cosign and by us', async () => {
      const signed = await pushNewImage(sandbox, `${registry.host}/verify/moved`)
      const unsigned = await pushNewImage(sandbox, `${registry.host}/verify/moved`)
      await cosignSign(sandbox, 'cosign3', key, signed.reference)
      await forgeSignatureImage(registry, 'verify/moved', {
        from: signed.digest,
        to: unsigned.digest,
        change: (payload) => payload,
      })
      await expectAllDeny(unsigned.reference)
    })

    it('with a payload changed to name another image are denied, by cosign and by us', async () => {
      const signed = await pushNewImage(sandbox, `${registry.host}/verify/changed`)
      const unsigned = await pushNewImage(sandbox, `${registry.host}/verify/changed`)
      await cosignSign(sandbox, 'cosign3', key, signed.reference)
      await forgeSignatureImage(registry, 'verify/changed', {
        from: signed.digest,
        to: unsigned.digest,
        change: (payload) => payload.replace(signed.digest, unsigned.digest),
      })
      await expectAllDeny(unsigned.reference)
    })

    async function expectAllDeny(image: string): Promise<void> {
      for (const { cosign } of COSIGNS) {
        expect(await cosignAccepts(sandbox, cosign, pub, image)).toBe(false)
      }
      expect(await cosignetAccepts(sandbox, pub, image)).toBe(false)
      expect(await preflight(sandbox, { image, pub, ca: registry.ca })).toMatchObject({ status: 1 })
    }
  })
})

describeWithPeers('what a guest cannot use', PEERS, () => {
  let sandbox: Sandbox
  let key: string
  let pub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
  })
  afterAll(() => sandbox.dispose())

  it('the bundle that cosign 3 writes by default: preflight denies and says how to sign', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: true })
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/bundle`)
    // The default of cosign 3, but for the public transparency log and time stamps.
    const config = await sandbox.write(
      'signing-config.json',
      JSON.stringify({
        mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
        rekorTlogConfig: {},
        tsaConfig: {},
      }),
    )
    await sandbox.succeed(
      peer('cosign3'),
      ['sign', '--yes', '--signing-config', config, '--key', key, image],
      { env: { COSIGN_PASSWORD: '' } },
    )
    expect(await cosignAccepts(sandbox, 'cosign3', pub, image)).toBe(true)

    const denied = await preflight(sandbox, { image, pub, ca: registry.ca })
    expect(denied.status).toBe(1)
    expect(denied.output).toMatch(/bundle/)
    expect(denied.output).toMatch(/cosignet sign .*--key/)

    await cosignetDoes(sandbox, ['sign', '--key', key, image])
    expect(await preflight(sandbox, { image, pub, ca: registry.ca })).toMatchObject({ status: 0 })
  })

  it('a registry on plain HTTP: verify allows what preflight denies', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: false })
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/plain-http`)
    await cosignSign(sandbox, 'cosign3', key, image)
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
    const denied = await preflight(sandbox, { image, pub, ca: '' })
    expect(denied.status).toBe(1)
    expect(denied.output).toMatch(/TLS|HTTPS/)
  })

  it('a registry whose authority the guest does not know: preflight denies', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: true })
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/private-ca`)
    await cosignSign(sandbox, 'cosign3', key, image)
    const denied = await preflight(sandbox, { image, pub, ca: '' })
    expect(denied.status).toBe(1)
    expect(denied.output).toMatch(/extra_root_certificates/)
  })

  it('a registry that is not there: neither allowed nor denied', async () => {
    const image = `127.0.0.1:9/gone@sha256:${'0'.repeat(64)}`
    expect(await preflight(sandbox, { image, pub, ca: '' })).toMatchObject({ status: 3 })
    expect(await cosignet(sandbox, ['verify', '--key', pub, image])).toMatchObject({ status: 3 })
  })
})
