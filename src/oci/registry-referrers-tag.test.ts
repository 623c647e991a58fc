import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  type Fault,
  type FaultyRegistry,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { type Digest, digestOf } from './digest.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { RegistryClient } from './registry-client.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const EMPTY = encodeUtf8('{}')
const SUBJECT = digestOf(encodeUtf8('subject'))
const TAG = SUBJECT.replace(':', '-')
const TAG_PATH = new RegExp(`/manifests/${TAG}$`)

/** A registry without the referrers API: no endpoint, and no word of it when a manifest is put. */
async function bench(heedsIfMatch = true): Promise<{ proxy: FaultyRegistry; open: () => RegistryClient }> {
  const proxy = await startFaultyRegistry()
  cleanups.push(() => proxy.close())
  const open = (): RegistryClient => {
    const http = new HttpClient()
    cleanups.push(() => http.close())
    return new RegistryClient({ registry: proxy.host, repository: 'a/b', http, sleep: async () => undefined })
  }
  const silent: Fault = async (exchange) => {
    if (!heedsIfMatch) {
      delete exchange.request.headers['if-match']
      delete exchange.request.headers['if-none-match']
    }
    await change({ headers: { 'oci-subject': undefined } })(exchange)
  }
  proxy.on({ path: /\/referrers\//, fault: answer(404) })
  await open().putBlob({ digest: digestOf(EMPTY), size: 2 }, EMPTY)
  let isRuled = false
  return {
    proxy,
    // The rule comes after those of a test, which are added before the first client is opened.
    open: () => {
      if (!isRuled) proxy.on({ method: 'PUT', path: /\/manifests\//, fault: silent })
      isRuled = true
      return open()
    },
  }
}

function referrer(name: string, more: object = {}): Manifest {
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    artifactType: 'application/test',
    config: { mediaType: MEDIA_TYPES.ociEmpty, digest: digestOf(EMPTY), size: 2 },
    layers: [],
    subject: { mediaType: MEDIA_TYPES.ociManifest, digest: SUBJECT, size: 7 },
    annotations: { name },
    ...more,
  }
  return parseManifest(encodeUtf8(JSON.stringify(document)), MEDIA_TYPES.ociManifest, 'It')
}

async function listed(client: RegistryClient): Promise<Digest[]> {
  return (await client.listReferrers(SUBJECT)).map(({ digest }) => digest)
}

describe('a registry without the referrers API', () => {
  it('gets the list under the tag, with type and annotations, each entry once', async () => {
    const { open, proxy } = await bench()
    const client = open()
    const [a, b] = [referrer('a'), referrer('b', { artifactType: undefined })]
    await client.putManifest(a)
    await client.putManifest(b)
    await client.putManifest(a)
    expect(await client.listReferrers(SUBJECT)).toEqual([
      {
        mediaType: MEDIA_TYPES.ociManifest,
        digest: a.digest,
        size: a.bytes.byteLength,
        artifactType: 'application/test',
        annotations: { name: 'a' },
      },
      {
        mediaType: MEDIA_TYPES.ociManifest,
        digest: b.digest,
        size: b.bytes.byteLength,
        artifactType: MEDIA_TYPES.ociEmpty,
        annotations: { name: 'b' },
      },
    ])
    expect(proxy.seen.filter(({ method, path }) => method === 'PUT' && TAG_PATH.test(path))).toHaveLength(2)
  })

  it('gets no list where it says that it keeps one itself', async () => {
    const { proxy, open } = await bench()
    proxy.on({ method: 'PUT', path: /\/manifests\//, fault: change({}) })
    const client = open()
    await client.putManifest(referrer('a'))
    expect(proxy.seen.some(({ path }) => TAG_PATH.test(path))).toBe(false)
  })

  it('keeps all entries of one client that puts many at once', async () => {
    const { open } = await bench(false)
    const client = open()
    const all = Array.from({ length: 8 }, (_, i) => referrer(String(i)))
    await Promise.all(all.map((manifest) => client.putManifest(manifest)))
    expect((await listed(client)).sort()).toEqual(all.map(({ digest }) => digest).sort())
  })

  it('keeps all entries of many clients that put at once, where it heeds If-Match', async () => {
    const { open } = await bench()
    const all = Array.from({ length: 4 }, (_, i) => referrer(String(i)))
    await Promise.all(all.map((manifest) => open().putManifest(manifest)))
    expect((await listed(open())).sort()).toEqual(all.map(({ digest }) => digest).sort())
  })

  it('enters again what a writer that won has lost, where it heeds no If-Match', async () => {
    const { proxy, open } = await bench(false)
    const [mine, theirs] = [referrer('mine'), referrer('theirs')]
    // After ours was written, another client that had read the list before writes its own.
    proxy.on({
      method: 'PUT',
      path: TAG_PATH,
      calls: [1],
      fault: async (exchange) => {
        await change({})(exchange)
        await put(proxy.upstream, TAG, index([entryOf(theirs)]))
      },
    })
    const client = open()
    await put(proxy.upstream, theirs.digest, theirs.bytes, MEDIA_TYPES.ociManifest)
    await client.putManifest(mine)
    expect(await listed(client)).toEqual([theirs.digest, mine.digest])
  })

  it('keeps what others wrote as they wrote it', async () => {
    const { proxy, open } = await bench()
    const theirs = referrer('theirs')
    await put(proxy.upstream, theirs.digest, theirs.bytes, MEDIA_TYPES.ociManifest)
    const entry = {
      ...entryOf(theirs),
      platform: { os: 'linux', architecture: 'x', 'os.version': '1' },
      data: 'e30=',
    }
    const document = { ...JSON.parse(Buffer.from(index([entry])).toString()), annotations: { kept: 'yes' } }
    await put(proxy.upstream, TAG, encodeUtf8(JSON.stringify(document)))
    const client = open()
    await client.putManifest(referrer('mine'))
    const after = JSON.parse(Buffer.from((await client.getManifest(TAG)).bytes).toString())
    expect(after.manifests[0]).toEqual(entry)
    expect(after.manifests).toHaveLength(2)
    expect(after.annotations).toEqual({ kept: 'yes' })
  })

  it('keeps what is no list under the tag, and says so', async () => {
    const { proxy, open } = await bench()
    const image = referrer('image', { subject: undefined })
    await put(proxy.upstream, TAG, image.bytes, MEDIA_TYPES.ociManifest)
    const client = open()
    await expect(client.putManifest(referrer('mine'))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('no list of referrers'),
    })
    expect((await client.getManifest(TAG)).digest).toBe(image.digest)
  })

  it('that never keeps what is written is an error', async () => {
    const { proxy, open } = await bench()
    proxy.on({ method: 'PUT', path: TAG_PATH, fault: answer(201) })
    await expect(open().putManifest(referrer('mine'))).rejects.toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining('was changed by others 10 times'),
    })
  })

  it('that fails while the list is read or written is an error, and the list is whole', async () => {
    const { proxy, open } = await bench()
    proxy.on({ method: 'PUT', path: TAG_PATH, calls: [2], fault: answer(403) })
    const client = open()
    const [a, b] = [referrer('a'), referrer('b')]
    await client.putManifest(a)
    await expect(client.putManifest(b)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(await listed(client)).toEqual([a.digest])
    await client.putManifest(b)
    expect(await listed(client)).toEqual([a.digest, b.digest])
  })

  it('takes what is deleted off the list', async () => {
    const { open } = await bench()
    const client = open()
    const [a, b] = [referrer('a'), referrer('b')]
    await client.putManifest(a)
    await client.putManifest(b)
    await client.deleteManifest(a.digest)
    expect(await listed(client)).toEqual([b.digest])
    await client.deleteManifest(b.digest)
    expect(await listed(client)).toEqual([])
    await expect(client.deleteManifest(b.digest)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })
})

describe('whether a registry has the referrers API', () => {
  it.each([
    // What distribution 2.8 answers, which routes no such path.
    ['is asked once where the path is unknown', 'text/plain; charset=utf-8', '404 page not found\n', 1],
    [
      'is asked again where a repository is unknown',
      'application/json',
      '{"errors":[{"code":"NAME_UNKNOWN"}]}',
      2,
    ],
  ])('%s', async (_, type, body, asked) => {
    const proxy = await startFaultyRegistry()
    cleanups.push(() => proxy.close())
    proxy.on({ path: /\/referrers\//, fault: answer(404, { 'content-type': type }, body) })
    const http = new HttpClient()
    cleanups.push(() => http.close())
    for (const repository of ['a/b', 'c/d']) {
      const client = new RegistryClient({ registry: proxy.host, repository, http })
      expect(await client.listReferrers(SUBJECT)).toEqual([])
    }
    const paths = proxy.seen.map(({ path }) => path)
    expect(paths.filter((path) => path.includes('/referrers/'))).toHaveLength(asked)
    expect(paths.filter((path) => TAG_PATH.test(path))).toHaveLength(2)
  })
})

function entryOf({ mediaType, digest, bytes }: Manifest): object {
  return { mediaType, digest, size: bytes.byteLength }
}

function index(manifests: readonly object[]): Uint8Array {
  return encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }))
}

/** Another client, past the proxy. */
async function put(
  upstream: string,
  reference: string,
  bytes: Uint8Array,
  type: string = MEDIA_TYPES.ociIndex,
): Promise<void> {
  const url = `http://${upstream}/v2/a/b/manifests/${reference}`
  const answered = await fetch(url, {
    method: 'PUT',
    headers: { 'content-type': type },
    body: Buffer.from(bytes),
  })
  expect(answered.status).toBe(201)
}
