import { createHash } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { HttpClient, type RunningServer, serve } from '../../src/net/index.ts'
import { openRegistry } from '../../src/oci/index.ts'
import {
  type BundleFailureName,
  NOT_CHECKED_BY_COSIGN,
  parseBundle,
  readBundles,
  verifyBundle,
} from '../../src/signature/index.ts'
import { bundleMutations } from '../fixtures/bundle-mutations.ts'
import { FIRST_BUNDLE_PUB, LOGGED_BUNDLE, LOGGED_IMAGE, REKOR_PUB } from '../fixtures/cosign-bundles.ts'
import { makeKey, pemOf } from '../fixtures/judged-image.ts'
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

describeWithPeers('cosign 3 judges as we do', ['cosign3'], () => {
  const all = bundleMutations(LOGGED_BUNDLE)
  const isFlip = ({ name }: { readonly name: string }): boolean => name.startsWith('a bit in byte')
  const flips = all.filter(isFlip).filter((_, index) => index % FLIPS_STEP === 0)
  const mutations = [
    { name: 'nothing changed', bundle: LOGGED_BUNDLE, accepted: true },
    ...flips,
    ...all.filter((mutation) => !isFlip(mutation)),
  ]
  const bundles = [
    ...mutations.map(({ bundle }) => ({ bundle, change: () => ({}) })),
    ...STATEMENTS.map(([, , , statement]) => ({ bundle: signedBundle(statement), change: () => ({}) })),
    ...MANIFESTS.map(([, , change]) => ({ bundle: LOGGED_BUNDLE, change })),
  ]
  let sandbox: Sandbox
  let registry: RunningServer
  let verdicts: readonly boolean[]

  const judge = async (index: number): Promise<boolean> => {
    const reference = `${registry.url.host}/m${index}@${LOGGED_IMAGE.digest}`
    const isStatement = index >= mutations.length && index < mutations.length + STATEMENTS.length
    const how = isStatement
      ? ['--key', sandbox.path('own.pub'), '--insecure-ignore-tlog']
      : ['--key', sandbox.path('key.pub'), '--trusted-root', sandbox.path('root.json')]
    const { status, stderr } = await sandbox.run(peer('cosign3'), ['verify', ...how, reference])
    if (status === 0) return true
    // 1: bundles, and none that counts. 10: no bundle that can be read, and no other signature.
    if (status === 10 || stderr.includes('no matching attestations')) return false
    throw new Error(`verify ${how.join(' ')} ${reference} ended with ${status}: ${stderr}`)
  }

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    await sandbox.write('key.pub', FIRST_BUNDLE_PUB)
    await sandbox.write('own.pub', pemOf(signer))
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

  it('more than a hundred bundles', () => {
    expect(mutations.length).toBeGreaterThan(100)
  })

  // Our own verdict on each of them is in src/signature/bundle-mutations.test.ts.
  it.each(mutations.map(({ name, accepted }, index) => ({ name, accepted, index })))(
    'a bundle with $name: $accepted',
    ({ accepted, index }) => {
      expect(verdicts[index]).toBe(accepted)
    },
  )

  it.each(
    STATEMENTS.map(([name, accepted, ours, statement], index) => ({
      name,
      accepted,
      ours,
      statement,
      index,
    })),
  )('a statement with $name: $accepted', ({ accepted, ours, statement, index }) => {
    expect(verdicts[mutations.length + index]).toBe(accepted)
    const bundle = parseBundle(Buffer.from(signedBundle(statement)))
    const verified = verifyBundle(bundle, signer.publicKey, { digest: LOGGED_IMAGE.digest })
    expect('failure' in verified ? verified.failure : 'good').toBe(ours)
    // Where we accept, cosign does; where cosign accepts and we do not, the failure says so.
    expect(accepted).toBe(!('failure' in verified) || NOT_CHECKED_BY_COSIGN.has(verified.failure))
  })

  it.each(MANIFESTS.map(([name, accepted], index) => ({ name, accepted, index })))(
    'a manifest with $name: $accepted',
    async ({ accepted, index }) => {
      const number = mutations.length + STATEMENTS.length + index
      expect(verdicts[number]).toBe(accepted)
      const http = new HttpClient()
      const source = openRegistry({ registry: registry.url.host, repository: `m${number}` }, { http })
      const [found] = await readBundles(source, LOGGED_IMAGE.digest)
      http.close()
      expect(found !== undefined && !('failure' in found)).toBe(accepted)
    },
  )
})

