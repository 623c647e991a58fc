import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type RunningServer, serve } from '../../src/net/index.ts'
import { bundleMutations } from '../fixtures/bundle-mutations.ts'
import { FIRST_BUNDLE_PUB, LOGGED_BUNDLE, LOGGED_IMAGE, REKOR_PUB } from '../fixtures/cosign-bundles.ts'
import { trustedRootOf } from '../fixtures/rekor-server.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { peer } from './peers.ts'
import { Sandbox } from './sandbox.ts'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** Of the flipped bits, of which there are some two hundred, every so manyth; of all other mutations each one. */
const FLIPS_STEP = 8
/** Programs at a time. */
const PARALLEL = 2

describeWithPeers('cosign 3 judges changed bundles as we do', ['cosign3'], () => {
  const all = bundleMutations(LOGGED_BUNDLE)
  const isFlip = ({ name }: { readonly name: string }): boolean => name.startsWith('a bit in byte')
  const flips = all.filter(isFlip).filter((_, index) => index % FLIPS_STEP === 0)
  const mutations = [...flips, ...all.filter((mutation) => !isFlip(mutation))]
  const bundles = [LOGGED_BUNDLE, ...mutations.map(({ bundle }) => bundle)]
  let sandbox: Sandbox
  let registry: RunningServer
  let verdicts: readonly boolean[]

  const judge = async (index: number): Promise<boolean> => {
    const reference = `${registry.url.host}/m${index}@${LOGGED_IMAGE.digest}`
    const args = [
      'verify',
      '--key',
      sandbox.path('key.pub'),
      '--trusted-root',
      sandbox.path('root.json'),
      reference,
    ]
    const { status, stderr } = await sandbox.run(peer('cosign3'), args)
    if (status === 0) return true
    // 1: bundles, and none that counts. 10: no bundle that can be read, and no other signature.
    if (status === 10 || stderr.includes('no matching attestations')) return false
    throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`)
  }

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    await sandbox.write('key.pub', FIRST_BUNDLE_PUB)
    await sandbox.write('root.json', trustedRootOf(REKOR_PUB, 'https://rekor.test'))
    registry = await serve({ fetch: (request) => answer(request, bundles) }, { port: 0 })
    const queue = bundles.keys()
    const found: boolean[] = []
    const work = async (): Promise<void> => {
      for (const index of queue) found[index] = await judge(index)
    }
    await Promise.all(Array.from({ length: PARALLEL }, work))
    verdicts = found
  }, 300_000)

  afterAll(async () => {
    await registry?.close()
    await sandbox?.dispose()
  })

  it('accepts the bundle as it was', () => {
    expect(verdicts[0]).toBe(true)
    expect(mutations.length).toBeGreaterThan(100)
  })

  it.each(mutations.map(({ name, accepted }, index) => ({ name, accepted, index })))(
    'with $name: $accepted',
    ({ accepted, index }) => {
      expect(verdicts[index + 1]).toBe(accepted)
    },
  )
})

/** A registry with one image in each repository `mN`, to which the bundle N refers. */
function answer(request: Request, bundles: readonly string[]): Response {
  const { pathname } = new URL(request.url)
  const [, number = '', kind, digest] =
    /^\/v2\/m(\d+)\/(manifests|referrers|blobs)\/(.*)$/.exec(pathname) ?? []
  const bundle = bundles[Number(number)]
  if (pathname === '/v2/') return new Response('{}')
  if (number === '' || bundle === undefined) return new Response('{"errors":[]}', { status: 404 })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', size: 2, digest: digestOf('{}') },
    layers: [{ mediaType: BUNDLE, size: Buffer.byteLength(bundle), digest: digestOf(bundle) }],
  })
  if (kind === 'referrers') {
    const size = Buffer.byteLength(manifest)
    const manifests = [{ mediaType: MANIFEST, size, digest: digestOf(manifest), artifactType: BUNDLE }]
    return send(JSON.stringify({ schemaVersion: 2, manifests }), 'application/vnd.oci.image.index.v1+json')
  }
  const contents = kind === 'manifests' ? [LOGGED_IMAGE.manifest, manifest] : [bundle, '{}']
  const content = contents.find((text) => digestOf(text) === digest)
  if (content === undefined) return new Response('{"errors":[]}', { status: 404 })
  return send(content, content === LOGGED_IMAGE.manifest ? LOGGED_IMAGE.mediaType : MANIFEST)
}

function send(content: string, type: string): Response {
  const headers = { 'content-type': type, 'docker-content-digest': digestOf(content) }
  return new Response(content, { headers })
}

function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`
}
