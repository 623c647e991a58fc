import { describe, expect, it } from 'vitest'
import { BUNDLED_DIGEST, SIGNED_BUNDLE, SIGNED_BUNDLE_MANIFEST } from '../../test/fixtures/cosign-bundles.ts'
import { MemoryImageStore, type MemoryStoreFaults } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError, type ErrorCode, encodeUtf8, LIMITS } from '../core/index.ts'
import { type Descriptor, type Digest, digestOf, MEDIA_TYPES } from '../oci/index.ts'
import { parseBundle, readBundles } from './index.ts'

const TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'
const CONFIG = { mediaType: MEDIA_TYPES.ociEmpty, size: 2, digest: digestOf(encodeUtf8('{}')) }

/** Stores a manifest, whatever it says, and refers with it to the image. */
function refer(
  store: MemoryImageStore,
  manifest: string,
  entry: Partial<Descriptor> = { artifactType: TYPE },
): Digest {
  const bytes = encodeUtf8(manifest)
  const digest = digestOf(bytes)
  const mediaType = MEDIA_TYPES.ociManifest
  store.manifests.set(digest, { bytes, digest, mediaType })
  const before = store.referrers.get(BUNDLED_DIGEST) ?? []
  store.referrers.set(BUNDLED_DIGEST, [...before, { mediaType, digest, size: bytes.byteLength, ...entry }])
  return digest
}

function manifestOf(layers: readonly object[], more: object = {}): string {
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: CONFIG,
    layers,
    ...more,
  })
}

/** Stores a blob; the layer that names it. */
function layerOf(store: MemoryImageStore, content: string, mediaType = TYPE): Descriptor {
  const bytes = encodeUtf8(content)
  const digest = digestOf(bytes)
  store.blobs.set(digest, bytes)
  return { mediaType, digest, size: bytes.byteLength }
}

function storeOf(faults?: MemoryStoreFaults): MemoryImageStore {
  const store = new MemoryImageStore(faults)
  layerOf(store, SIGNED_BUNDLE)
  return store
}

/** What becomes of each referrer: the bundle, or the sentence that says why it is none. */
async function read(store: MemoryImageStore): Promise<readonly string[]> {
  const found = await readBundles(store, BUNDLED_DIGEST)
  return found.map((one) => ('failure' in one ? one.message : 'bundle'))
}

