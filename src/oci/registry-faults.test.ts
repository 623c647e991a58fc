import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  cutAnswer,
  drip,
  endless,
  type Fault,
  type FaultyRegistry,
  flipByte,
  html,
  loseAnswer,
  resize,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { type CosignetError, type ErrorCode, encodeUtf8, isCosignetError } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { digestOf } from './digest.ts'
import { MEDIA_TYPES, parseManifest } from './manifest.ts'
import { RegistryClient } from './registry-client.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const MiB = 1024 * 1024
const EMPTY = encodeUtf8('{}')
const SUBJECT = digestOf(encodeUtf8('subject'))
const IMAGE = parseManifest(
  encodeUtf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociEmpty, digest: digestOf(EMPTY), size: 2 },
      layers: [],
      subject: { mediaType: MEDIA_TYPES.ociManifest, digest: SUBJECT, size: 7 },
    }),
  ),
  undefined,
  'It',
)

/** What is asked of a registry, and the path of the request that goes wrong. */
const TASKS = {
  'a manifest': {
    method: 'GET',
    path: /\/manifests\/v1$/,
    run: async (client: RegistryClient) => (await client.getManifest('v1')).digest,
    expected: IMAGE.digest,
  },
  tags: {
    method: 'GET',
    path: /\/tags\/list/,
    run: async (client: RegistryClient) => (await client.listTags()).join(),
    expected: 'v1',
  },
  referrers: {
    method: 'GET',
    path: /\/referrers\//,
    run: async (client: RegistryClient) =>
      (await client.listReferrers(SUBJECT)).map(({ digest }) => digest).join(),
    expected: IMAGE.digest,
  },
  'a head': {
    method: 'HEAD',
    path: /\/manifests\/v1$/,
    run: async (client: RegistryClient) => (await client.headManifest('v1'))?.digest,
    expected: IMAGE.digest,
  },
  'a manifest to write': {
    method: 'PUT',
    path: /\/manifests\/v2$/,
    run: async (client: RegistryClient) => {
      await client.putManifest(IMAGE, { tag: 'v2' })
      return (await client.getManifest('v2')).digest
    },
    expected: IMAGE.digest,
  },
  'an upload to open': {
    method: 'POST',
    path: /\/uploads\//,
    run: async (client: RegistryClient) => {
      const blob = encodeUtf8('new')
      await client.putBlob({ digest: digestOf(blob), size: 3 }, blob)
      return await client.putBlob({ digest: digestOf(blob), size: 3 }, blob)
    },
    expected: 'present',
  },
} as const

const LISTS = ['a manifest', 'tags', 'referrers'] as const
const ALL = Object.keys(TASKS) as (keyof typeof TASKS)[]

async function bench(): Promise<{ proxy: FaultyRegistry; client: RegistryClient }> {
  const proxy = await startFaultyRegistry()
  const http = new HttpClient()
  cleanups.push(() => proxy.close())
  cleanups.push(() => http.close())
  const options = { repository: 'a/b', http, sleep: async () => undefined }
  const direct = new RegistryClient({ ...options, registry: proxy.upstream })
  await direct.putBlob({ digest: digestOf(EMPTY), size: 2 }, EMPTY)
  await direct.putManifest(IMAGE, { tag: 'v1' })
  return { proxy, client: new RegistryClient({ ...options, registry: proxy.host }) }
}

async function attempt(name: keyof typeof TASKS, fault: Fault, calls?: readonly number[]): Promise<unknown> {
  const { proxy, client } = await bench()
  const { method, path, run } = TASKS[name]
  proxy.on({ method, path, fault, ...(calls === undefined ? {} : { calls }) })
  const outcome = await run(client).catch((error: unknown) => error)
  expect(proxy.sentBytes).toBeLessThan(16 * MiB)
  return outcome
}

describe('a registry that gets over it', () => {
  const passing: [string, Fault][] = [
    ['is busy', answer(429, { 'retry-after': '1' })],
    ['is down', answer(503)],
    ['fails', answer(500)],
    ['closes the connection', ({ request }) => void request.socket.destroy()],
  ]
  it.each(ALL.flatMap((name) => passing.map(([what, fault]) => [name, what, fault] as const)))(
    'gives %s though it %s at first',
    async (name, _what, fault) => {
      expect(await attempt(name, fault, [1, 2])).toBe(TASKS[name].expected)
    },
  )

  it('gives what it broke off in the middle', async () => {
    for (const name of LISTS) expect(await attempt(name, cutAnswer(20), [1])).toBe(TASKS[name].expected)
  })

  it('gives what was asked for slowly', async () => {
    for (const name of LISTS) expect(await attempt(name, drip(100, 5))).toBe(TASKS[name].expected)
  })

  it('has stored a manifest of which the answer was lost', async () => {
    expect(await attempt('a manifest to write', loseAnswer(), [1])).toBe(IMAGE.digest)
  })
})

