import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { issueCertificates } from '../../src/net/index.ts'
import { cosignet, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage } from './images.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, startDockerRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { skopeo } from './skopeo.ts'

const PEERS = ['skopeo', 'gpg', 'docker-registry'] as const

/** Where OpenPGP signatures are kept. */
type Place =
  /** The embedded registry, itself. */
  | 'registry'
  /** A folder, for docker-registry. */
  | 'lookaside'
  /** A folder that is read by HTTPS, for docker-registry. */
  | 'staging'
  | 'dir'

describeWithPeers('OpenPGP signatures beside images', PEERS, () => {
  let sandbox: Sandbox
  let hosts: Readonly<Record<Exclude<Place, 'dir'>, string>>
  let fingerprint: string
  let published: Server

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    const embedded = await startCosignetRegistry(sandbox, { tls: true })
    const docker = await startDockerRegistry(sandbox, { tls: true })
    published = await publish()
    const { port } = published.address() as AddressInfo
    hosts = {
      registry: `${embedded.host}/kept`,
      lookaside: `${docker.host}/beside`,
      staging: `${docker.host}/staged`,
    }
    // Skopeo and this tool find it in the same place.
    await sandbox.write(
      'home/.config/containers/registries.d/stores.yaml',
      [
        'docker:',
        `  ${docker.host}:`,
        `    lookaside: file://${sandbox.path('sigstore')}`,
        `  ${hosts.staging}:`,
        `    lookaside: https://127.0.0.1:${port}/signatures`,
        `    lookaside-staging: file://${sandbox.path('published')}`,
        `  ${docker.host}/foreign:`,
        `    lookaside: https://127.0.0.1:${port}/signatures`,
        '',
      ].join('\n'),
    )
    fingerprint = await makeGpgKey('signer@example.com')
    const other = await makeGpgKey('other@example.com')
    await sandbox.succeed(peer('gpg'), ['--output', sandbox.path('key.gpg'), '--export', fingerprint])
    await sandbox.succeed(peer('gpg'), ['--output', sandbox.path('other.gpg'), '--export', other])
  })
  afterAll(async () => {
    published.close().closeAllConnections()
    await sandbox.dispose()
  })

  const PLACES: readonly Place[] = ['registry', 'lookaside', 'staging', 'dir']
  const WAYS = PLACES.flatMap((from) => PLACES.map((to) => ({ from, to })))

  it.each(WAYS)('go with an image that skopeo signed from $from to $to', async ({ from, to }) => {
    const identity = 'example.com/team/app:v1'
    const source = await signedBySkopeo(from, identity)
    const target = location(to)
    const { stdout } = await cosignetDoes(sandbox, ['image', 'copy', '-o', 'json', source, target])
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'copied', openPgp: 1 })
    expect(await skopeoAccepts(target, identity)).toBe(true)
    expect(await skopeoAccepts(target, 'example.com/team/other:v1')).toBe(false)
  })

  it.each(PLACES)('that this tool makes in %s are accepted by skopeo', async (place) => {
    const { layout } = await makeImage(sandbox)
    const target = location(place)
    await copy(`oci:${layout}`, target)
    const identity = ['--identity', 'example.com/ours:v1']
    await cosignetDoes(sandbox, ['sign', '--sign-by', fingerprint, ...identity, target])
    expect(await skopeoAccepts(target, 'example.com/ours:v1')).toBe(true)
    expect(await skopeoAccepts(target, 'example.com/other:v1')).toBe(false)
  })

  it.each(PLACES)('that skopeo makes in %s are accepted by this tool', async (place) => {
    const target = await signedBySkopeo(place, 'example.com/theirs:v1')
    const { status } = await cosignet(sandbox, ['verify', '--key', sandbox.path('key.gpg'), target])
    expect(status).toBe(0)
    const other = await cosignet(sandbox, ['verify', '--key', sandbox.path('other.gpg'), target])
    expect(other.status).toBe(1)
  })

  it.each(PLACES)('are added to those in %s, and each once', async (place) => {
    const first = await signedBySkopeo('dir', 'example.com/first:v1')
    const target = location(place)
    await copy(first, target)
    const second = `dir:${sandbox.path(randomUUID())}`
    // Skopeo adds its signature to the one that the image has.
    await sign('example.com/second:v1', first, second)
    await copy(second, target)
    await copy(second, target)
    expect(await skopeoAccepts(target, 'example.com/first:v1')).toBe(true)
    expect(await skopeoAccepts(target, 'example.com/second:v1')).toBe(true)
    const back = sandbox.path(randomUUID())
    await copy(target, `dir:${back}`)
    expect(await signaturesIn(back)).toHaveLength(2)
  })

  it.each(PLACES)('of every image of an index go to %s', async (place) => {
    const { layout } = await makeImage(sandbox, ['amd64', 'arm64'])
    const source = `dir:${sandbox.path(randomUUID())}`
    await sign('example.com/index:v1', '--all', `oci:${layout}`, source)
    const target = location(place)
    await copy('--all', source, target)
    expect(await skopeoAccepts(target, 'example.com/index:v1', '--all')).toBe(true)
    expect(await skopeoAccepts(target, 'example.com/other:v1', '--all')).toBe(false)
  })

  describe('where the store can only be read', () => {
    it('the copy is refused before anything is written, unless the signatures stay behind', async () => {
      const source = await signedBySkopeo('dir', 'example.com/team/app:v1')
      const host = hosts.lookaside.replace('/beside', '/foreign')
      const target = `docker://${host}/${randomUUID()}:v1`
      const { status, stderr } = await cosignet(sandbox, ['image', 'copy', source, target])
      expect(status).toBe(3)
      expect(stderr).toMatch(/Signatures cannot be written to the https lookaside/)
      expect(stderr).toMatch(/lookaside-staging/)
      const inspect = ['inspect', target]
      expect((await sandbox.run(peer('skopeo'), inspect)).status).not.toBe(0)
      await copy('--remove-signatures', source, target)
      expect((await sandbox.run(peer('skopeo'), inspect)).status).toBe(0)
    })
  })

  it('are what gpg made, byte for byte', async () => {
    const source = await signedBySkopeo('registry', 'example.com/team/app:v1')
    const folder = sandbox.path(randomUUID())
    await copy(source, `dir:${folder}`)
    await sandbox.succeed(peer('gpg'), ['--verify', join(folder, 'signature-1')])
  })

  /** A new place of a kind. */
  function location(place: Place): string {
    const name = randomUUID()
    return place === 'dir' ? `dir:${sandbox.path(name)}` : `docker://${hosts[place]}/${name}:v1`
  }

  async function signedBySkopeo(place: Place, identity: string): Promise<string> {
    const { layout } = await makeImage(sandbox)
    const target = location(place)
    await sign(identity, `oci:${layout}`, target)
    return target
  }

  async function sign(identity: string, ...args: readonly string[]): Promise<void> {
    await skopeo(sandbox, 'copy', '--sign-by', fingerprint, '--sign-identity', identity, ...args)
  }

  async function copy(...args: readonly string[]): Promise<void> {
    await cosignetDoes(sandbox, ['image', 'copy', ...args])
  }

  async function skopeoAccepts(
    image: string,
    dockerReference: string,
    ...flags: readonly string[]
  ): Promise<boolean> {
    const signedIdentity = { type: 'exactReference', dockerReference }
    const rule = { type: 'signedBy', keyType: 'GPGKeys', keyPath: sandbox.path('key.gpg'), signedIdentity }
    const policy = await sandbox.write(`policy-${randomUUID()}.json`, JSON.stringify({ default: [rule] }))
    const target = `dir:${sandbox.path(randomUUID())}`
    const { status, stderr } = await sandbox.run(peer('skopeo'), [
      ...['--policy', policy, 'copy', ...flags, image, target],
    ])
    if (status === 0) return true
    if (/Source image rejected/.test(stderr)) return false
    throw new Error(`skopeo copy ${image} ended with ${status}:\n${stderr}`)
  }

  async function makeGpgKey(user: string): Promise<string> {
    const batch = ['--batch', '--passphrase', '', '--pinentry-mode', 'loopback']
    await sandbox.succeed(peer('gpg'), [...batch, '--quick-generate-key', user, 'rsa2048', 'sign', 'never'])
    const { stdout } = await sandbox.succeed(peer('gpg'), ['--list-keys', '--with-colons', user])
    return /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? ''
  }

  /** Serves the folder that staging writes to, under another path. */
  async function publish(): Promise<Server> {
    const { ca, cert, key } = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
    sandbox.trust(ca)
    const server = createServer({ cert, key }, (request, response) => {
      const path = decodeURIComponent(request.url ?? '').replace('/signatures/', 'published/')
      readFile(sandbox.path(path)).then(
        (bytes) => response.end(bytes),
        () => response.writeHead(404).end(),
      )
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return server
  }

  async function signaturesIn(folder: string): Promise<readonly string[]> {
    return (await readdir(folder)).filter((name) => name.startsWith('signature-'))
  }
})
