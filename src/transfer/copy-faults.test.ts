import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  cutAnswer,
  cutRequest,
  endless,
  type Fault,
  type FaultyRegistry,
  flipByte,
  html,
  loseAnswer,
  resize,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { CosignetError, collectBytes, encodeUtf8, isCosignetError } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import {
  type Descriptor,
  digestOf,
  type Manifest,
  MEDIA_TYPES,
  parseManifest,
  RegistryClient,
} from '../oci/index.ts'
import { type CopiedImage, copyImage, type RefusedImage } from './copy-image.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const LAYERS = ['one', 'two'].map((text) => Buffer.alloc(200_000, text))

/** Everything that a registry, or who stands in front of it, can do to an answer. */
const FAULTS: Readonly<Record<string, Fault>> = {
  '429 with Retry-After': answer(429, { 'retry-after': '1' }),
  '503 with Retry-After': answer(503, { 'retry-after': 'Sun, 06 Nov 1994 08:49:37 GMT' }),
  '500': answer(500),
  '401 over and over': answer(401, { 'www-authenticate': 'Bearer realm="https://127.0.0.1:1/token"' }),
  '401 for Basic': answer(401, { 'www-authenticate': 'Basic realm="x"' }),
  '403': answer(403),
  'HTML with 200': html(),
  'a cut connection': cutAnswer(0),
  'a cut after 50 bytes': cutAnswer(50),
  'a request cut in the middle': cutRequest(50),
  'an answer that is lost': loseAnswer(),
  'a byte that is turned': flipByte(40),
  'bytes too few, as announced': resize(-7, true),
  'bytes too few, not as announced': resize(-7, false),
  'bytes too many, as announced': resize(7, true),
  'a body without end': endless(),
  'no content type': change({ headers: { 'content-type': undefined } }),
  'a wrong digest in the header': change({
    headers: { 'docker-content-digest': `sha256:${'00'.repeat(32)}` },
  }),
  'a digest that is none': change({ headers: { 'docker-content-digest': 'sha256:../../../etc/passwd' } }),
  'a place elsewhere': change({ headers: { location: 'http://127.0.0.1:1/latest' } }),
  'a redirect elsewhere': answer(307, { location: 'http://127.0.0.1:1/latest' }),
}