const signer = makeKey()

type Statement = Readonly<Record<string, unknown>>

const HEX = LOGGED_IMAGE.digest.slice('sha256:'.length)

const STATEMENT: Statement = {
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: HEX } }],
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
}

const MALFORMED = 'malformed-statement'

/** Statements that the key did sign: what cosign says, what we say, and what is other than usual. */
const STATEMENTS: readonly (readonly [string, boolean, BundleFailureName | 'good', Statement])[] = [
  ['nothing changed', true, 'good', {}],
  ['version 0.1', true, 'good', { _type: 'https://in-toto.io/Statement/v0.1' }],
  ['another version', true, 'statement-type', { _type: 'https://in-toto.io/Statement/v2' }],
  ['no type', true, 'statement-type', { _type: undefined }],
  ['its type by the name in the .proto file', true, 'good', { _type: undefined, type: STATEMENT['_type'] }],
  ['its type twice', false, MALFORMED, { type: 'x' }],
  ['another predicate type', true, 'predicate-type', { predicateType: 'https://spdx.dev/Document' }],
  ['no predicate type', true, 'predicate-type', { predicateType: undefined }],
  [
    'its predicate type in snake case',
    true,
    'good',
    { predicateType: undefined, predicate_type: STATEMENT['predicateType'] },
  ],
  ['no predicate', true, 'good', { predicate: undefined }],
  ['null for the predicate', true, 'good', { predicate: null }],
  ['text for the predicate', false, MALFORMED, { predicate: 'text' }],
  ['a list for the predicate', false, MALFORMED, { predicate: [] }],
  ['an unknown member', false, MALFORMED, { more: 1 }],
  ['an unknown member that is null', false, MALFORMED, { more: null }],
  ['no subject', false, 'other-image', { subject: [] }],
  ['no list of subjects', false, 'other-image', { subject: undefined }],
  ['a subject that is no list', false, MALFORMED, { subject: { digest: { sha256: HEX } } }],
  ['a subject that is null', false, MALFORMED, { subject: [null, { digest: { sha256: HEX } }] }],
  [
    'the image as the second subject',
    true,
    'good',
    { subject: [{ digest: { sha256: 'ab' } }, { digest: { sha256: HEX } }] },
  ],
  [
    'the digest in upper case',
    false,
    'other-image',
    { subject: [{ digest: { sha256: HEX.toUpperCase() } }] },
  ],
  ['the digest by another algorithm', false, 'other-image', { subject: [{ digest: { sha512: HEX } }] }],
  ['another digest beside', true, 'good', { subject: [{ digest: { x: 'ab', sha256: HEX } }] }],
  ['a digest beside that is not hex', false, MALFORMED, { subject: [{ digest: { x: 'x', sha256: HEX } }] }],
  ['a digest beside of half a byte', false, MALFORMED, { subject: [{ digest: { x: 'abc', sha256: HEX } }] }],
  ['a digest that is null', false, MALFORMED, { subject: [{ digest: { sha256: null } }] }],
  ['an empty digest beside', true, 'good', { subject: [{ digest: { x: '', sha256: HEX } }] }],
  [
    '33 digests',
    false,
    MALFORMED,
    { subject: [{ digest: Object.fromEntries([...Array(33).keys()].map((i) => [`x${i}`, 'ab'])) }] },
  ],
  ['1024 subjects', true, 'good', { subject: Array(1024).fill({ digest: { sha256: HEX } }) }],
  ['1025 subjects', false, MALFORMED, { subject: Array(1025).fill({ digest: { sha256: HEX } }) }],
  [
    'all that a subject has',
    true,
    'good',
    {
      subject: [
        {
          name: 'n',
          uri: 'u',
          digest: { sha256: HEX },
          content: 'AAAA',
          downloadLocation: 'l',
          mediaType: 'm',
          annotations: { a: [1, null, {}] },
        },
      ],
    },
  ],
  ['an unknown member of a subject', false, MALFORMED, { subject: [{ digest: { sha256: HEX }, more: 1 }] }],
  [
    'annotations that are a list',
    false,
    MALFORMED,
    { subject: [{ digest: { sha256: HEX }, annotations: [] }] },
  ],
  ['a name that is a number', false, MALFORMED, { subject: [{ digest: { sha256: HEX }, name: 1 }] }],
]

