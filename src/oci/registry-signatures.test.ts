import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  answer,
  cutAnswer,
  type FaultyRegistry,
  html,
  loseAnswer,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { digestOf } from './digest.ts'
import { MEDIA_TYPES } from './manifest.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistrySignatures } from './registry-signatures.ts'

const BYTES = encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }))
const IMAGE = { bytes: BYTES, digest: digestOf(BYTES), mediaType: MEDIA_TYPES.ociIndex }
const ONE = Buffer.from([0xa3, 1])
const TWO = Buffer.from([0xa3, 2])
const PATH = `/extensions/v2/a/b/c/signatures/${IMAGE.digest}`

let proxy: FaultyRegistry
let http: HttpClient
beforeEach(async () => {
  proxy = await startFaultyRegistry()
  http = new HttpClient()
})
afterEach(async () => {
  http.close()
  await proxy.close()
})

function client(repository = 'a/b/c'): RegistryClient {
  return new RegistryClient({ registry: proxy.host, repository, http, sleep: async () => undefined })
}

async function open(): Promise<RegistrySignatures> {
  const registry = client()
  await registry.putManifest(IMAGE)
  const signatures = await registry.openSignatures()
  if (signatures === undefined) throw new Error('The registry announces nothing.')
  return signatures
}

describe('the signatures of a registry', () => {
  it('are listed and added', async () => {
    const signatures = await open()
    expect(await signatures.list(IMAGE.digest)).toEqual([])
    await signatures.put(IMAGE.digest, ONE)
    await signatures.put(IMAGE.digest, TWO)
    const found = await signatures.list(IMAGE.digest)
    expect(found.map((bytes) => Buffer.from(bytes).toString('hex')).toSorted()).toEqual(['a301', 'a302'])
    expect(proxy.seen.at(-1)).toMatchObject({ method: 'GET', path: PATH })
  })

  it('are of a manifest that the registry has', async () => {
    const signatures = await open()
    const other = digestOf(encodeUtf8('other'))
    await expect(signatures.list(other)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(signatures.put(other, ONE)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('are added once where the answer is lost', async () => {
    const signatures = await open()
    proxy.on({ method: 'PUT', path: /\/signatures\//, calls: [1], fault: loseAnswer() })
    await signatures.put(IMAGE.digest, ONE)
    expect(await signatures.list(IMAGE.digest)).toHaveLength(1)
  })

  it('are read again where the connection breaks', async () => {
    const signatures = await open()
    await signatures.put(IMAGE.digest, ONE)
    proxy.on({ path: /\/signatures\//, calls: [1], fault: cutAnswer(10) })
    expect(await signatures.list(IMAGE.digest)).toHaveLength(1)
  })

  const entry = { schemaVersion: 2, name: 'x', type: 'atomic', content: 'owE=' }

  it.each([
    ['{}', []],
    ['{"signatures":null}', []],
    // Passed over, as containers/image does.
    [list({ ...entry, type: 'other', content: 1 }, { ...entry, schemaVersion: 1 }, null, entry), [ONE]],
    [list({ ...entry, name: undefined }), [ONE]],
  ])('are read from %s', async (body, expected) => {
    const signatures = await open()
    proxy.on({ path: /\/signatures\//, fault: answer(200, { 'content-type': 'application/json' }, body) })
    expect(await signatures.list(IMAGE.digest)).toEqual(expected)
  })

  it.each([
    ['[', 'BAD_RESPONSE'],
    ['{"signatures":[],"signatures":[]}', 'BAD_RESPONSE'],
    ['{"signatures":{}}', 'BAD_RESPONSE'],
    ['{"signatures":"x"}', 'BAD_RESPONSE'],
    [list({ ...entry, content: undefined }), 'BAD_RESPONSE'],
    [list({ ...entry, content: 'owE' }), 'INVALID_BASE64'],
    [list({ ...entry, content: Buffer.alloc(LIMITS.payloadBytes + 1).toString('base64') }), 'TOO_LARGE'],
    [list(...Array.from({ length: LIMITS.signatures + 1 }, () => entry)), 'TOO_LARGE'],
    [' '.repeat(LIMITS.jsonBytes + 1), 'TOO_LARGE'],
  ])('are refused from %.60s', async (body, code) => {
    const signatures = await open()
    proxy.on({ path: /\/signatures\//, fault: answer(200, { 'content-type': 'application/json' }, body) })
    await expect(signatures.list(IMAGE.digest)).rejects.toMatchObject({ code })
  })

  it.each([
    [answer(404), 'NOT_FOUND'],
    [answer(500), 'UNAVAILABLE'],
    [answer(403), 'FORBIDDEN'],
    [html(), 'BAD_RESPONSE'],
  ])('are never taken for none where they cannot be had (%#)', async (fault, code) => {
    const signatures = await open()
    proxy.on({ path: /\/signatures\//, fault })
    await expect(signatures.list(IMAGE.digest)).rejects.toMatchObject({ code })
    await expect(signatures.put(IMAGE.digest, ONE)).rejects.toMatchObject({ code })
  })
})

describe('the ping', () => {
  it.each([200, 401, 403, 404])('is believed with status %i', async (status) => {
    proxy.on({ path: /^\/v2\/$/, fault: answer(status, { 'x-registry-supports-signatures': '1' }) })
    expect(await client().openSignatures()).toBeDefined()
  })

  it.each([{}, { 'x-registry-supports-signatures': '0' }, { 'x-registry-supports-signatures': 'true' }])(
    'tells of no signatures with %j',
    async (headers) => {
      proxy.on({ path: /^\/v2\/$/, fault: answer(200, headers) })
      expect(await client().openSignatures()).toBeUndefined()
    },
  )

  it('is sent once a host', async () => {
    await client('a').openSignatures()
    await client('b/c').openSignatures()
    expect(proxy.seen.filter(({ path }) => path === '/v2/')).toHaveLength(1)
  })

  it('is sent again where it failed', async () => {
    proxy.on({ path: /^\/v2\/$/, calls: [1, 2, 3, 4], fault: answer(503) })
    await expect(client().openSignatures()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(await client().openSignatures()).toBeDefined()
  })
})

function list(...signatures: readonly (object | null)[]): string {
  return JSON.stringify({ signatures })
}
