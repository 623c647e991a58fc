import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RekorServer, startRekorServer, trustedRootOf } from '../fixtures/rekor-server.ts'
import { ALL_COSIGNS, type CosignName, makeCosignKey, PASSWORD } from './cosign.ts'
import { cosignet, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

/** By which each cosign signs in the legacy format and logs it. */
const LEGACY: Readonly<Record<CosignName, readonly string[]>> = {
  cosign3: ['--new-bundle-format=false', '--use-signing-config=false'],
  cosign2: [],
  cosign22: [],
}

describeWithPeers(
  'signatures in a transparency log',
  ['cosign3', 'cosign2', 'cosign22', 'skopeo', 'docker-registry'],
  () => {
    let sandbox: Sandbox
    let registry: TestRegistry
    let rekor: RekorServer
    let other: RekorServer
    let key: string
    let pub: string
    let logged: { readonly env: Readonly<Record<string, string>> }

    beforeAll(async () => {
      sandbox = await Sandbox.create()
      registry = await startDockerRegistry(sandbox, { tls: true })
      rekor = await startRekorServer()
      other = await startRekorServer()
      await sandbox.write('rekor.pub', rekor.publicKeyPem)
      await sandbox.write('other.pub', other.publicKeyPem)
      await sandbox.write('root.json', trustedRootOf(rekor.publicKeyPem, rekor.url.href))
      await sandbox.write('other.json', trustedRootOf(other.publicKeyPem, other.url.href))
      ;({ key, pub } = await makeCosignKey(sandbox, 'key'))
      logged = { env: { ...PASSWORD.env, SIGSTORE_REKOR_PUBLIC_KEY: sandbox.path('rekor.pub') } }
    })
    afterAll(async () => {
      await Promise.all([rekor?.close(), other?.close()])
      await sandbox?.dispose()
    })

    const newImage = async (name: string): Promise<string> =>
      (await pushNewImage(sandbox, `${registry.host}/${name}`)).reference

    const url = (): string => rekor.url.href.replace(/\/$/, '')

    const sign = (reference: string, format: string) =>
      cosignetDoes(
        sandbox,
        ['sign', '--key', key, '--format', format, '--rekor-url', url(), ...logKey('rekor'), reference],
        PASSWORD,
      )

    const logKey = (name: string): readonly string[] => ['--rekor-public-key', sandbox.path(`${name}.pub`)]

    /** Exit status of our verify, told the key of a log. */
    const verify = async (reference: string, log: string): Promise<number | null> =>
      (await cosignet(sandbox, ['verify', '--key', pub, ...logKey(log), reference])).status

    /** Exit status of a cosign's verify, which gets the key of a log from the environment. */
    const cosignVerify = async (
      cosign: CosignName,
      reference: string,
      log: string,
    ): Promise<number | null> => {
      const env = { SIGSTORE_REKOR_PUBLIC_KEY: sandbox.path(`${log}.pub`) }
      return (await sandbox.run(peer(cosign), ['verify', '--offline', '--key', pub, reference], { env }))
        .status
    }

    /** Exit status of cosign 3's verify of a bundle, which wants the key of a log in a trusted root. */
    const cosignVerifyBundle = async (reference: string, log: string): Promise<number | null> => {
      const root = sandbox.path(log === 'rekor' ? 'root.json' : 'other.json')
      return (await sandbox.run(peer('cosign3'), ['verify', '--key', pub, '--trusted-root', root, reference]))
        .status
    }

    it('made here are promised to every cosign, offline', async () => {
      const reference = await newImage('ours')
      await sign(reference, 'cosign')
      for (const { cosign } of ALL_COSIGNS) {
        expect([cosign, await cosignVerify(cosign, reference, 'rekor')]).toEqual([cosign, 0])
        expect([cosign, await cosignVerify(cosign, reference, 'other')]).not.toEqual([cosign, 0])
      }
      expect(await verify(reference, 'rekor')).toBe(0)
      expect(await verify(reference, 'other')).toBe(1)
    })

    it.each(ALL_COSIGNS)('made by $cosign are promised here', async ({ cosign }) => {
      const reference = await newImage(`theirs-${cosign}`)
      const args = ['sign', '--yes', ...LEGACY[cosign], '--rekor-url', url(), '--key', key, reference]
      await sandbox.succeed(peer(cosign), args, logged)
      expect(await verify(reference, 'rekor')).toBe(0)
      expect(await verify(reference, 'other')).toBe(1)
    })

    it('made here in a bundle are promised to cosign 3', async () => {
      const reference = await newImage('our-bundle')
      await sign(reference, 'bundle')
      expect(await cosignVerifyBundle(reference, 'rekor')).toBe(0)
      expect(await cosignVerifyBundle(reference, 'other')).toBe(1)
      expect(await verify(reference, 'rekor')).toBe(0)
      expect(await verify(reference, 'other')).toBe(1)
    })

    it('made by cosign 3 in a bundle are promised here', async () => {
      const reference = await newImage('their-bundle')
      const args = [
        'sign',
        '--yes',
        '--use-signing-config=false',
        '--rekor-url',
        url(),
        '--key',
        key,
        reference,
      ]
      await sandbox.succeed(peer('cosign3'), args, PASSWORD)
      expect(await verify(reference, 'rekor')).toBe(0)
      expect(await verify(reference, 'other')).toBe(1)
    })

    it('made here without a log are none there', async () => {
      const reference = await newImage('unlogged')
      await cosignetDoes(sandbox, ['sign', '--key', key, '--format', 'cosign', reference], PASSWORD)
      expect(await cosignVerify('cosign3', reference, 'rekor')).not.toBe(0)
      expect(await verify(reference, 'rekor')).toBe(1)
    })
  },
)