describe('readBundles', () => {
  it('reads what cosign stored', async () => {
    const store = storeOf()
    const referrer = refer(store, SIGNED_BUNDLE_MANIFEST)
    const [found] = await readBundles(store, BUNDLED_DIGEST)
    expect(found).toMatchObject({ referrer, bundle: parseBundle(encodeUtf8(SIGNED_BUNDLE)) })
    expect(found).toHaveProperty('bytes', Buffer.from(SIGNED_BUNDLE))
  })

  it('finds none where there is none', async () => {
    expect(await readBundles(storeOf(), BUNDLED_DIGEST)).toEqual([])
  })

  it('looks into referrers that do not say what they are, as in the lists that cosign keeps', async () => {
    const store = storeOf()
    refer(store, SIGNED_BUNDLE_MANIFEST, { artifactType: MEDIA_TYPES.ociEmpty })
    refer(store, manifestOf([layerOf(store, '{}', 'application/json')]), {})
    refer(store, manifestOf([layerOf(store, 'SBOM', 'text/plain')]), {
      artifactType: 'application/spdx+json',
    })
    expect(await read(store)).toEqual(['bundle'])
    expect(store.calls.filter((call) => call.startsWith('getManifest'))).toHaveLength(2)
  })

  it('reads each once that is listed twice', async () => {
    const store = storeOf()
    refer(store, SIGNED_BUNDLE_MANIFEST)
    refer(store, SIGNED_BUNDLE_MANIFEST)
    expect(await read(store)).toEqual(['bundle'])
  })

  it('does not look at the annotations of the manifest, which nobody signed', async () => {
    const store = storeOf()
    refer(store, SIGNED_BUNDLE_MANIFEST.replace('cosign/sign/v1', 'cosign/other/v1'))
    refer(store, SIGNED_BUNDLE_MANIFEST.replace('dsse-envelope', 'message-signature'))
    refer(store, manifestOf([layerOf(store, SIGNED_BUNDLE)]))
    expect(await read(store)).toEqual(['bundle', 'bundle', 'bundle'])
  })

  const BAD: readonly (readonly [string, RegExp, (store: MemoryImageStore) => string])[] = [
    ['is no JSON', /is not JSON/, () => '{'],
    [
      'calls itself an index',
      /it was announced as/,
      () => JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }),
    ],
    ['has no layer', /does not hold one sigstore bundle/, () => manifestOf([])],
    [
      'has two layers',
      /does not hold one sigstore bundle/,
      (store) => manifestOf([layerOf(store, SIGNED_BUNDLE), layerOf(store, '{}')]),
    ],
    [
      'has a layer of another type',
      /does not hold one sigstore bundle/,
      (store) => manifestOf([layerOf(store, SIGNED_BUNDLE, 'text/plain')]),
    ],
    [
      'has a digest that leads out of the store',
      /is not a digest/,
      (store) => manifestOf([{ ...layerOf(store, '{}'), digest: 'sha256:../../x' }]),
    ],
    [
      'lacks its blob',
      /There is no blob/,
      () => manifestOf([{ mediaType: TYPE, size: 2, digest: digestOf(encodeUtf8('gone')) }]),
    ],
    [
      'is longer than it says',
      /is larger than the limit of 2 bytes/,
      (store) => manifestOf([{ ...layerOf(store, SIGNED_BUNDLE), size: 2 }]),
    ],
    [
      'is too large',
      /is larger than the limit of 1048576 bytes/,
      (store) => manifestOf([{ ...layerOf(store, '{}'), size: LIMITS.payloadBytes + 1 }]),
    ],
    [
      'holds no bundle',
      /The sigstore bundle is not valid: it is not JSON/,
      (store) => manifestOf([layerOf(store, 'x')]),
    ],
    [
      'holds an older bundle',
      /is of version 0\.1/,
      (store) => manifestOf([layerOf(store, SIGNED_BUNDLE.replace('.v0.3+json', '+json;version=0.1'))]),
    ],
  ]

  it.each(BAD)('tells of one that %s, and it hides none', async (_, message, bad) => {
    const store = storeOf()
    refer(store, bad(store))
    refer(store, SIGNED_BUNDLE_MANIFEST)
    expect(await read(store)).toEqual([expect.stringMatching(message), 'bundle'])
  })

  it('tells of one whose manifest is gone, unless it never said that it is a bundle', async () => {
    const store = storeOf()
    const told = refer(store, manifestOf([layerOf(store, 'a')]))
    const untold = refer(store, manifestOf([layerOf(store, 'b')]), {})
    store.manifests.delete(told)
    store.manifests.delete(untold)
    refer(store, SIGNED_BUNDLE_MANIFEST)
    expect(await read(store)).toEqual([`There is no manifest ${told}.`, 'bundle'])
  })

  it.each(['UNAVAILABLE', 'TIMEOUT', 'UNAUTHORIZED', 'FORBIDDEN', 'ABORTED', 'BAD_RESPONSE'] as const)(
    'throws %s: what cannot be had is never no bundle',
    async (code: ErrorCode) => {
      const fail = () => {
        throw new CosignetError(code, 'It fails.')
      }
      for (const faults of [{ beforeGetManifest: fail }, { beforeGetBlob: fail }]) {
        const store = storeOf(faults)
        refer(store, SIGNED_BUNDLE_MANIFEST)
        await expect(readBundles(store, BUNDLED_DIGEST)).rejects.toMatchObject({ code })
      }
    },
  )

  it('refuses more than it reads together, before it fetches one', async () => {
    const store = storeOf()
    for (let i = 0; i < 17; i += 1) {
      refer(store, manifestOf([{ ...layerOf(store, `${i}`), size: LIMITS.payloadBytes }]))
    }
    await expect(readBundles(store, BUNDLED_DIGEST)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: `The sigstore bundles of ${BUNDLED_DIGEST} in ${store.name} together exceed the limit of 16777216 bytes.`,
    })
    expect(store.calls.filter((call) => call.startsWith('getBlob'))).toEqual([])
  })

  it('reads a few at a time, in the order of the list', async () => {
    let running = 0
    let most = 0
    const store = storeOf({
      beforeGetBlob: async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise((resolve) => setImmediate(resolve))
        running -= 1
      },
    })
    const order = Array.from({ length: 20 }, (_, i) =>
      refer(store, manifestOf([layerOf(store, `${SIGNED_BUNDLE}${' '.repeat(i)}`)])),
    )
    const found = await readBundles(store, BUNDLED_DIGEST)
    expect(found.map(({ referrer }) => referrer)).toEqual(order)
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(6)
  })

  it('stops when it is told to', async () => {
    const store = storeOf()
    refer(store, SIGNED_BUNDLE_MANIFEST)
    const reading = readBundles(store, BUNDLED_DIGEST, AbortSignal.abort())
    await expect(reading).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
