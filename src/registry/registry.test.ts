import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { CosignetError, collectBytes, LIMITS } from '../core/index.ts'
import { issueCertificates, serve } from '../net/index.ts'
import { fileStorage } from './file-storage.ts'
import { memoryStorage } from './memory-storage.ts'
import { createRegistry } from './registry.ts'
import type { RegistryStorage } from './storage.ts'

const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
const INDEX = 'application/vnd.oci.image.index.v1+json'
const CONFIG = 'application/vnd.oci.image.config.v1+json'

function sha(content: string | Uint8Array, algorithm = 'sha256'): string {
  return `${algorithm}:${createHash(algorithm).update(content).digest('hex')}`
}

function descriptor(content: string, mediaType: string): object {
  return { mediaType, digest: sha(content), size: content.length }
}

/** An image manifest over the config `{}` and the layer `layer`, which `pushParts` pushes. */
function image(extra: object = {}): string {
  const layers = [descriptor('layer', 'application/vnd.oci.image.layer.v1.tar')]
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MANIFEST,
    config: descriptor('{}', CONFIG),
    layers,
    ...extra,
  })
}

const ABSENT = descriptor('absent', 'a/b')
const LONGER = { ...descriptor('layer', 'a/b'), size: 6 }

let directory: string
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'registry-'))
})
afterAll(() => rm(directory, { recursive: true }))

