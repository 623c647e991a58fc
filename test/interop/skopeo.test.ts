import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, type TestRegistry } from './registries.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'

describeWithPeers('skopeo', ['skopeo', 'cosign3'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startCosignetRegistry(sandbox, { tls: true })
  })
  afterAll(() => sandbox.dispose())

  describe.each([
    { what: 'an image', architectures: ['amd64'], all: [] },
    { what: 'a whole index', architectures: ['amd64', 'arm64'], all: ['--all'] },
  ])('$what', ({ architectures, all }) => {
    it('goes into the embedded registry and comes out with the same bytes', async () => {
      const image = await makeImage(sandbox, architectures)
      const remote = `docker://${registry.host}/skopeo/copy:${architectures.length}`
      await skopeo('copy', ...all, `oci:${image.layout}`, remote)
      const raw = await skopeo('inspect', '--raw', remote)
      expect(digest(raw.stdout)).toBe(image.digest)
      const out = `layout-out-${architectures.length}`
      await skopeo('copy', ...all, remote, `oci:${sandbox.path(out)}:out`)
      for (const one of [image.digest, ...image.images]) {
        expect(await blob(sandbox.path(out), one)).toEqual(await blob(image.layout, one))
      }
    })

    it('pushed by us is read by skopeo', async () => {
      const image = await makeImage(sandbox, architectures)
      const reference = `${registry.host}/skopeo/pushed:${architectures.length}`
      await cosignetDoes(sandbox, ['image', 'push', `oci:${image.layout}`, reference])
      const raw = await skopeo('inspect', '--raw', `docker://${reference}`)
      expect(digest(raw.stdout)).toBe(image.digest)
      await skopeo(
        'copy',
        ...all,
        `docker://${reference}`,
        `dir:${sandbox.path(`dir-${architectures.length}`)}`,
      )
    })
  })

  it('copies within the registry, lists tags and inspects', async () => {
    const repository = `${registry.host}/skopeo/tags`
    const { digest: expected } = await pushNewImage(sandbox, repository)
    await skopeo('copy', `docker://${repository}:latest`, `docker://${repository}:v1`)
    await skopeo('copy', `docker://${repository}:latest`, `docker://${registry.host}/skopeo/elsewhere:v1`)
    const tags: { Tags: string[] } = JSON.parse((await skopeo('list-tags', `docker://${repository}`)).stdout)
    expect(tags.Tags).toEqual(['latest', 'v1'])
    for (const name of [`${repository}:v1`, `${registry.host}/skopeo/elsewhere:v1`]) {
      const answer: { Digest: string } = JSON.parse((await skopeo('inspect', `docker://${name}`)).stdout)
      expect(answer.Digest).toBe(expected)
    }
    await skopeo('delete', `docker://${repository}:v1`)
    expect((await sandbox.run(peer('skopeo'), ['inspect', `docker://${repository}:v1`])).status).not.toBe(0)
  })

  it('accepts what we signed under a policy with sigstoreSigned, and nothing else', async () => {
    await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', sandbox.path('ours')])
    const other = await makeCosignKey(sandbox, 'other')
    const repository = `${registry.host}/skopeo/policy`
    const signed = await pushNewImage(sandbox, repository)
    const unsigned = await pushNewImage(sandbox, repository)
    await cosignetDoes(sandbox, ['sign', '--key', sandbox.path('ours.key'), signed.reference])
    await sandbox.write(
      'registries.d/default.yaml',
      `docker:\n  ${registry.host}:\n    use-sigstore-attachments: true\n`,
    )

    const copy = async (pub: string, reference: string): Promise<Outcome> => {
      const policy = await sandbox.write(
        'policy.json',
        JSON.stringify({
          default: [{ type: 'reject' }],
          transports: {
            docker: {
              [repository]: [
                {
                  type: 'sigstoreSigned',
                  keyPath: pub,
                  signedIdentity: { type: 'matchRepository' },
                },
              ],
            },
          },
        }),
      )
      const target = `dir:${sandbox.path(`accepted-${digest(pub + reference).slice(7, 19)}`)}`
      return sandbox.run(peer('skopeo'), [
        ...['--policy', policy, '--registries.d', sandbox.path('registries.d')],
        ...['copy', `docker://${reference}`, target],
      ])
    }

    expect(await copy(sandbox.path('ours.pub'), signed.reference)).toMatchObject({ status: 0 })
    const denied = await copy(other.pub, signed.reference)
    expect(denied.status).not.toBe(0)
    expect(denied.stderr).toMatch(/rejected|signature/)
    const missing = await copy(sandbox.path('ours.pub'), unsigned.reference)
    expect(missing.status).not.toBe(0)
    expect(missing.stderr).toMatch(/signature/)
  })

  it('asks its policy about the images of an index, and never about the index itself', async () => {
    const { reference } = await pushNewImage(sandbox, `${registry.host}/skopeo/index`, ['amd64', 'arm64'])
    const policy = await sandbox.write('reject.json', JSON.stringify({ default: [{ type: 'reject' }] }))
    const copy = (which: string): Promise<Outcome> =>
      sandbox.run(peer('skopeo'), [
        ...['--policy', policy, 'copy', '--multi-arch', which],
        ...[`docker://${reference}`, `dir:${sandbox.path(`rejected-${which}`)}`],
      ])
    expect(await copy('index-only')).toMatchObject({ status: 0 })
    expect(await copy('all')).toMatchObject({ status: 1, stderr: expect.stringContaining('image 1/2') })
  })

  function skopeo(...args: readonly string[]): Promise<Outcome> {
    return sandbox.succeed(peer('skopeo'), ['--insecure-policy', ...args])
  }
})

function blob(layout: string, name: string): Promise<Buffer> {
  return readFile(join(layout, 'blobs', name.replace(':', '/')))
}

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
