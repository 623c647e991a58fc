import { randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, startDockerRegistry, type TestRegistry } from './registries.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'
import { readSignatureImage } from './signature-image.ts'
import { registriesD, skopeo, skopeoAccepts } from './skopeo.ts'

const PEERS = ['cosign3', 'cosign2', 'skopeo', 'gpg', 'docker-registry'] as const
const PASSWORD = { env: { COSIGN_PASSWORD: '' } }

describeWithPeers('image copy takes along', PEERS, () => {
  let sandbox: Sandbox
  /** Signatures are made in the one, with tags for referrers, and end in the other, which lists them by the API. */
  let first: TestRegistry
  let second: TestRegistry
  let key: string
  let pub: string
  let otherPub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    first = await startDockerRegistry(sandbox, { tls: true })
    second = await startCosignetRegistry(sandbox, { tls: true })
    ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
    ;({ pub: otherPub } = await makeCosignKey(sandbox, 'other'))
    await sandbox.write('passphrase', '')
  })
  afterAll(() => sandbox.dispose())

  describe.each([
    { way: 'straight', through: [] },
    { way: 'through dir:', through: ['dir:'] },
    { way: 'through oci:', through: ['oci:'] },
    { way: 'through oci-archive:', through: ['oci-archive:'] },
    { way: 'through all of these', through: ['oci:', 'dir:', 'oci-archive:', 'dir:'] },
  ])('from registry to registry, $way,', ({ through }) => {
    it('a signature of cosign', async () => {
      const image = await pushNewImage(sandbox, `${first.host}/signed`)
      await cosignSign(sandbox, 'cosign3', key, image.reference, ['-a', 'who=me'])
      const between = through.map((transport) => transport + sandbox.path(randomUUID()))
      const stops = [`docker://${image.reference}`, ...between, `docker://${second.host}/copied:latest`]
      for (const [i, stop] of stops.slice(1).entries()) await copy(stops[i] ?? '', stop)

      const copied = `${second.host}/copied@${image.digest}`
      expect(await cosignAccepts(sandbox, 'cosign3', pub, copied)).toBe(true)
      expect(await cosignAccepts(sandbox, 'cosign3', otherPub, copied)).toBe(false)
      const signed = `${first.host}/signed`
      expect(await skopeoAccepts(sandbox, pub, signed, `docker://${copied}`)).toBe(true)
      expect(await skopeoAccepts(sandbox, otherPub, signed, `docker://${copied}`)).toBe(false)
      expect((await readSignatureImage(second, 'copied', image.digest)).payloads).toEqual(
        (await readSignatureImage(first, 'signed', image.digest)).payloads,
      )
    })
  })

  it('a signature of skopeo in a registry, to another and to dir:', async () => {
    const { layout, digest } = await makeImage(sandbox)
    const source = `${first.host}/skopeo/signed`
    await sign('--dest-tls-verify=true', `oci:${layout}`, `docker://${source}:v1`)
    const target = `${second.host}/skopeo/signed`
    await copy(`docker://${source}:v1`, `docker://${target}:v1`)
    await copy(`docker://${source}:v1`, `dir:${sandbox.path('skopeo-signed')}`)
    expect(await cosignAccepts(sandbox, 'cosign3', pub, `${target}@${digest}`)).toBe(true)
    expect(await skopeoAccepts(sandbox, pub, source, `docker://${target}:v1`)).toBe(true)
    expect(await skopeoAccepts(sandbox, pub, source, `dir:${sandbox.path('skopeo-signed')}`)).toBe(true)
  })

  it('signatures of skopeo in dir: of each image of an index, to a registry', async () => {
    const { layout, images } = await makeImage(sandbox, ['amd64', 'arm64'])
    const source = `dir:${sandbox.path('skopeo-index')}`
    await sign('--all', '--sign-identity', 'example.com/index:v1', `oci:${layout}`, source)
    const target = `${second.host}/skopeo/index`
    await copy('--all', source, `docker://${target}:v1`)
    for (const image of images) {
      const copied = `${target}@${image}`
      expect(await cosignAccepts(sandbox, 'cosign3', pub, copied)).toBe(true)
      expect(await skopeoAccepts(sandbox, pub, 'example.com/index', `docker://${copied}`)).toBe(true)
      expect(await skopeoAccepts(sandbox, otherPub, 'example.com/index', `docker://${copied}`)).toBe(false)
    }
  })

  it('an OpenPGP signature from dir: to dir:', async () => {
    const { layout, digest } = await makeImage(sandbox)
    const [source, target] = [sandbox.path('pgp-from'), sandbox.path('pgp-to')]
    await skopeo(sandbox, 'copy', `oci:${layout}`, `dir:${source}`)
    const gpg = (...args: readonly string[]): Promise<Outcome> =>
      sandbox.succeed(peer('gpg'), ['--batch', '--passphrase', '', ...args])
    await gpg('--quick-generate-key', 'me@example.com', 'ed25519', 'sign')
    const payload = await sandbox.write(
      'payload.json',
      JSON.stringify({
        critical: {
          identity: { 'docker-reference': 'example.com/pgp:v1' },
          image: { 'docker-manifest-digest': digest },
          type: 'atomic container signature',
        },
        optional: {},
      }),
    )
    await gpg('--output', join(source, 'signature-1'), '--sign', payload)
    await copy(`dir:${source}`, `dir:${target}`)
    expect(await readFile(join(target, 'signature-1'))).toEqual(await readFile(join(source, 'signature-1')))
    await gpg('--verify', join(target, 'signature-1'))
  })

  it('what cosign saved to a folder', async () => {
    const image = await pushNewImage(sandbox, `${first.host}/saved`, ['amd64', 'arm64'])
    await cosignSign(sandbox, 'cosign3', key, image.reference)
    await sandbox.succeed(peer('cosign3'), ['save', '--dir', sandbox.path('saved'), image.reference])
    const target = `${second.host}/saved`
    await copy('--all', `oci:${sandbox.path('saved')}:@0`, `docker://${target}:v1`)
    expect(await cosignAccepts(sandbox, 'cosign3', pub, `${target}@${image.digest}`)).toBe(true)
  })

  describe.each(['straight', 'through oci:'])('%s,', (way) => {
    const path = way === 'straight' ? 'straight' : 'layout'

    it('a bundle and an attestation that cosign 3 attached as referrers', async () => {
      const repository = `bundle/${path}`
      const image = await pushNewImage(sandbox, `${first.host}/${repository}`)
      const config = await sandbox.write(
        'signing-config.json',
        JSON.stringify({
          mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
          rekorTlogConfig: {},
          tsaConfig: {},
        }),
      )
      const common = ['--yes', '--signing-config', config, '--key', key]
      await cosign('cosign3', 'sign', ...common, image.reference)
      await cosign('cosign3', 'attest', ...common, '--predicate', await predicate(), image.reference)
      await copyBy(image.reference, repository)
      const copied = `${second.host}/${repository}@${image.digest}`
      expect(await cosignAccepts(sandbox, 'cosign3', pub, copied)).toBe(true)
      await cosign('cosign3', 'verify-attestation', '--insecure-ignore-tlog', '--key', pub, copied)
    })

    it('an attestation that cosign 2 attached by a tag', async () => {
      const repository = `attested/${path}`
      const image = await pushNewImage(sandbox, `${first.host}/${repository}`)
      const flags = ['--yes', '--tlog-upload=false', '--key', key, '--predicate', await predicate()]
      await cosign('cosign2', 'attest', ...flags, image.reference)
      await copyBy(image.reference, repository)
      const copied = `${second.host}/${repository}@${image.digest}`
      await cosign('cosign2', 'verify-attestation', '--insecure-ignore-tlog', '--key', pub, copied)
    })

    async function copyBy(from: string, repository: string): Promise<void> {
      const layout = `oci:${sandbox.path(repository.replace('/', '-'))}:v1`
      if (path === 'layout') await copy(`docker://${from}`, layout)
      await copy(path === 'layout' ? layout : `docker://${from}`, `docker://${second.host}/${repository}:v1`)
    }
  })

  function copy(...args: readonly string[]): Promise<Outcome> {
    return cosignetDoes(sandbox, ['image', 'copy', ...args])
  }

  function cosign(name: 'cosign2' | 'cosign3', ...args: readonly string[]): Promise<Outcome> {
    return sandbox.succeed(peer(name), args, PASSWORD)
  }

  function predicate(): Promise<string> {
    return sandbox.write('predicate.json', '{"built":"here"}')
  }

  /** Has skopeo copy and sign. */
  async function sign(...args: readonly string[]): Promise<Outcome> {
    const flags = [
      '--sign-by-sigstore-private-key',
      key,
      '--sign-passphrase-file',
      sandbox.path('passphrase'),
    ]
    return skopeo(sandbox, '--registries.d', await registriesD(sandbox), 'copy', ...flags, ...args)
  }
})