describe.each<[string, () => Promise<RegistryStorage>]>([
  ['in memory', async () => memoryStorage()],
  ['in files', async () => fileStorage(await mkdtemp(join(directory, 'data-')))],
])('registry %s', (_name, createStorage) => {
  let app: ReturnType<typeof createRegistry>
  beforeEach(async () => {
    app = createRegistry({ storage: await createStorage() })
  })

  async function call(
    method: string,
    path: string,
    body?: string | Uint8Array,
    headers: Record<string, string> = {},
  ) {
    const init = body === undefined ? {} : { body: typeof body === 'string' ? body : Buffer.from(body) }
    return app.fetch(new Request(`http://registry${path}`, { method, headers, ...init }))
  }
  async function codeOf(response: Response): Promise<string> {
    const { errors } = (await response.json()) as { errors: { code: string }[] }
    return errors.map(({ code }) => code).join()
  }
  async function pushBlob(repository: string, content: string): Promise<string> {
    const digest = sha(content)
    const response = await call('POST', `/v2/${repository}/blobs/uploads/?digest=${digest}`, content)
    expect(response.status).toBe(201)
    return digest
  }
  async function pushParts(repository: string): Promise<void> {
    await pushBlob(repository, '{}')
    await pushBlob(repository, 'layer')
  }
  function putManifest(
    path: string,
    content: string,
    headers: Record<string, string> = {},
  ): Promise<Response> {
    return call('PUT', `/v2/${path}`, content, { 'content-type': MANIFEST, ...headers })
  }
  async function startUpload(repository: string): Promise<string> {
    const response = await call('POST', `/v2/${repository}/blobs/uploads/`)
    expect(response.status).toBe(202)
    return response.headers.get('location') ?? ''
  }

  it('says that it is a registry', async () => {
    for (const path of ['/v2/', '/v2']) {
      const response = await call('GET', path)
      expect(response.status).toBe(200)
      expect(response.headers.get('docker-distribution-api-version')).toBe('registry/2.0')
    }
  })

  it.each([
    ['GET', '/v2/A/tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2/a//b/tags/list', 400, 'NAME_INVALID'],
    ['GET', '/v2/_a/manifests/x', 400, 'NAME_INVALID'],
    ['GET', '/v2/a/_tags/manifests/x', 400, 'NAME_INVALID'],
    ['GET', '/v2/..%2f..%2fetc/manifests/x', 400, 'NAME_INVALID'],
    ['GET', '/v2/%2e%2e/%2e%2e/manifests/x', 404, 'UNSUPPORTED'],
    ['GET', '/v2/%ff/tags/list', 400, 'NAME_INVALID'],
    ['GET', `/v2/${'a'.repeat(256)}/tags/list`, 400, 'NAME_INVALID'],
    ['GET', '/v2/a/tags/list', 404, 'NAME_UNKNOWN'],
    ['GET', '/v2/a/manifests/.INVALID', 404, 'MANIFEST_UNKNOWN'],
    ['GET', '/v2/a/manifests/..%2f..%2fx', 404, 'MANIFEST_UNKNOWN'],
    ['GET', '/v2/a/manifests/sha256:short', 400, 'DIGEST_INVALID'],
    ['GET', `/v2/a/manifests/${sha('none')}`, 404, 'MANIFEST_UNKNOWN'],
    ['DELETE', '/v2/a/manifests/none', 404, 'MANIFEST_UNKNOWN'],
    ['DELETE', `/v2/a/manifests/${sha('none')}`, 404, 'MANIFEST_UNKNOWN'],
    ['GET', `/v2/a/blobs/${sha('none')}`, 404, 'BLOB_UNKNOWN'],
    ['DELETE', `/v2/a/blobs/${sha('none')}`, 404, 'BLOB_UNKNOWN'],
    ['GET', '/v2/a/blobs/sha256:..%2f..%2fx', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/%ff', 400, 'DIGEST_INVALID'],
    ['GET', `/v2/a/blobs/${sha('none').toUpperCase()}`, 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/referrers/sha256:short', 400, 'DIGEST_INVALID'],
    ['GET', '/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['DELETE', '/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['PATCH', '/v2/a/blobs/uploads/00000000-0000-0000-0000-000000000000', 404, 'BLOB_UPLOAD_UNKNOWN'],
    ['POST', '/v2/a/blobs/uploads/?digest=md5:x', 400, 'DIGEST_INVALID'],
    ['POST', '/v2/a/tags/list', 405, 'UNSUPPORTED'],
    ['GET', '/v2/a/other', 404, 'UNSUPPORTED'],
    ['GET', '/other', 404, 'UNSUPPORTED'],
  ])('answers %s %s with %i %s', async (method, path, status, code) => {
    const response = await call(method, path)
    expect([response.status, await codeOf(response)]).toEqual([status, code])
  })

  it('takes a blob at once, and gives it whole, in part or by its head', async () => {
    const path = `/v2/a/b/blobs/${await pushBlob('a/b', '0123456789')}`
    const whole = await call('GET', path)
    expect(await whole.text()).toBe('0123456789')
    expect(whole.headers.get('docker-content-digest')).toBe(sha('0123456789'))
    const head = await call('HEAD', path)
    expect([head.status, head.headers.get('content-length'), await head.text()]).toEqual([200, '10', ''])
    expect((await call('GET', path, undefined, { 'if-none-match': `"${sha('0123456789')}"` })).status).toBe(
      304,
    )
    expect(await (await call('GET', path.replace(':', '%3A'))).text()).toBe('0123456789')
  })

  it.each([
    ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
    ['bytes=7-', 206, '789', 'bytes 7-9/10'],
    ['bytes=7-99', 206, '789', 'bytes 7-9/10'],
    ['bytes=-3', 206, '789', 'bytes 7-9/10'],
    ['bytes=-99', 206, '0123456789', 'bytes 0-9/10'],
    ['bytes=0-1,3-4', 200, '0123456789', null],
    ['lines=1-2', 200, '0123456789', null],
  ])('answers Range %s with %i', async (range, status, text, contentRange) => {
    const path = `/v2/a/blobs/${await pushBlob('a', '0123456789')}`
    const response = await call('GET', path, undefined, { range })
    expect([response.status, await response.text()]).toEqual([status, text])
    expect(response.headers.get('content-range')).toBe(contentRange)
    expect(response.headers.get('content-length')).toBe(String(text.length))
  })

  it.each(['bytes=10-', 'bytes=-0', 'bytes=4-2'])('refuses Range %s, which holds nothing', async (range) => {
    const path = `/v2/a/blobs/${await pushBlob('a', '0123456789')}`
    const response = await call('GET', path, undefined, { range })
    expect([response.status, response.headers.get('content-range')]).toEqual([416, 'bytes */10'])
  })

  it('stores an empty blob', async () => {
    const response = await call('GET', `/v2/a/blobs/${await pushBlob('a', '')}`)
    expect([response.status, await response.text()]).toEqual([200, ''])
  })

  it.each(['sha256', 'sha384', 'sha512'])('takes a blob in chunks under a %s digest', async (algorithm) => {
    const location = await startUpload('a')
    const first = await call('PATCH', location, 'hello ', { 'content-range': '0-5' })
    expect([first.status, first.headers.get('range')]).toEqual([202, '0-5'])
    const progress = await call('GET', location)
    expect([progress.status, progress.headers.get('range')]).toEqual([204, '0-5'])
    const gap = await call('PATCH', location, 'x', { 'content-range': '7-7' })
    expect([gap.status, gap.headers.get('range'), gap.headers.get('location')]).toEqual([
      416,
      '0-5',
      location,
    ])
    expect(await codeOf(gap)).toBe('RANGE_INVALID')
    const digest = sha('hello world', algorithm)
    const last = await call('PUT', `${location}?digest=${digest}`, 'world', { 'content-range': '6-10' })
    expect([last.status, last.headers.get('location')]).toEqual([201, `/v2/a/blobs/${digest}`])
    expect(await (await call('GET', `/v2/a/blobs/${digest}`)).text()).toBe('hello world')
    expect((await call('GET', location)).status).toBe(404)
  })

  it.each([
    ['0-9', 'the length of the chunk is another'],
    ['bytes 0-4/5', 'the form is that of a response'],
    ['4-0', 'it ends before it starts'],
  ])('refuses Content-Range %s, because %s', async (range) => {
    const location = await startUpload('a')
    const response = await call('PATCH', location, 'hello', { 'content-range': range })
    expect([response.status, await codeOf(response)]).toEqual([400, 'SIZE_INVALID'])
  })

  it('refuses what does not have the digest, and keeps nothing of it', async () => {
    const wrong = sha('other')
    const once = await call('POST', `/v2/a/blobs/uploads/?digest=${wrong}`, 'content')
    expect([once.status, await codeOf(once)]).toEqual([400, 'DIGEST_INVALID'])
    const location = await startUpload('a')
    expect((await call('PUT', `${location}?digest=${sha('x', 'sha512')}`, 'content')).status).toBe(400)
    expect((await call('GET', location)).status).toBe(404)
    expect((await call('PUT', `${await startUpload('a')}`, 'content')).status).toBe(400)
    expect((await call('HEAD', `/v2/a/blobs/${wrong}`)).status).toBe(404)
  })

  it('drops an upload, and knows none by the path of another repository', async () => {
    const location = await startUpload('a')
    expect((await call('PATCH', location.replace('/a/', '/b/'), 'x')).status).toBe(404)
    expect((await call('DELETE', location)).status).toBe(204)
    expect((await call('PATCH', location, 'x')).status).toBe(404)
  })

  it('keeps what arrived of a chunk that broke off', async () => {
    const location = await startUpload('a')
    const chunks = (async function* () {
      yield Buffer.from('hello ')
      throw new Error('connection lost')
    })()
    const init = { method: 'PATCH', body: ReadableStream.from(chunks), duplex: 'half' as const }
    expect((await app.fetch(new Request(`http://registry${location}`, init))).status).toBe(500)
    expect((await call('GET', location)).headers.get('range')).toBe('0-5')
    expect((await call('PUT', `${location}?digest=${sha('hello world')}`, 'world')).status).toBe(201)
  })

  it('gives the place of the upload that was left alone the longest to a new one', async () => {
    const first = await startUpload('a')
    const second = await startUpload('a')
    await call('PATCH', first, 'x')
    for (let i = 2; i <= LIMITS.registryUploads; i++) await startUpload('a')
    expect((await call('GET', first)).status).toBe(204)
    expect((await call('GET', second)).status).toBe(404)
  })

  it('keeps the blobs of repositories apart, and mounts from one to another', async () => {
    const digest = await pushBlob('private/a', 'secret')
    expect((await call('GET', `/v2/b/blobs/${digest}`)).status).toBe(404)
    const none = await call('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=c`)
    expect(none.status).toBe(202)
    const hostile = await call('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=../private/a`)
    expect(hostile.status).toBe(202)
    const mounted = await call('POST', `/v2/b/blobs/uploads/?mount=${digest}&from=private%2Fa`)
    expect([mounted.status, mounted.headers.get('location')]).toEqual([201, `/v2/b/blobs/${digest}`])
    expect((await call('DELETE', `/v2/private/a/blobs/${digest}`)).status).toBe(202)
    expect((await call('GET', `/v2/private/a/blobs/${digest}`)).status).toBe(404)
    expect(await (await call('GET', `/v2/b/blobs/${digest}`)).text()).toBe('secret')
  })

  it('mounts a blob without being told from where, if it knows', async () => {
    const digest = await pushBlob('one', 'content')
    const mount = (name: string, blob: string) => call('POST', `/v2/${name}/blobs/uploads/?mount=${blob}`)
    const mounted = await mount('two', digest)
    expect([mounted.status, mounted.headers.get('location')]).toEqual([201, `/v2/two/blobs/${digest}`])
    expect(await (await call('GET', `/v2/two/blobs/${digest}`)).text()).toBe('content')
    expect((await mount('two', sha('none'))).status).toBe(202)
    for (const name of ['one', 'two']) await call('DELETE', `/v2/${name}/blobs/${digest}`)
    expect((await mount('three', digest)).status).toBe(202)
    expect((await call('GET', `/v2/three/blobs/${digest}`)).status).toBe(404)
  })

  it('stores a manifest by tag, and gives the same bytes by tag and digest', async () => {
    await pushParts('a')
    const content = ` ${image()}\n`
    const digest = sha(content)
    const put = await putManifest('a/manifests/v1', content)
    expect(put.status).toBe(201)
    expect(put.headers.get('docker-content-digest')).toBe(digest)
    expect(put.headers.get('location')).toBe(`/v2/a/manifests/${digest}`)
    for (const reference of ['v1', digest]) {
      const get = await call('GET', `/v2/a/manifests/${reference}`)
      expect([get.status, get.headers.get('content-type'), await get.text()]).toEqual([
        200,
        MANIFEST,
        content,
      ])
      expect(get.headers.get('etag')).toBe(`"${digest}"`)
      const head = await call('HEAD', `/v2/a/manifests/${reference}`)
      expect(head.headers.get('content-length')).toBe(String(content.length))
      const fresh = { 'if-none-match': `W/"${digest}"` }
      expect((await call('GET', `/v2/a/manifests/${reference}`, undefined, fresh)).status).toBe(304)
    }
    expect((await call('GET', `/v2/a/blobs/${digest}`)).status).toBe(404)
    expect((await call('GET', `/v2/b/manifests/${digest}`)).status).toBe(404)
  })

  it('stores a manifest under the digest that was asked for', async () => {
    await pushParts('a')
    const digest = sha(image(), 'sha512')
    expect((await putManifest(`a/manifests/${digest}`, image())).status).toBe(201)
    expect(await (await call('GET', `/v2/a/manifests/${digest}`)).text()).toBe(image())
    const wrong = await putManifest(`a/manifests/${sha('other')}`, image())
    expect([wrong.status, await codeOf(wrong)]).toEqual([400, 'DIGEST_INVALID'])
  })

  it('sets the tags that a push by digest names', async () => {
    await pushParts('a')
    const digest = sha(image(), 'sha512')
    const put = await putManifest(`a/manifests/${digest}?tag=v1&tag=V1.0&tag=v1`, image())
    expect([put.status, put.headers.get('oci-tag')]).toEqual([201, 'v1, V1.0'])
    for (const tag of ['v1', 'V1.0']) {
      const head = await call('HEAD', `/v2/a/manifests/${tag}`)
      expect(head.headers.get('docker-content-digest')).toBe(digest)
    }
    const many = Array.from({ length: LIMITS.registryPushTags + 1 }, (_, i) => `tag=t${i}`).join('&')
    for (const [query, status] of [
      ['tag=v2&tag=-', 400],
      [many, 414],
    ] as const) {
      const refused = await putManifest(`a/manifests/${digest}?${query}`, image())
      expect([refused.status, await codeOf(refused)]).toEqual([status, 'TAG_INVALID'])
    }
    const byTag = await putManifest('a/manifests/v3?tag=v4', image())
    expect([byTag.status, byTag.headers.get('oci-tag')]).toEqual([201, null])
    const { tags } = (await (await call('GET', '/v2/a/tags/list')).json()) as { tags: string[] }
    expect(tags).toEqual(['V1.0', 'v1', 'v3'])
  })

  it('takes Docker types, a type that only the header tells, and a layer that lies elsewhere', async () => {
    await pushParts('a')
    const docker = 'application/vnd.docker.distribution.manifest.v2+json'
    const put = await putManifest('a/manifests/d', image({ mediaType: docker }), { 'content-type': docker })
    expect(put.status).toBe(201)
    const bare = image({ mediaType: undefined })
    expect((await putManifest('a/manifests/bare', bare, { 'content-type': docker })).status).toBe(201)
    expect((await call('GET', '/v2/a/manifests/bare')).headers.get('content-type')).toBe(docker)
    const foreign = descriptor('elsewhere', 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip')
    expect((await putManifest('a/manifests/f', image({ layers: [foreign] }))).status).toBe(201)
  })

  it.each([
    ['no JSON', 'v1', 'no JSON', MANIFEST, 400, 'MANIFEST_INVALID'],
    ['image and index at once', 'v1', image({ manifests: [] }), MANIFEST, 400, 'MANIFEST_INVALID'],
    ['announced as an index', 'v1', image(), INDEX, 400, 'MANIFEST_INVALID'],
    ['of another type', 'v1', image({ mediaType: 'text/plain' }), 'text/plain', 400, 'MANIFEST_INVALID'],
    ['with a key twice', 'v1', image().replace('{', '{"config":{},'), MANIFEST, 400, 'MANIFEST_INVALID'],
    ['without its layer', 'v1', image({ layers: [ABSENT] }), MANIFEST, 404, 'MANIFEST_BLOB_UNKNOWN'],
    ['without its config', 'v1', image({ config: ABSENT }), MANIFEST, 404, 'MANIFEST_BLOB_UNKNOWN'],
    ['with a layer of another size', 'v1', image({ layers: [LONGER] }), MANIFEST, 400, 'MANIFEST_INVALID'],
    ['too large', 'v1', ' '.repeat(LIMITS.manifestBytes + 1), MANIFEST, 413, 'SIZE_INVALID'],
    ['by no tag', '-v1', image(), MANIFEST, 400, 'TAG_INVALID'],
    ['by a tag too long', 'v'.repeat(129), image(), MANIFEST, 400, 'TAG_INVALID'],
    ['by no digest', 'sha256:v1', image(), MANIFEST, 400, 'DIGEST_INVALID'],
  ])('refuses a manifest %s', async (_why, reference, content, type, status, code) => {
    await pushParts('a')
    const response = await putManifest(`a/manifests/${reference}`, content, { 'content-type': type })
    expect([response.status, await codeOf(response)]).toEqual([status, code])
    expect((await call('GET', '/v2/a/manifests/v1')).status).toBe(404)
  })

  it('takes an index when all of its manifests are there', async () => {
    const index = JSON.stringify({
      schemaVersion: 2,
      mediaType: INDEX,
      manifests: [descriptor(image(), MANIFEST)],
    })
    await pushParts('a')
    const early = await putManifest('a/manifests/v1', index, { 'content-type': INDEX })
    expect([early.status, await codeOf(early)]).toEqual([404, 'MANIFEST_BLOB_UNKNOWN'])
    // The bytes as a blob are not the manifest.
    await pushBlob('a', image())
    expect((await putManifest('a/manifests/v1', index, { 'content-type': INDEX })).status).toBe(404)
    await putManifest(`a/manifests/${sha(image())}`, image())
    expect((await putManifest('a/manifests/v1', index, { 'content-type': INDEX })).status).toBe(201)
    const wrong = index.replace(`"size":${image().length}`, '"size":1')
    const refused = await putManifest('a/manifests/v2', wrong, { 'content-type': INDEX })
    expect([refused.status, await codeOf(refused)]).toEqual([400, 'MANIFEST_INVALID'])
  })

  it('moves a tag only on the conditions of the request', async () => {
    await pushParts('a')
    const one = image()
    const two = image({ annotations: { n: '2' } })
    const put = async (content: string, headers: Record<string, string>, reference = 'v1') =>
      (await putManifest(`a/manifests/${reference}`, content, headers)).status
    expect(await put(one, { 'if-match': '*' })).toBe(412)
    expect(await put(one, { 'if-match': `"${sha(one)}"` })).toBe(412)
    expect(await put(one, { 'if-none-match': '*' })).toBe(201)
    expect(await put(two, { 'if-none-match': '*' })).toBe(412)
    expect(await put(two, { 'if-none-match': `"${sha(one)}"` })).toBe(412)
    expect(await put(two, { 'if-match': `"${sha(two)}"` })).toBe(412)
    expect(await put(two, { 'if-match': `W/"${sha(one)}"` })).toBe(412)
    expect((await call('HEAD', '/v2/a/manifests/v1')).headers.get('etag')).toBe(`"${sha(one)}"`)
    expect(await put(two, { 'if-match': `"${sha('x')}", "${sha(one)}"` })).toBe(201)
    expect(await put(one, { 'if-match': '*' })).toBe(201)
    expect(await put(two, { 'if-none-match': '*' }, sha(two))).toBe(412)
    expect(await put(two, { 'if-match': '*' }, sha(two))).toBe(201)
  })

  it('lets exactly one of twenty win that move a tag on the same If-Match', async () => {
    await pushParts('a')
    await putManifest('a/manifests/v1', image())
    const condition = { 'if-match': `"${sha(image())}"` }
    const rivals = Array.from({ length: 20 }, (_, i) => image({ annotations: { n: String(i) } }))
    const statuses = await Promise.all(
      rivals.map(async (rival) => (await putManifest('a/manifests/v1', rival, condition)).status),
    )
    expect(statuses.filter((status) => status === 201)).toHaveLength(1)
    expect(statuses.filter((status) => status === 412)).toHaveLength(19)
    const winner = rivals[statuses.indexOf(201)] ?? ''
    expect(await (await call('GET', '/v2/a/manifests/v1')).text()).toBe(winner)
  })

  it('takes all of twenty that move a tag without a condition', async () => {
    await pushParts('a')
    const rivals = Array.from({ length: 20 }, (_, i) => image({ annotations: { n: String(i) } }))
    const answers = await Promise.all(rivals.map((rival) => putManifest('a/manifests/v1', rival)))
    expect(answers.map(({ status }) => status)).toEqual(rivals.map(() => 201))
    expect(rivals).toContain(await (await call('GET', '/v2/a/manifests/v1')).text())
  })

  it('deletes a tag alone, and a manifest with its tags', async () => {
    await pushParts('a')
    for (const tag of ['v1', 'v2', 'v3']) await putManifest(`a/manifests/${tag}`, image())
    await putManifest('a/manifests/other', image({ annotations: { n: '2' } }))
    expect((await call('DELETE', '/v2/a/manifests/v1')).status).toBe(202)
    expect((await call('GET', `/v2/a/manifests/${sha(image())}`)).status).toBe(200)
    expect((await call('DELETE', `/v2/a/manifests/${sha(image())}`)).status).toBe(202)
    expect(await (await call('GET', '/v2/a/tags/list')).json()).toEqual({ name: 'a', tags: ['other'] })
  })

  it('lists tags in ASCII order, by pages', async () => {
    await pushParts('a/b')
    for (const tag of ['b', 'a', 'B', '_', '1', 'v'.repeat(128)])
      await putManifest(`a/b/manifests/${tag}`, image())
    const list = async (query: string) => {
      const response = await call('GET', `/v2/a/b/tags/list${query}`)
      return [((await response.json()) as { tags: string[] }).tags, response.headers.get('link')]
    }
    expect(await list('')).toEqual([['1', 'B', '_', 'a', 'b', 'v'.repeat(128)], null])
    expect(await list('?n=2')).toEqual([['1', 'B'], '</v2/a/b/tags/list?n=2&last=B>; rel="next"'])
    expect(await list('?n=2&last=a')).toEqual([['b', 'v'.repeat(128)], null])
    expect(await list('?n=0')).toEqual([[], null])
    expect((await call('GET', '/v2/a/b/tags/list?n=-1')).status).toBe(400)
    expect((await call('GET', '/v2/a/tags/list')).status).toBe(404)
  })

  it('lists referrers with their type and annotations, also of a subject that is not there', async () => {
    await pushParts('a')
    const subject = descriptor('subject', MANIFEST)
    const path = `/v2/a/referrers/${sha('subject')}`
    const none = await call('GET', path)
    expect(await none.json()).toEqual({ schemaVersion: 2, mediaType: INDEX, manifests: [] })
    expect(none.headers.get('content-type')).toBe(INDEX)
    const byConfig = image({ subject })
    const typed = image({ subject, artifactType: 'a/typed', annotations: { k: 'v' } })
    const index = JSON.stringify({ schemaVersion: 2, mediaType: INDEX, manifests: [], subject })
    for (const content of [byConfig, typed, index]) {
      const type = content === index ? INDEX : MANIFEST
      const put = await putManifest(`a/manifests/${sha(content)}`, content, { 'content-type': type })
      expect(put.headers.get('oci-subject')).toBe(sha('subject'))
    }
    const expected = [
      { ...descriptor(byConfig, MANIFEST), artifactType: CONFIG },
      { ...descriptor(typed, MANIFEST), artifactType: 'a/typed', annotations: { k: 'v' } },
      descriptor(index, INDEX),
    ]
    const all = (await (await call('GET', path)).json()) as { manifests: object[] }
    expect(all.manifests).toHaveLength(3)
    expect(all.manifests).toEqual(expect.arrayContaining(expected))
    const filtered = await call('GET', `${path}?artifactType=a%2Ftyped`)
    expect(filtered.headers.get('oci-filters-applied')).toBe('artifactType')
    expect(await filtered.json()).toMatchObject({ manifests: [expected[1]] })
    await call('DELETE', `/v2/a/manifests/${sha(typed)}`)
    expect(((await (await call('GET', path)).json()) as { manifests: object[] }).manifests).toHaveLength(2)
  })

  it('answers referrers by pages that a client can read, with a link to the next', async () => {
    await pushParts('a')
    const subject = descriptor('subject', MANIFEST)
    const large = 'x'.repeat(LIMITS.manifestBytes / 2 - 2000)
    const digests: string[] = []
    for (const n of ['1', '2', '3']) {
      const content = image({ subject, annotations: { n, large } })
      digests.push(sha(content))
      await putManifest(`a/manifests/${sha(content)}`, content)
    }
    const seen: string[] = []
    let path: string | undefined = `/v2/a/referrers/${sha('subject')}`
    for (let page = 0; path !== undefined && page < 4; page++) {
      const response: Response = await call('GET', path)
      const text = await response.text()
      expect(text.length).toBeLessThanOrEqual(LIMITS.manifestBytes)
      const { manifests } = JSON.parse(text) as { manifests: { digest: string }[] }
      seen.push(...manifests.map(({ digest }) => digest))
      path = /^<(.+)>; rel="next"$/.exec(response.headers.get('link') ?? '')?.[1]
    }
    expect(seen).toEqual(digests.sort())
  })
})

describe('registry with a door', () => {
  it.each([
    ['GET', '/v2/'],
    ['GET', '/v2'],
    ['GET', '/v2/a/tags/list'],
    ['GET', `/v2/a/blobs/${sha('none')}`],
    ['HEAD', '/v2/a/manifests/v1'],
    ['PUT', '/v2/a/manifests/v1'],
    ['POST', '/v2/a/blobs/uploads/'],
    ['GET', '/other'],
  ])('asks on %s %s for credentials', async (method, path) => {
    const app = createRegistry({ storage: memoryStorage(), authenticate: async (it) => it === 'right' })
    const ask = (authorization: string) =>
      app.fetch(new Request(`http://registry${path}`, { method, headers: { authorization } }))
    const refused = await ask('wrong')
    expect(refused.status).toBe(401)
    expect(refused.headers.get('www-authenticate')).toBe('Basic realm="cosignet"')
    expect(refused.headers.get('docker-distribution-api-version')).toBe('registry/2.0')
    expect((await ask('right')).status).not.toBe(401)
  })

  it('says so when too many wait at it', async () => {
    const authenticate = async () => {
      throw new CosignetError('UNAVAILABLE', 'Too many.')
    }
    const app = createRegistry({ storage: memoryStorage(), authenticate })
    const response = await app.fetch(new Request('http://registry/v2/'))
    expect(response.status).toBe(429)
    expect(await response.json()).toEqual({ errors: [{ code: 'TOOMANYREQUESTS', message: 'Too many.' }] })
  })
})

describe('registry that only reads', () => {
  it.each([
    ['PUT', 'manifests/v1', 'GET, HEAD'],
    ['DELETE', 'manifests/v1', 'GET, HEAD'],
    ['DELETE', `blobs/${sha('layer')}`, 'GET, HEAD'],
    ['POST', 'blobs/uploads/', ''],
    ['POST', `blobs/uploads/?mount=${sha('layer')}&from=a`, ''],
    ['PATCH', 'blobs/uploads/00000000-0000-0000-0000-000000000000', 'GET'],
    ['PUT', 'blobs/uploads/00000000-0000-0000-0000-000000000000', 'GET'],
  ])('refuses %s %s', async (method, path, allow) => {
    const app = createRegistry({ storage: memoryStorage(), readOnly: true })
    const response = await app.fetch(new Request(`http://registry/v2/a/${path}`, { method }))
    expect([response.status, response.headers.get('allow')]).toEqual([405, allow])
    expect(await response.json()).toEqual({
      errors: [{ code: 'UNSUPPORTED', message: 'The registry is read-only.' }],
    })
  })

  it('gives what was put before', async () => {
    const storage = memoryStorage()
    const writer = createRegistry({ storage })
    const upload = `http://registry/v2/a/blobs/uploads/?digest=${sha('layer')}`
    await writer.fetch(new Request(upload, { method: 'POST', body: 'layer' }))
    const reader = createRegistry({ storage, readOnly: true })
    const got = await reader.fetch(new Request(`http://registry/v2/a/blobs/${sha('layer')}`))
    expect(await got.text()).toBe('layer')
  })
})

describe('registry over the wire', () => {
  it('keeps what arrived of a push that broke off, and answers before it has read all', async () => {
    const server = await serve(createRegistry({ storage: memoryStorage() }), { port: 0 })
    const speak = async (text: string, until: RegExp): Promise<string> => {
      const socket = connect(server.port, '127.0.0.1')
      let got = ''
      socket.write(text)
      for await (const chunk of socket) {
        got += String(chunk)
        if (until.test(got)) break
      }
      return got
    }
    try {
      const upload = await speak('POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\n\r\n', /\r\n\r\n/)
      const location = /location: (\S+)/.exec(upload)?.[1] ?? ''
      const socket = connect(server.port, '127.0.0.1')
      socket.write(`PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 99\r\n\r\nhello `)
      await new Promise((resolve) => setTimeout(resolve, 50))
      socket.destroy()
      let range: string | null = null
      for (let i = 0; i < 100 && range !== '0-5'; i++) {
        range = (await fetch(new URL(location, server.url))).headers.get('range')
      }
      expect(range).toBe('0-5')
      const put = await fetch(new URL(`${location}?digest=${sha('hello world')}`, server.url), {
        method: 'PUT',
        body: 'world',
      })
      expect(put.status).toBe(201)
      const large = `PUT /v2/a/manifests/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n`
      expect(await speak(large, /SIZE_INVALID/)).toMatch(/^HTTP\/1.1 413 /)
    } finally {
      await server.close()
    }
  })
})

describe('registry behind TLS', () => {
  it('takes and gives a blob and a manifest over the wire', async () => {
    const tls = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
    const server = await serve(createRegistry({ storage: memoryStorage() }), { port: 0, tls })
    const { request } = await import('node:https')
    const exchange = (method: string, path: string, body = '', headers = {}): Promise<[number, string]> =>
      new Promise((resolve, reject) => {
        const sent = request(
          new URL(path, server.url),
          { method, headers, ca: tls.ca, agent: false },
          (got) => {
            collectBytes(got, LIMITS.blobBytes, 'The body').then(
              (bytes) => resolve([got.statusCode ?? 0, Buffer.from(bytes).toString()]),
              reject,
            )
          },
        )
        sent.on('error', reject).end(body)
      })
    try {
      const layer = `/v2/a/blobs/uploads/?digest=${sha('layer')}`
      expect(await exchange('POST', layer, 'layer')).toEqual([201, ''])
      expect(await exchange('POST', `/v2/a/blobs/uploads/?digest=${sha('{}')}`, '{}')).toEqual([201, ''])
      expect(await exchange('GET', `/v2/a/blobs/${sha('layer')}`)).toEqual([200, 'layer'])
      const put = await exchange('PUT', '/v2/a/manifests/v1', image(), { 'content-type': MANIFEST })
      expect(put).toEqual([201, ''])
      expect(await exchange('GET', '/v2/a/manifests/v1')).toEqual([200, image()])
      expect(await exchange('HEAD', '/v2/a/manifests/v1')).toEqual([200, ''])
    } finally {
      await server.close()
    }
  })
})