/** A bundle as JSON, with a statement that the key signed. */
function signedBundle(change: Statement): string {
  const payload = Buffer.from(JSON.stringify({ ...STATEMENT, ...change }))
  const payloadType = 'application/vnd.in-toto+json'
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.byteLength} `
  const sig = Buffer.from(signer.sign(Buffer.concat([Buffer.from(head), payload]))).toString('base64')
  return JSON.stringify({
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: { hint: '' } },
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig }] },
  })
}

interface ManifestJson {
  readonly layers: readonly object[]
}

/** Changes of the manifest of a good bundle, which nobody signed, and whether cosign finds the bundle. */
const MANIFESTS: readonly (readonly [string, boolean, (manifest: ManifestJson) => object])[] = [
  [
    'the annotations of an attestation',
    true,
    () => ({ annotations: { 'dev.sigstore.bundle.predicateType': 'x' } }),
  ],
  [
    'the annotations of a message',
    true,
    () => ({ annotations: { 'dev.sigstore.bundle.content': 'message-signature' } }),
  ],
  ['another artifact type', true, () => ({ artifactType: 'application/vnd.dev.sigstore.bundle.v0.1+json' })],
  ['another subject', true, () => ({ subject: { mediaType: MANIFEST, size: 1, digest: digestOf('x') } })],
  ['its layer twice', false, ({ layers }) => ({ layers: [...layers, ...layers] })],
  ['no layer', false, () => ({ layers: [] })],
  [
    'a layer of another type',
    false,
    ({ layers }) => ({ layers: [{ ...layers[0], mediaType: 'application/json' }] }),
  ],
]

interface Stored {
  readonly bundle: string
  /** What its manifest has that is not usual. */
  readonly change: (manifest: ManifestJson) => object
}

function manifestOf({ bundle, change }: Stored): string {
  const manifest = {
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: { mediaType: 'application/vnd.oci.empty.v1+json', size: 2, digest: digestOf('{}') },
    layers: [{ mediaType: BUNDLE, size: Buffer.byteLength(bundle), digest: digestOf(bundle) }],
  }
  return JSON.stringify({ ...manifest, ...change(manifest) })
}

/** A registry with one image in each repository `mN`, to which the bundle N refers. */
function answer(request: Request, bundles: readonly Stored[]): Response {
  const { pathname } = new URL(request.url)
  const [, number = '', kind, digest] =
    /^\/v2\/m(\d+)\/(manifests|referrers|blobs)\/(.*)$/.exec(pathname) ?? []
  const stored = bundles[Number(number)]
  if (pathname === '/v2/') return new Response('{}')
  if (number === '' || stored === undefined) return new Response('{"errors":[]}', { status: 404 })
  const manifest = manifestOf(stored)
  if (kind === 'referrers') {
    const size = Buffer.byteLength(manifest)
    const manifests = [{ mediaType: MANIFEST, size, digest: digestOf(manifest), artifactType: BUNDLE }]
    return send(JSON.stringify({ schemaVersion: 2, manifests }), 'application/vnd.oci.image.index.v1+json')
  }
  const contents = kind === 'manifests' ? [LOGGED_IMAGE.manifest, manifest] : [stored.bundle, '{}']
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
