import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CosignMutation, cosignMutations, type StoredImage } from '../fixtures/cosign-mutations.ts'
import { FIRST_MANIFEST, FIRST_PAYLOAD, FIRST_PUB, SIGNED_DIGEST } from '../fixtures/cosign-signatures.ts'
import { cosignSign, makeCosignKey } from './cosign.ts'
import { cosignet, cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

const SIGNATURE =
  /"dev.cosignproject.cosign\/signature":"([^"]+)"/.exec(FIRST_MANIFEST)?.[1] ?? 'there is no signature'
const MUTATIONS = cosignMutations(FIRST_PAYLOAD, SIGNATURE, '{}')

/** All that changes what nobody signed, and every eighth of the others. */
const SAMPLE = MUTATIONS.filter(({ of }, i) => of === 'unsigned' || i % 8 === 0)

/** A registry that tells everybody whatever it is told to, however wrong. */
class LyingRegistry {
  readonly #server: Server
  /** Signature images by repository. */
  readonly #images = new Map<string, StoredImage>()

  constructor() {
    this.#server = createServer((request, response) => {
      const [, repository = '', kind, name = ''] =
        /^\/v2\/(.+)\/(manifests|blobs|referrers)\/([^/?]+)$/.exec(request.url ?? '') ?? []
      const image = this.#images.get(repository)
      if (request.url === '/v2/') response.end('{}')
      else if (kind === 'manifests' && name.endsWith('.sig') && image !== undefined) {
        response.setHeader('content-type', image.mediaType)
        response.end(image.manifest)
      } else if (kind === 'blobs' && image?.blobs.has(name) === true) {
        response.setHeader('content-type', 'application/octet-stream')
        response.end(image.blobs.get(name))
      } else {
        response.writeHead(404, { 'content-type': 'application/json' })
        response.end('{"errors":[{"code":"MANIFEST_UNKNOWN","message":"there is none"}]}')
      }
    })
  }

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  /** Keeps a signature image and gives the name of the image that it is of. */
  put(image: StoredImage): string {
    const repository = `mutated/${this.#images.size}`
    this.#images.set(repository, image)
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}/${repository}@${SIGNED_DIGEST}`
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

describeWithPeers('what nobody signed', ['cosign3', 'cosign2'], () => {
  let sandbox: Sandbox
  let registry: LyingRegistry
  let pub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = new LyingRegistry()
    await registry.start()
    pub = await sandbox.write('first.pub', FIRST_PUB)
  })
  afterAll(async () => {
    registry.close()
    await sandbox.dispose()
  })

  it.each(SAMPLE)('$name', async ({ image, accepted }: CosignMutation) => {
    const name = registry.put(image)
    const [three, two, ours] = await Promise.all([
      accepts('cosign3', name),
      accepts('cosign2', name),
      cosignetAccepts(sandbox, pub, name),
    ])
    expect({ three, two, ours }).toEqual({ three: accepted, two: accepted, ours: accepted })
  })

  /** What cosign cannot read it does not accept, whatever it exits with. */
  async function accepts(cosign: 'cosign3' | 'cosign2', name: string): Promise<boolean> {
    const args = ['verify', '--insecure-ignore-tlog', '--key', pub, name]
    return (await sandbox.run(peer(cosign), args)).status === 0
  }
})

describeWithPeers('the exit status of verify --cosign-exit-codes', ['cosign3', 'docker-registry'], () => {
  let sandbox: Sandbox
  let host: string
  let key: string
  let pub: string
  let otherPub: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    host = (await startDockerRegistry(sandbox, { tls: false })).host
    ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
    ;({ pub: otherPub } = await makeCosignKey(sandbox, 'other'))
    await cosignetDoes(sandbox, ['key', 'generate', '--type', 'gpg', '--user-id', 'R <r@example.com>'])
    await sandbox.write(
      'home/.config/containers/registries.d/default.yaml',
      `default-docker: {lookaside: 'file://${sandbox.path('sigstore')}'}\n`,
    )
  })
  afterAll(() => sandbox.dispose())

  async function newImage(format?: 'cosign' | 'bundle' | 'simple' | 'no bundle'): Promise<string> {
    const { digest, reference } = await pushNewImage(sandbox, `${host}/exit/app`)
    if (format === 'cosign') await cosignSign(sandbox, 'cosign3', key, reference, ['-a', 'a=b'])
    if (format === 'bundle')
      await cosignetDoes(sandbox, ['sign', '--format', 'bundle', '--key', key, reference])
    if (format === 'simple') await cosignetDoes(sandbox, ['sign', '--key', 'cosign.gpg.key', reference])
    if (format === 'no bundle') await referToItself(digest)
    return reference
  }

  /** Lists the image as a bundle that refers to it, under the tag that a registry without the API has the list at. */
  async function referToItself(digest: string): Promise<void> {
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    const url = `http://${host}/v2/exit/app/manifests`
    const image = await fetch(`${url}/${digest}`, { headers: { accept: mediaType } })
    const size = (await image.arrayBuffer()).byteLength
    const artifactType = 'application/vnd.dev.sigstore.bundle.v0.3+json'
    const index = 'application/vnd.oci.image.index.v1+json'
    const body = JSON.stringify({
      schemaVersion: 2,
      mediaType: index,
      manifests: [{ mediaType, digest, size, artifactType }],
    })
    const put = { method: 'PUT', headers: { 'content-type': index }, body }
    const stored = await fetch(`${url}/${digest.replace(':', '-')}`, put)
    expect(stored.status).toBe(201)
  }

  it.each<[string, () => Promise<readonly string[]>, number]>([
    ['a signature', async () => [pub, await newImage('cosign')], 0],
    ['a bundle', async () => [pub, await newImage('bundle')], 0],
    ['no signature', async () => [pub, await newImage()], 10],
    ['an OpenPGP signature alone', async () => [pub, await newImage('simple')], 10],
    ['a bundle that nobody can read', async () => [pub, await newImage('no bundle')], 10],
    ['no image', async () => [pub, `${host}/exit/app:missing`], 11],
    ['a signature of another key', async () => [otherPub, await newImage('cosign')], 12],
    ['a signature without the annotation', async () => [pub, await newImage('cosign'), '-a', 'a=c'], 12],
    ['a bundle of another key', async () => [otherPub, await newImage('bundle')], 1],
    ['no registry', async () => [pub, `127.0.0.1:9/a/b@${SIGNED_DIGEST}`], 1],
    ['no key', async () => [sandbox.path('missing.pub'), `${host}/exit/app:missing`], 1],
    ['no signature before no image', async () => [pub, await newImage(), `${host}/exit/app:missing`], 10],
    ['no image before no signature', async () => [pub, `${host}/exit/app:missing`, await newImage()], 11],
  ])('for %s is that of cosign', async (_, prepare, status) => {
    const [file = '', ...names] = await prepare()
    const args = ['--key', file, ...names]
    const theirs = await sandbox.run(peer('cosign3'), ['verify', '--insecure-ignore-tlog', ...args])
    const ours = await cosignet(sandbox, ['verify', '--cosign-exit-codes', ...args])
    expect({ theirs: theirs.status, ours: ours.status }).toEqual({ theirs: status, ours: status })
  })
})
