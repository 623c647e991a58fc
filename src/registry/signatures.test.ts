import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { parseDigest } from '../oci/index.ts'
import { fileStorage } from './file-storage.ts'
import { memoryStorage } from './memory-storage.ts'
import { createRegistry, type RegistryOptions } from './registry.ts'
import type { RegistryStorage } from './storage.ts'

const MANIFEST = '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}'
const DIGEST = parseDigest(`sha256:${createHash('sha256').update(MANIFEST).digest('hex')}`)
const PATH = `/extensions/v2/team/app/signatures/${DIGEST}`
const ID = '0123456789abcdef0123456789abcdef'
const OTHER_ID = 'f'.repeat(32)

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'registry-signatures-'))
})
afterAll(() => rm(directory, { recursive: true }))

/** What skopeo 1.22 sends. */
function signature(content: string | Uint8Array, id = ID, more: object = {}): string {
  const base64 = Buffer.from(content).toString('base64')
  return JSON.stringify({
    schemaVersion: 2,
    name: `${DIGEST}@${id}`,
    type: 'atomic',
    content: base64,
    ...more,
  })
}

describe.each<[string, () => Promise<RegistryStorage>]>([
  ['in memory', async () => memoryStorage()],
  ['in files', async () => fileStorage(await mkdtemp(join(directory, 'data-')))],
])('signatures in a registry %s', (_name, createStorage) => {
  let storage: RegistryStorage
  let call: Caller
  beforeEach(async () => {
    storage = await createStorage()
    call = callerOf({ storage })
    const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' }
    expect((await call('PUT', '/v2/team/app/manifests/v1', MANIFEST, headers)).status).toBe(201)
  })

  async function contents(): Promise<readonly string[]> {
    const response = await call('GET', PATH)
    expect(response.status).toBe(200)
    const { signatures } = (await response.json()) as { signatures: readonly { content: string }[] }
    return signatures.map(({ content }) => Buffer.from(content, 'base64').toString())
  }

  it('are announced by the ping, also to who is not let in', async () => {
    for (const path of ['/v2/', '/v2']) {
      expect((await call('GET', path)).headers.get('x-registry-supports-signatures')).toBe('1')
    }
    const closed = callerOf({ storage, authenticate: async () => false })
    const refused = await closed('GET', '/v2/')
    expect(refused.status).toBe(401)
    expect(refused.headers.get('x-registry-supports-signatures')).toBe('1')
    const manifest = await call('GET', '/v2/team/app/manifests/v1')
    expect(manifest.headers.get('x-registry-supports-signatures')).toBeNull()
  })

  it('are listed as they were put', async () => {
    expect(await (await call('GET', PATH)).json()).toEqual({ signatures: [] })
    expect((await call('PUT', PATH, signature('one'))).status).toBe(201)
    expect((await call('PUT', PATH, signature('two', OTHER_ID))).status).toBe(201)
    const response = await call('GET', PATH)
    expect(response.headers.get('content-type')).toBe('application/json')
    const { signatures } = (await response.json()) as { signatures: object[] }
    expect(signatures).toHaveLength(2)
    expect(signatures).toContainEqual({
      schemaVersion: 2,
      name: `${DIGEST}@${ID}`,
      type: 'atomic',
      content: 'b25l',
    })
  })

  it('may be put again, and keep their name', async () => {
    expect((await call('PUT', PATH, signature('one'))).status).toBe(201)
    expect((await call('PUT', PATH, signature('one'))).status).toBe(201)
    const other = await call('PUT', PATH, signature('two'))
    expect([other.status, await codeOf(other)]).toEqual([409, 'SIGNATURE_EXISTS'])
    expect(await contents()).toEqual(['one'])
  })

  it('are all kept of many that come at once', async () => {
    const ids = Array.from({ length: 20 }, (_, i) => i.toString(16).padStart(32, '0'))
    await Promise.all(ids.map((id) => call('PUT', PATH, signature(id, id))))
    expect((await contents()).toSorted()).toEqual(ids)
  })

  it('go with their manifest', async () => {
    await call('PUT', PATH, signature('one'))
    expect((await call('DELETE', `/v2/team/app/manifests/${DIGEST}`)).status).toBe(202)
    expect((await call('GET', PATH)).status).toBe(404)
    const headers = { 'content-type': 'application/vnd.oci.image.index.v1+json' }
    await call('PUT', '/v2/team/app/manifests/v1', MANIFEST, headers)
    expect(await contents()).toEqual([])
  })

  it('belong to one repository', async () => {
    await call('PUT', PATH, signature('one'))
    const response = await call('GET', PATH.replace('team/app', 'team/other'))
    expect([response.status, await codeOf(response)]).toEqual([404, 'MANIFEST_UNKNOWN'])
  })

  const large = Buffer.alloc(LIMITS.payloadBytes, 1)

  it('may be as large as the readers take, and no larger', async () => {
    expect((await call('PUT', PATH, signature(large))).status).toBe(201)
    const larger = await call('PUT', PATH, signature(Buffer.concat([large, Buffer.from('1')]), OTHER_ID))
    expect([larger.status, await codeOf(larger)]).toEqual([413, 'SIZE_INVALID'])
  })

  it('may be as many as the readers take, and no more', async () => {
    await call('PUT', PATH, signature(large, '0'.repeat(32)))
    await call('PUT', PATH, signature(large, '1'.repeat(32)))
    const more = await call('PUT', PATH, signature('one more', OTHER_ID))
    expect([more.status, await codeOf(more)]).toEqual([413, 'SIZE_INVALID'])
    // containers/image reads 4 MiB of the list.
    const list = await (await call('GET', PATH)).arrayBuffer()
    expect(list.byteLength).toBeLessThan(4 * 1024 * 1024)
  })

  it.each([
    ['', 'SIGNATURE_INVALID', 400],
    ['[]', 'SIGNATURE_INVALID', 400],
    ['null', 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { type: 'other' }), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { schemaVersion: 1 }), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { schemaVersion: '2' }), 'SIGNATURE_INVALID', 400],
    [signature(''), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { content: 'b25s!' }), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { content: 1 }), 'SIGNATURE_INVALID', 400],
    [signature('x', ''), 'SIGNATURE_INVALID', 400],
    [signature('x', '../../../../tmp/x'), 'SIGNATURE_INVALID', 400],
    [signature('x', ID.toUpperCase()), 'SIGNATURE_INVALID', 400],
    [signature('x', `${ID}@${ID}`), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { name: ID }), 'SIGNATURE_INVALID', 400],
    [signature('x', ID, { name: `sha256:${'0'.repeat(64)}@${ID}` }), 'SIGNATURE_INVALID', 400],
    [`{"type":"atomic",${signature('x').slice(1)}`, 'SIGNATURE_INVALID', 400],
    [' '.repeat(2 * LIMITS.payloadBytes + 1), 'SIZE_INVALID', 413],
  ])('are not %.60s', async (body, code, status) => {
    const response = await call('PUT', PATH, body)
    expect([response.status, await codeOf(response)]).toEqual([status, code])
    expect(await contents()).toEqual([])
  })

  // CVE-2024-3727: what is no digest never gets near a path.
  it.each([
    ['GET', '/extensions/v2/team/app/signatures/sha256:abc', 400, 'DIGEST_INVALID'],
    ['PUT', '/extensions/v2/team/app/signatures/..%2f..%2fx', 400, 'DIGEST_INVALID'],
    ['GET', '/extensions/v2/team/app/signatures/v1', 400, 'DIGEST_INVALID'],
    ['GET', `/extensions/v2/Team/signatures/${DIGEST}`, 400, 'NAME_INVALID'],
    ['GET', `/extensions/v2/_x/signatures/${DIGEST}`, 400, 'NAME_INVALID'],
    ['PUT', `/extensions/v2/team/app/signatures/sha256:${'0'.repeat(64)}`, 404, 'MANIFEST_UNKNOWN'],
    ['DELETE', PATH, 405, 'UNSUPPORTED'],
    ['GET', '/extensions/v2/', 404, 'UNSUPPORTED'],
    ['GET', '/extensions/v2/team/app', 404, 'UNSUPPORTED'],
    ['GET', '/extensions/v1/team/app', 404, 'UNSUPPORTED'],
  ])('answers %s %s with %i %s', async (method, path, status, code) => {
    const response = await call(method, path, method === 'PUT' ? signature('x') : undefined)
    expect([response.status, await codeOf(response)]).toEqual([status, code])
  })

  it('can be read and not written where the registry is for reading', async () => {
    await call('PUT', PATH, signature('one'))
    const reader = callerOf({ storage, readOnly: true })
    expect((await reader('GET', PATH)).status).toBe(200)
    const refused = await reader('PUT', PATH, signature('two', OTHER_ID))
    expect([refused.status, await codeOf(refused)]).toEqual([405, 'UNSUPPORTED'])
    expect(await contents()).toEqual(['one'])
  })

  it('are for those who are let in', async () => {
    const closed = callerOf({ storage, authenticate: async () => false })
    expect((await closed('GET', PATH)).status).toBe(401)
    expect((await closed('PUT', PATH, signature('one'))).status).toBe(401)
    expect(await contents()).toEqual([])
  })
})

it('are there after a restart, under names of the storage alone', async () => {
  const data = await mkdtemp(join(directory, 'data-'))
  const before = await fileStorage(data)
  await before.addSignature('team/app', DIGEST, ID, Buffer.from('one'))
  await expect(before.addSignature('team/app', DIGEST, '../x', Buffer.from('x'))).rejects.toMatchObject({
    code: 'INVALID_REFERENCE',
  })
  await before.close()
  const after = await fileStorage(data)
  expect([...(await after.listSignatures('team/app', DIGEST))]).toEqual([[ID, Buffer.from('one')]])
  await after.close()
  expect(await readdir(join(data, 'repositories/team/app'))).toEqual(['_signatures'])
})

type Caller = (
  method: string,
  path: string,
  body?: string,
  headers?: Record<string, string>,
) => Promise<Response>

function callerOf(options: RegistryOptions): Caller {
  const app = createRegistry(options)
  return async (method, path, body, headers = {}) => {
    const init = body === undefined ? {} : { body }
    return await app.fetch(new Request(`http://registry${path}`, { method, headers, ...init }))
  }
}

async function codeOf(response: Response): Promise<string> {
  const { errors } = (await response.json()) as { errors: { code: string }[] }
  return errors.map(({ code }) => code).join()
}
