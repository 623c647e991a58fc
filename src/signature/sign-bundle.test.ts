import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BundleRegistry, startBundleRegistry } from '../../test/fixtures/bundle-registry.ts'
import { makeKey } from '../../test/fixtures/judged-image.ts'
import { startRekorServer } from '../../test/fixtures/rekor-server.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import type { SigningKey } from '../keys/index.ts'
import { digestOf } from '../oci/index.ts'
import {
  openRekor,
  parseRekorKeys,
  readBundles,
  type SignBundleOptions,
  signBundle,
  type TransparencyLog,
  verifyBundle,
} from './index.ts'

const NOW = new Date('2026-11-23T01:02:03.456Z')

describe.each([
  ['with the referrers API', true],
  ['without the referrers API', false],
])('signBundle, in a registry %s', (_, referrersApi) => {
  let registry: BundleRegistry
  beforeAll(async () => {
    registry = await startBundleRegistry(referrersApi)
  })
  afterAll(() => registry.close())

  const sign = (key: SigningKey | Promise<SigningKey>, more: Partial<SignBundleOptions> = {}) =>
    signBundle({ store: registry.store, digest: registry.digest, key, now: () => NOW, ...more })

  it('stores a bundle that refers to the image, as cosign does', async () => {
    const key = makeKey()
    const { referrer, alreadySigned, bundle } = await sign(Promise.resolve(key), { annotations: { a: '1' } })
    expect(alreadySigned).toBe(false)
    const text = (await registry.referrers()).at(-1) ?? ''
    expect(digestOf(encodeUtf8(text))).toBe(referrer)
    const manifest = JSON.parse(text)
    expect(manifest.layers).toMatchObject([{ digest: digestOf(bundle), size: bundle.byteLength }])
    expect(manifest.subject).toEqual({
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      size: expect.any(Number),
      digest: registry.digest,
    })
    expect(manifest.annotations['org.opencontainers.image.created']).toBe('2026-11-23T01:02:03Z')
    // The empty configuration must be there, too: a registry may refuse the manifest otherwise.
    const { digest, size } = manifest.config
    expect(await registry.store.getBlob({ digest, size })[Symbol.asyncIterator]().next()).toMatchObject({
      value: Buffer.from('{}'),
    })
  })

  it('stores one that verifies by its key, for its image, with its annotations', async () => {
    const key = makeKey()
    const { referrer } = await sign(key, { annotations: { a: '1', b: '<&>' } })
    const found = await readBundles(registry.store, registry.digest)
    const mine = found.find((bundle) => bundle.referrer === referrer)
    if (mine === undefined || 'failure' in mine) throw new Error('the bundle cannot be read')
    const { digest } = registry
    expect(verifyBundle(mine.bundle, key.publicKey, { digest, annotations: { b: '<&>' } })).toHaveProperty(
      'subject',
    )
    const other = verifyBundle(mine.bundle, makeKey().publicKey, { digest })
    expect(other).toHaveProperty('failure', 'signature-mismatch')
  })

  it('adds no second one that says the same by the same key', async () => {
    const key = makeKey()
    const first = await sign(key, { annotations: { a: '1' } })
    const before = registry.requests.length
    expect(await sign(key, { annotations: { a: '1' } })).toEqual({ ...first, alreadySigned: true })
    const later = registry.requests.slice(before)
    expect(later.filter((request) => !request.startsWith('GET '))).toEqual([])
  })

  it('adds one for another key, for more annotations and for fewer', async () => {
    const [key, other] = [makeKey(), makeKey()]
    const signed = [
      await sign(key, { annotations: { a: '1' } }),
      await sign(other, { annotations: { a: '1' } }),
      await sign(key, { annotations: { a: '1', b: '2' } }),
      await sign(key, { annotations: { b: '2' } }),
      await sign(key),
    ]
    expect(signed.map(({ alreadySigned }) => alreadySigned)).toEqual([false, false, false, false, false])
    expect(new Set(signed.map(({ referrer }) => referrer)).size).toBe(5)
  })

  it('loses none of ten that sign at once', async () => {
    const keys = Array.from({ length: 10 }, () => makeKey())
    const signed = await Promise.all(keys.map((key) => sign(key)))
    const listed = (await registry.store.listReferrers(registry.digest)).map(({ digest }) => digest)
    expect(listed).toEqual(expect.arrayContaining(signed.map(({ referrer }) => referrer)))
  })

  it('signs nothing that is not there', async () => {
    const digest = digestOf(encodeUtf8('nowhere'))
    const signing = signBundle({ store: registry.store, digest, key: makeKey(), now: () => NOW })
    await expect(signing).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('stores nothing if the key cannot be had', async () => {
    const before = (await registry.referrers()).length
    const failure = new CosignetError('INVALID_PASSWORD', 'It cannot be decrypted.')
    await expect(sign(Promise.reject(failure))).rejects.toBe(failure)
    expect(await registry.referrers()).toHaveLength(before)
  })
})

describe('signBundle, with a log', () => {
  it('stores the entry that the log promised, and logs again only what was not logged', async () => {
    const registry = await startBundleRegistry(true)
    const rekor = await startRekorServer()
    const rekorKeys = parseRekorKeys(encodeUtf8(rekor.publicKeyPem), 'The key')
    const log = openRekor({ http: registry.http, url: rekor.url, rekorKeys })
    const { store, digest } = registry
    const key = makeKey()
    const options = { store, digest, key, now: () => NOW }
    const unlogged = await signBundle(options)
    const logged = await signBundle({ ...options, log })
    expect(logged.alreadySigned).toBe(false)
    expect(logged.referrer).not.toBe(unlogged.referrer)
    expect(await signBundle({ ...options, log })).toEqual({ ...logged, alreadySigned: true })
    expect(rekor.requests).toEqual(['POST /api/v1/log/entries'])
    const found = await readBundles(store, digest)
    const verified = found.map((bundle) =>
      'failure' in bundle ? bundle : verifyBundle(bundle.bundle, key.publicKey, { digest, rekorKeys }),
    )
    expect(
      verified.filter((result) => 'log' in result && result.log?.integratedTime !== undefined),
    ).toHaveLength(1)
    await Promise.all([rekor.close(), registry.close()])
  })

  it('stores nothing that could not be logged', async () => {
    const registry = await startBundleRegistry(true)
    const failure = new CosignetError('UNAVAILABLE', 'The log does not answer.')
    const log: TransparencyLog = {
      url: 'https://rekor.test',
      rekorKeys: new Map(),
      logSignature: () => Promise.reject(failure),
      logEnvelope: () => Promise.reject(failure),
    }
    const { store, digest } = registry
    await expect(signBundle({ store, digest, key: makeKey(), now: () => NOW, log })).rejects.toBe(failure)
    expect(await registry.referrers()).toEqual([])
    await registry.close()
  })
})