describe('a hostile registry', () => {
  const any: [string, Fault, ErrorCode][] = [
    ['asks for a login for ever', answer(401, { 'www-authenticate': 'Basic realm="r"' }), 'UNAUTHORIZED'],
    ['asks for what is not known', answer(401, { 'www-authenticate': 'Negotiate' }), 'UNAUTHORIZED'],
    ['forbids', answer(403), 'FORBIDDEN'],
    ['is down for ever', answer(503, { 'retry-after': '999999' }), 'UNAVAILABLE'],
    ['redirects to no HTTP', answer(307, { location: 'gopher://evil.test' }), 'BAD_RESPONSE'],
    ['redirects in a circle', (e) => answer(307, { location: e.request.url })(e), 'BAD_RESPONSE'],
    ['redirects to a password', answer(307, { location: 'http://user:CANARY@127.0.0.1/' }), 'BAD_RESPONSE'],
  ]
  it.each(ALL.flatMap((name) => any.map(([what, fault, code]) => [name, what, fault, code] as const)))(
    'that for %s %s gives an error',
    async (name, _what, fault, code) => {
      const error = await attempt(name, fault)
      expect(error).toMatchObject({ name: 'CosignetError', code })
      expect((error as CosignetError).message).not.toContain('CANARY')
    },
  )

  const bodies: [string, Fault, readonly ErrorCode[]][] = [
    ['is HTML', html(), ['BAD_RESPONSE']],
    ['never ends', endless(), ['TOO_LARGE']],
    ['is cut for ever', cutAnswer(20), ['UNAVAILABLE']],
    ['ends before its length', resize(-10, false), ['UNAVAILABLE']],
    ['is a few bytes short', resize(-10, true), ['DIGEST_MISMATCH', 'BAD_RESPONSE']],
    ['is a few bytes long', resize(10, true), ['DIGEST_MISMATCH', 'BAD_RESPONSE']],
    [
      'is empty',
      change({ headers: { 'content-length': '0' }, body: () => nothing() }),
      ['DIGEST_MISMATCH', 'BAD_RESPONSE'],
    ],
    [
      'is not JSON',
      change({ headers: { 'content-length': '1' }, body: () => one() }),
      ['DIGEST_MISMATCH', 'BAD_RESPONSE'],
    ],
  ]
  it.each(LISTS.flatMap((name) => bodies.map(([what, fault, codes]) => [name, what, fault, codes] as const)))(
    'of which the answer for %s %s gives an error',
    async (name, what, fault, codes) => {
      const outcome = await attempt(name, fault)
      // A registry that answers the list of referrers with a page has none: the tag is asked, and there is none either.
      if (name === 'referrers' && what === 'is HTML') return expect(outcome).toBe('')
      expect(isCosignetError(outcome, ...codes), String(outcome)).toBe(true)
    },
  )

  it('that turns a byte never gives another manifest or head', async () => {
    for (const name of ['a manifest', 'a head'] as const) {
      for (const at of [0, 40, 120, 200]) {
        const outcome = await attempt(name, flipByte(at))
        if (outcome !== TASKS[name].expected) expect(isCosignetError(outcome), String(outcome)).toBe(true)
      }
    }
  })

  it.each<[string, Record<string, string>]>([
    ['another digest', { 'docker-content-digest': SUBJECT }],
    ['no digest', { 'docker-content-digest': 'sha256:../../x' }],
    ['another type', { 'content-type': MEDIA_TYPES.ociIndex }],
  ])('that announces %s gives no manifest', async (_name, headers) => {
    const error = await attempt('a manifest', change({ headers }))
    expect(isCosignetError(error, 'DIGEST_MISMATCH', 'BAD_RESPONSE', 'INVALID_MANIFEST')).toBe(true)
  })

  it.each<[string, string | undefined]>([
    ['no place', undefined],
    ['what is no URL', 'http://['],
    ['another scheme', 'file:///tmp/x'],
    ['a password', 'http://user:CANARY@127.0.0.1/up'],
  ])('that names %s to upload to gets nothing', async (_name, location) => {
    const error = await attempt('an upload to open', answer(202, location === undefined ? {} : { location }))
    expect(error).toMatchObject({ code: expect.stringMatching(/^(BAD_RESPONSE|INVALID_REQUEST)$/) })
    expect(String(error)).not.toContain('CANARY')
  })
})

async function* nothing(): AsyncGenerator<Uint8Array> {}

async function* one(): AsyncGenerator<Uint8Array> {
  yield encodeUtf8('x')
}
