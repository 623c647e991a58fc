import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { type RekorServer, startRekorServer } from '../../test/fixtures/rekor-server.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { generateKeyPair, verifySignature } from '../keys/index.ts'
import { HttpClient } from '../net/index.ts'
import { type Digest, digestOf } from '../oci/index.ts'
import {
  cosignSigner,
  openRekor,
  parseRekorKeys,
  type SignedDigest,
  signDigest,
  type TransparencyLog,
} from './index.ts'

const DIGEST = digestOf(encodeUtf8('an image'))
const BUNDLE = 'dev.sigstore.cosign/bundle'
const SIGNATURE = 'dev.cosignproject.cosign/signature'
const KEY = await generateKeyPair()

let rekor: RekorServer
let http: HttpClient
let log: TransparencyLog

beforeAll(async () => {
  rekor = await startRekorServer()
  http = new HttpClient()
  const rekorKeys = parseRekorKeys(encodeUtf8(rekor.publicKeyPem), 'The key of the log')
  log = openRekor({ http, url: rekor.url, rekorKeys })
})
afterAll(async () => {
  http.close()
  await rekor.close()
})

describe('signDigest with a log', () => {
  it('stores the promise of the log as cosign does', async () => {
    const store = new MemoryImageStore()
    await sign(store, log)
    const [layer] = layersOf(store)
    // cosign 3.1.1, --rekor-url: Go writes members as its structs have them, and annotations sorted.
    expect(Object.keys(layer?.annotations ?? {})).toEqual([SIGNATURE, BUNDLE])
    const bundle = layer?.annotations[BUNDLE] ?? ''
    expect(bundle).toMatch(
      /^\{"SignedEntryTimestamp":"[A-Za-z0-9+/=]+","Payload":\{"body":"[A-Za-z0-9+/=]+","integratedTime":\d+,"logIndex":\d+,"logID":"[0-9a-f]{64}"\}\}$/,
    )
    const entry = JSON.parse(Buffer.from(JSON.parse(bundle).Payload.body, 'base64').toString())
    expect(entry.spec.signature.content).toBe(layer?.annotations[SIGNATURE])
    expect(entry.spec.data.hash).toEqual({
      algorithm: 'sha256',
      value: layer?.digest.slice('sha256:'.length),
    })
  })

  it('signs once more where the signature that is there is not logged, and then never again', async () => {
    const store = new MemoryImageStore()
    await sign(store)
    expect((await sign(store, log)).alreadySigned).toBe(false)
    const uploads = rekor.requests.length
    expect((await sign(store, log)).alreadySigned).toBe(true)
    expect((await sign(store)).alreadySigned).toBe(true)
    expect(rekor.requests).toHaveLength(uploads)
    expect(layersOf(store).map(({ annotations }) => BUNDLE in annotations)).toEqual([false, true])
  })

  it('signs once more where the promise is that of another log, or for another signature', async () => {
    const store = new MemoryImageStore()
    const stranger = await startRekorServer()
    const rekorKeys = parseRekorKeys(encodeUtf8(stranger.publicKeyPem), 'The key of the log')
    await sign(store, openRekor({ http, url: stranger.url, rekorKeys }))
    await stranger.close()
    expect((await sign(store, log)).alreadySigned).toBe(false)

    const signer = cosignSigner(KEY, { reference: 'registry.example/app', log })
    const [one, other] = [await signer.sign(DIGEST), await signer.sign(DIGEST)]
    if (one.kind !== 'sigstore' || other.kind !== 'sigstore') throw new Error('They are of another kind.')
    expect(await signer.isOwn(one, DIGEST)).toBe(true)
    const swapped = { ...one.annotations, [BUNDLE]: other.annotations[BUNDLE] ?? '' }
    expect(await signer.isOwn({ ...one, annotations: swapped }, DIGEST)).toBe(false)
  })

  it('stores nothing where the log refuses', async () => {
    const store = new MemoryImageStore()
    const failure = new CosignetError('UNAVAILABLE', 'The log is not there.')
    const broken = { ...log, logSignature: () => Promise.reject(failure) }
    await expect(sign(store, broken)).rejects.toBe(failure)
    expect(store.tags.size).toBe(0)
  })

  it('loses no logged signature where others sign at once', async () => {
    const tick = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
    const store = new MemoryImageStore({ beforeGetManifest: tick, beforePutManifest: tick })
    const keys = await Promise.all(Array.from({ length: 5 }, () => generateKeyPair()))
    const reference = 'registry.example/app'
    await Promise.all(keys.map((key) => signDigest({ store, reference, digest: DIGEST, key, log })))
    const layers = layersOf(store)
    expect(layers).toHaveLength(5)
    for (const { publicKey } of keys) {
      const good = layers.filter(({ digest, annotations }) => {
        const payload = store.blobs.get(digest) ?? new Uint8Array()
        return verifySignature(publicKey, payload, Buffer.from(annotations[SIGNATURE] ?? '', 'base64'))
      })
      expect(good).toHaveLength(1)
    }
  })
})

function sign(store: MemoryImageStore, to?: TransparencyLog): Promise<SignedDigest> {
  const where = to === undefined ? {} : { log: to }
  const options = { store, reference: 'registry.example/app', digest: DIGEST, key: KEY }
  return signDigest({ ...options, ...where, pause: () => Promise.resolve() })
}

function layersOf(
  store: MemoryImageStore,
): readonly { digest: Digest; annotations: Readonly<Record<string, string>> }[] {
  const manifest = store.manifests.get([...store.tags.values()][0] as Digest)
  return JSON.parse(String(manifest?.bytes)).layers
}
