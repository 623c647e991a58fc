import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet } from './cosignet.ts'

/** What a registry that lies answers, by what follows the repository in the path; all else is not there. */
type Answers = Readonly<
  Record<string, { readonly status?: number; readonly type?: string; readonly body: string }>
>

const IMAGE = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const BUNDLE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json'
const STATEMENT = 'application/vnd.in-toto+json'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const blobs = new Map<string, string>()
const EMPTY = blob('{}')
const [GOOD_IMAGE, EVIL_IMAGE] = [
  manifest({ annotations: { is: 'good' } }),
  manifest({ annotations: { is: 'evil' } }),
]
const [GOOD, EVIL] = [digestOf(GOOD_IMAGE), digestOf(EVIL_IMAGE)]

function digestOf(text: string, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(text).digest('hex')}`
}

/** Stores a blob and describes it. */
function blob(text: string): { digest: string; size: number } {
  blobs.set(digestOf(text), text)
  return { digest: digestOf(text), size: Buffer.byteLength(text) }
}

function manifest(more: object): string {
  const config = { mediaType: 'application/vnd.oci.image.config.v1+json', ...EMPTY }
  return JSON.stringify({ schemaVersion: 2, mediaType: IMAGE, config, layers: [], ...more })
}

function signed(text: string): string {
  return sign('sha256', Buffer.from(text), privateKey).toString('base64')
}

function payloadFor(digest: string): string {
  return `{"critical":{"identity":{"docker-reference":"r.example/a"},"image":{"docker-manifest-digest":"${digest}"},"type":"t"},"optional":null}`
}

/** An image at v1, by default the evil one, with cosign signatures: what stands in the layer, and what was signed. */
function attached(
  layers: readonly { readonly payload: string; readonly of?: string; readonly annotations?: object }[],
  image = EVIL_IMAGE,
): Answers {
  const descriptors = layers.map(({ payload, of = payload, annotations }) => ({
    mediaType: PAYLOAD,
    ...blob(payload),
    annotations: { 'dev.cosignproject.cosign/signature': signed(of), ...annotations },
  }))
  return {
    'manifests/v1': { type: IMAGE, body: image },
    [`manifests/${digestOf(image).replace(':', '-')}.sig`]: {
      type: IMAGE,
      body: manifest({ layers: descriptors }),
    },
  }
}

function statement(
  subject: readonly object[],
  predicateType = 'https://sigstore.dev/cosign/sign/v1',
): string {
  return JSON.stringify({ _type: 'https://in-toto.io/Statement/v1', subject, predicateType, predicate: {} })
}

/** The evil image at v1 with a bundle: what stands in the envelope, and what was signed. */
function bundled(payload: string, of = payload, type = STATEMENT): Answers {
  const preAuth = `DSSEv1 ${type.length} ${type} ${Buffer.byteLength(of)} ${of}`
  const bundle = JSON.stringify({
    mediaType: BUNDLE,
    verificationMaterial: { publicKey: { hint: '' } },
    dsseEnvelope: {
      payload: Buffer.from(payload).toString('base64'),
      payloadType: type,
      signatures: [{ sig: signed(preAuth) }],
    },
  })
  const referrer = manifest({ artifactType: BUNDLE, layers: [{ mediaType: BUNDLE, ...blob(bundle) }] })
  const entry = { mediaType: IMAGE, digest: digestOf(referrer), size: referrer.length, artifactType: BUNDLE }
  return {
    'manifests/v1': { type: IMAGE, body: EVIL_IMAGE },
    [`manifests/${digestOf(referrer)}`]: { type: IMAGE, body: referrer },
    [`referrers/${EVIL}`]: {
      type: INDEX,
      body: JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [entry] }),
    },
  }
}

const subjectOf = (digest: string): object => ({ digest: { sha256: digest.slice('sha256:'.length) } })
const evilTag = `manifests/${EVIL.replace(':', '-')}.sig`
const withTag = (status: number, body = ''): Answers => ({
  ...attached([{ payload: payloadFor(GOOD) }]),
  [evilTag]: { status, type: IMAGE, body },
})
const twice = (text: string, member: string, value: string): string =>
  text.replace(`"${member}":`, `"${member}":${value},"${member}":`)

const CASES: readonly (readonly [
  what: string,
  answers: Answers,
  exit: 0 | 1 | 3,
  flags?: readonly string[],
])[] = [
  // That the others are refused for what is wrong with them.
  ['a good signature', attached([{ payload: payloadFor(GOOD) }], GOOD_IMAGE), 0],
  ['a good bundle', bundled(statement([subjectOf(EVIL)])), 0],

  ['a signature of another image', attached([{ payload: payloadFor(GOOD) }]), 1],
  ['another payload over the signature', attached([{ payload: payloadFor(EVIL), of: payloadFor(GOOD) }]), 1],
  [
    'a digest given twice',
    attached([{ payload: twice(payloadFor(EVIL), 'docker-manifest-digest', `"${GOOD}"`) }]),
    1,
  ],
  [
    'a digest in a member of another case',
    attached([
      {
        payload: payloadFor(GOOD).replace(
          '"image":',
          `"Image":{"docker-manifest-digest":"${EVIL}"},"image":`,
        ),
      },
    ]),
    1,
  ],
  ...[
    EVIL.toUpperCase(),
    `sha256:${EVIL.slice(7).toUpperCase()}`,
    `${EVIL} `,
    `${EVIL}\\u0000`,
    `r.example/a@${EVIL}`,
    EVIL.slice(0, -1),
    EVIL.slice(7),
    digestOf(EVIL_IMAGE, 'sha512'),
  ].map((digest) => [`the digest as ${digest}`, attached([{ payload: payloadFor(digest) }]), 1] as const),
  [
    'annotations of two signatures together',
    attached(['a', 'b'].map((name) => ({ payload: payloadFor(EVIL).replace('null', `{"${name}":"1"}`) }))),
    1,
    ['-a', 'a=1', '-a', 'b=1'],
  ],
  [
    'an annotation that is not signed',
    attached([{ payload: payloadFor(EVIL), annotations: { a: '1' } }]),
    1,
    ['-a', 'a=1'],
  ],
  ['an annotation of the prototype', attached([{ payload: payloadFor(EVIL) }]), 1, ['-a', '__proto__=x']],
  [
    'a number where a text was asked for',
    attached([{ payload: payloadFor(EVIL).replace('null', '{"a":1}') }]),
    1,
    ['-a', 'a=1'],
  ],
  ['a bundle of another image', bundled(statement([subjectOf(GOOD)])), 1],
  [
    'another statement over the signature',
    bundled(statement([subjectOf(EVIL)]), statement([subjectOf(GOOD)])),
    1,
  ],
  ['an attestation', bundled(statement([subjectOf(EVIL)], 'https://slsa.dev/provenance/v1')), 1],
  ['a statement of nothing', bundled(statement([])), 1],
  ['a statement of another type', bundled(statement([subjectOf(EVIL)]), undefined, 'text/plain'), 1],
  [
    'subjects given twice',
    bundled(twice(statement([subjectOf(EVIL)]), 'subject', JSON.stringify([subjectOf(GOOD)]))),
    1,
  ],
  ['a subject by its name alone', bundled(statement([{ name: EVIL, ...subjectOf(GOOD) }])), 1],
  [
    'the digest of a subject in capitals',
    bundled(statement([subjectOf(`sha256:${EVIL.slice(7).toUpperCase()}`)])),
    1,
  ],
  ['an index in place of signatures', withTag(200, manifest({ mediaType: INDEX, manifests: [] })), 1],
  ['no JSON in place of signatures', withTag(200, 'hello'), 1],
  // Who cannot look does not know.
  ...['hello', '[]', '{"schemaVersion":2,"manifests":[{"digest":"x"}]}'].map(
    (body) =>
      [
        `${body} in place of a list of referrers`,
        { ...bundled(statement([subjectOf(EVIL)])), [`referrers/${EVIL}`]: { type: INDEX, body } },
        3,
      ] as const,
  ),
  ...[401, 403, 500].map((status) => [`${status} in place of signatures`, withTag(status), 3] as const),
]

let sandbox: Sandbox
let server: Server

beforeAll(async () => {
  sandbox = await Sandbox.create()
  await sandbox.write('cosign.pub', publicKey.export({ type: 'spki', format: 'pem' }))
  server = createServer((request, response) => {
    const [, number = '', rest = ''] = /^\/v2\/case-(\d+)\/([^?]*)/.exec(request.url ?? '') ?? []
    const stored = rest.startsWith('blobs/') ? blobs.get(rest.slice('blobs/'.length)) : undefined
    const answer = CASES[Number(number)]?.[1][rest] ?? (stored === undefined ? undefined : { body: stored })
    const type = answer?.type ?? 'application/octet-stream'
    const status = number === '' ? 200 : (answer?.status ?? (answer === undefined ? 404 : 200))
    response.writeHead(status, { 'content-type': type }).end(answer?.body ?? '{}')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  await sandbox.dispose()
})

describe('verify, of what a hostile registry has beside an image', () => {
  it.each(CASES.map(([what, , exit, flags = []], i) => ({ what, exit, flags, i })))(
    '$what',
    async ({ exit, flags, i }) => {
      const image = `127.0.0.1:${(server.address() as AddressInfo).port}/case-${i}:v1`
      const outcome = await cosignet(sandbox, ['verify', '--key', 'cosign.pub', ...flags, image])
      const says = { 0: 'ALLOWED', 1: 'DENIED', 3: '' }[exit]
      expect({ status: outcome.status, says: outcome.stdout.split(' ')[0] }).toEqual({ status: exit, says })
    },
  )
})
