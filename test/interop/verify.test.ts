import { afterAll, beforeAll, expect, it } from 'vitest'
import { COSIGNS, cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignet, cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { preflight } from './pods.ts'
import { REGISTRIES, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { forgeSignatureImage } from './signature-image.ts'

const ALLOWED = { outcome: 'allowed' }
const denied = (code: string): object => ({ outcome: 'denied', cause: { code } })

const PEERS = ['cosign3', 'cosign2', 'skopeo', 'docker-registry'] as const

// On which registries, says the matrix.
describeWithPeers('signatures of cosign', PEERS, () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let key: string
  let pub: string
  let otherPub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
    ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
    ;({ pub: otherPub } = await makeCosignKey(sandbox, 'other'))
  })
  afterAll(() => sandbox.dispose())

  it.each(COSIGNS)('$cosign are allowed by verify and preflight', async ({ cosign }) => {
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/plain`)
    const setup = { image, pub, ca: registry.ca }
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(false)
    expect(await preflight(sandbox, setup)).toMatchObject(denied('unsigned'))
    await cosignSign(sandbox, cosign, key, image)
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
    expect(await preflight(sandbox, setup)).toMatchObject(ALLOWED)
  })

  it.each(COSIGNS)('$cosign with annotations are allowed', async ({ cosign }) => {
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/annotated`)
    await cosignSign(sandbox, cosign, key, image, ['-a', 'who=<me & you>', '-a', 'a=ü'])
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
  })

  it.each(COSIGNS)(
    '$cosign on an index: by tag the guest asks for a signature of the index, by digest for what it names',
    async ({ cosign }) => {
      const repository = `${registry.host}/verify/index`
      const judge = (image: string): Promise<object> => preflight(sandbox, { image, pub, ca: registry.ca })
      const image = await pushNewImage(sandbox, repository, ['amd64', 'arm64'])
      const platform = `${repository}@${image.images[0]}`

      await cosignSign(sandbox, cosign, key, platform)
      expect(await judge(platform)).toMatchObject(ALLOWED)
      expect(await judge(image.reference)).toMatchObject(denied('unsigned'))
      expect(await judge(`${repository}:latest`)).toMatchObject(denied('unsigned'))

      await cosignSign(sandbox, cosign, key, image.reference)
      expect(await judge(image.reference)).toMatchObject(ALLOWED)
      expect(await judge(`${repository}:latest`)).toMatchObject(ALLOWED)
      expect(await judge(`${repository}@${image.images[1]}`)).toMatchObject(denied('unsigned'))
      expect(await cosignetAccepts(sandbox, pub, image.reference)).toBe(true)
    },
  )

  it('are denied for another key, by cosign and by us', async () => {
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/verify/wrong-key`)
    await cosignSign(sandbox, 'cosign3', key, image)
    for (const { cosign } of COSIGNS) {
      expect(await cosignAccepts(sandbox, cosign, otherPub, image)).toBe(false)
    }
    expect(await cosignetAccepts(sandbox, otherPub, image)).toBe(false)
    expect(await preflight(sandbox, { image, pub: otherPub, ca: registry.ca })).toMatchObject(
      denied('wrong-key'),
    )
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
    await expectAllDeny(unsigned.reference, 'other-image')
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
    await expectAllDeny(unsigned.reference, 'wrong-key')
  })

  it('with a payload changed in another place are denied, by cosign and by us', async () => {
    const { digest, reference } = await pushNewImage(sandbox, `${registry.host}/verify/touched`)
    await cosignSign(sandbox, 'cosign3', key, reference)
    await forgeSignatureImage(registry, 'verify/touched', {
      from: digest,
      to: digest,
      change: (payload) => payload.replace('"optional":null', '"optional":{"by":"mallory"}'),
    })
    await expectAllDeny(reference, 'payload-changed')
  })

  async function expectAllDeny(image: string, code: string): Promise<void> {
    for (const { cosign } of COSIGNS) {
      expect(await cosignAccepts(sandbox, cosign, pub, image)).toBe(false)
    }
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(false)
    expect(await preflight(sandbox, { image, pub, ca: registry.ca })).toMatchObject(denied(code))
  }
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

  // Distribution 2.8 has no referrers API, so there cosign keeps a list under a tag.
  it.each(REGISTRIES)('a bundle of cosign 3 alone, on $registry', async ({ start }) => {
    const registry = await start(sandbox, { tls: true })
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

    expect(await preflight(sandbox, { image, pub, ca: registry.ca })).toMatchObject({
      outcome: 'denied',
      cause: {
        code: 'bundle-only',
        message: expect.stringContaining('bundle'),
        fix: expect.stringMatching(/^cosignet sign .*--key .*--new-bundle-format=false/),
      },
    })

    await cosignetDoes(sandbox, ['sign', '--key', key, image])
    expect(await preflight(sandbox, { image, pub, ca: registry.ca })).toMatchObject(ALLOWED)
  })

  it('a registry on plain HTTP: verify allows what preflight denies', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: false })
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/plain-http`)
    await cosignSign(sandbox, 'cosign3', key, image)
    expect(await cosignetAccepts(sandbox, pub, image)).toBe(true)
    expect(await preflight(sandbox, { image, pub, ca: '' })).toMatchObject(denied('registry-plain-http'))
  })

  it('a registry whose authority the guest does not know: preflight denies', async () => {
    const registry = await startDockerRegistry(sandbox, { tls: true })
    const { reference: image } = await pushNewImage(sandbox, `${registry.host}/private-ca`)
    await cosignSign(sandbox, 'cosign3', key, image)
    expect(await preflight(sandbox, { image, pub, ca: '' })).toMatchObject({
      outcome: 'denied',
      cause: { code: 'registry-untrusted', fix: expect.stringContaining('initdata create') },
    })
  })

  it('a registry that is not there: neither allowed nor denied', async () => {
    const image = `127.0.0.1:9/gone@sha256:${'0'.repeat(64)}`
    expect(await preflight(sandbox, { image, pub, ca: '' })).toEqual({ outcome: 'undecided' })
    expect(await cosignet(sandbox, ['verify', '--key', pub, image])).toMatchObject({ status: 3 })
  })
})