/** What they are done to. */
const PLACES: readonly {
  readonly side: 'source' | 'destination'
  readonly method: string
  readonly path: RegExp
}[] = [
  { side: 'source', method: 'GET', path: /\/manifests\/v1$/ },
  { side: 'source', method: 'GET', path: /\/manifests\/sha256:/ },
  { side: 'source', method: 'GET', path: /\/manifests\/sha256-.*\.sig$/ },
  { side: 'source', method: 'GET', path: /\/referrers\// },
  { side: 'source', method: 'GET', path: /\/blobs\/sha256:/ },
  { side: 'destination', method: 'HEAD', path: /\/blobs\/sha256:/ },
  { side: 'destination', method: 'POST', path: /\/blobs\/uploads\// },
  { side: 'destination', method: 'PUT', path: /\/blobs\/uploads\// },
  { side: 'destination', method: 'PUT', path: /\/manifests\/sha256:/ },
  { side: 'destination', method: 'PUT', path: /\/manifests\/v1$/ },
  { side: 'destination', method: 'GET', path: /\/manifests\/sha256-.*\.sig$/ },
]

describe.each(PLACES)('a copy whose $method $path at the $side fails', (place) => {
  it.each([
    { times: 'once', calls: [1] },
    { times: 'always', calls: undefined },
  ])('$times, ends in an error or in the right image', { timeout: 30_000 }, async ({ calls }) => {
    const names = Object.keys(FAULTS)
    const complaints = await Promise.all(names.map((name) => judge(name, place, calls)))
    expect(complaints.filter((complaint) => complaint !== undefined)).toEqual([])
  })
})

/** What is wrong with the end of a copy; undefined if nothing is. */
async function judge(
  name: string,
  { side, method, path }: (typeof PLACES)[number],
  calls: readonly number[] | undefined,
): Promise<string | undefined> {
  const bench = await setUp()
  bench[side].on({ method, path, fault: FAULTS[name] ?? html(), ...(calls === undefined ? {} : { calls }) })
  const outcome = await bench.copy().catch((error: unknown) => error)
  const tag = await bench.written('v1')
  if (outcome instanceof Error) {
    if (!isCosignetError(outcome) || isCosignetError(outcome, 'INTERNAL')) return `${name}: ${outcome.stack}`
    // The last answer of all may get lost when the tag has moved already: then everything is there.
    if (tag?.digest === bench.former.digest) return undefined
  }
  if (tag?.digest !== bench.image.digest) return `${name}: the tag stands for ${tag?.digest}`
  await bench.expectWhole()
  return undefined
}

describe('a copy between registries', () => {
  it('is whole where nothing goes wrong', async () => {
    const bench = await setUp()
    expect(await bench.copy()).toMatchObject({ outcome: 'copied', digest: bench.image.digest })
    await bench.expectWhole()
  })

  it('sends only the blob again whose upload was cut', async () => {
    const bench = await setUp()
    bench.destination.on({ method: 'PUT', path: /\/blobs\/uploads\//, calls: [2], fault: cutRequest(1000) })
    await bench.copy()
    await bench.expectWhole()
    const uploads = bench.destination.seen.filter(({ path }) => path.includes('digest='))
    // Of the five blobs of image and signature one is there already; one of the others was sent twice.
    expect(uploads).toHaveLength(5)
  })

  it('goes on with a download where it was cut', async () => {
    const bench = await setUp()
    bench.source.on({ method: 'GET', path: /\/blobs\//, calls: [1], fault: cutAnswer(150_000) })
    await bench.copy()
    await bench.expectWhole()
    const ranges = bench.source.seen.flatMap(({ headers }) => headers.range ?? [])
    expect(ranges).toHaveLength(1)
    expect(ranges[0]).toMatch(/^bytes=[1-9][0-9]*-$/)
  })

  it('gives no other host what it sends to the registry (CVE-2020-15157)', async () => {
    const bench = await setUp()
    const elsewhere = await startFaultyRegistry()
    cleanups.push(() => elsewhere.close())
    const location = `http://${elsewhere.host}/v2/a/b/manifests/v1`
    bench.source.on({ path: /\/manifests\/v1$/, fault: answer(307, { location }) })
    await bench.copy().catch(() => undefined)
    expect(elsewhere.seen.flatMap(({ headers }) => headers.authorization ?? [])).toEqual([])
  })
})

interface Bench {
  readonly source: FaultyRegistry
  readonly destination: FaultyRegistry
  readonly image: Manifest
  /** What the tag at the destination stood for before. */
  readonly former: Manifest
  copy(): Promise<CopiedImage | RefusedImage>
  /** What is at a tag of the destination, seen without the proxy. */
  written(tag: string): Promise<Manifest | undefined>
  /** All blobs and the signature are there, with their digests. */
  expectWhole(): Promise<void>
}

async function setUp(): Promise<Bench> {
  const [source, destination] = await Promise.all([startFaultyRegistry(), startFaultyRegistry()])
  const http = new HttpClient({ patience: { connectMs: 500, idleMs: 500 } })
  cleanups.push(() => source.close())
  cleanups.push(() => destination.close())
  cleanups.push(() => http.close())
  const client = (registry: string, repository: string): RegistryClient =>
    new RegistryClient({ registry, repository, http, scheme: 'http', sleep: async () => undefined })
  const [from, to] = [client(source.upstream, 'a/b'), client(destination.upstream, 'c/d')]
  const image = await pushImage(from, LAYERS)
  const signature = await pushImage(from, [Buffer.from('signature')], `${image.digest.replace(':', '-')}.sig`)
  const former = await pushImage(to, [Buffer.from('former')])
  const written = async (tag: string): Promise<Manifest | undefined> => {
    try {
      return await to.getManifest(tag)
    } catch (error) {
      if (isCosignetError(error, 'NOT_FOUND')) return undefined
      throw error
    }
  }
  return {
    source,
    destination,
    image,
    former,
    written,
    copy: () =>
      copyImage({
        source: client(source.host, 'a/b'),
        from: 'v1',
        openTarget: async () => {
          const store = client(destination.host, 'c/d')
          const nothing = async (): Promise<void> => undefined
          return { destination: store, readable: store, tag: 'v1', commit: nothing, abort: nothing }
        },
        select: 'all',
        attached: true,
        preserveDigests: true,
        temporaryFolder: '/nonexistent',
      }),
    expectWhole: async () => {
      for (const [manifest, tag] of [
        [image, 'v1'],
        [signature, `${image.digest.replace(':', '-')}.sig`],
      ] as const) {
        expect((await to.getManifest(tag)).bytes).toEqual(manifest.bytes)
        if (manifest.content.kind === 'index') throw new CosignetError('INTERNAL', 'The test made no index.')
        for (const blob of [manifest.content.config, ...manifest.content.layers]) {
          const bytes = await collectBytes(to.getBlob(blob), blob.size, 'The blob')
          expect(digestOf(bytes)).toBe(blob.digest)
        }
      }
    },
  }
}

async function pushImage(
  store: RegistryClient,
  layers: readonly Uint8Array[],
  tag = 'v1',
): Promise<Manifest> {
  const put = async (bytes: Uint8Array, mediaType: string): Promise<Descriptor> => {
    const descriptor = { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
    await store.putBlob(descriptor, bytes)
    return descriptor
  }
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: await put(
      encodeUtf8(`{"architecture":"amd64","layers":${layers.length}}`),
      MEDIA_TYPES.ociConfig,
    ),
    layers: await Promise.all(layers.map((layer) => put(layer, MEDIA_TYPES.ociLayerGzip))),
  }
  const manifest = parseManifest(encodeUtf8(JSON.stringify(document)), document.mediaType, 'The manifest')
  await store.putManifest(manifest, { tag })
  return manifest
}
