import { describe, expect, it } from 'vitest'
import {
  FIRST_MANIFEST,
  FIRST_PAYLOAD,
  FIRST_PUB,
  SECOND_ANNOTATIONS,
  SECOND_MANIFEST,
  SECOND_PUB,
  SIGNED_DIGEST,
  SIGNED_REPOSITORY,
} from '../../test/fixtures/cosign-signatures.ts'
import { MemoryImageStore, type MemoryStoreFaults } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError } from '../core/index.ts'
import { generateKeyPair, parsePublicKey, type SigningKey } from '../keys/index.ts'
import { type Digest, digestOf, MEDIA_TYPES, parseReference } from '../oci/index.ts'
import { readAttachments, type SignedDigest, signatureTag, signDigest, verifyAttachment } from './index.ts'

const TAG = signatureTag(SIGNED_DIGEST)
const reference = parseReference(`${SIGNED_REPOSITORY}:v1`)
const rules = { hash: 'key', stripNewlines: true } as const

describe('signDigest', () => {
  it('writes the bytes of cosign 3.1.1, then those of cosign 2.5.0', async () => {
    const store = new MemoryImageStore()
    const first = peerKey(FIRST_PUB, FIRST_MANIFEST, 0)
    const signed = await signWith(store, first)
    expect(signed).toMatchObject({
      alreadySigned: false,
      tag: TAG,
      signatureDigest: digestOf(Buffer.from(FIRST_MANIFEST)),
    })
    expect(manifestOf(store)).toBe(FIRST_MANIFEST)
    await signWith(store, peerKey(SECOND_PUB, SECOND_MANIFEST, 1), SECOND_ANNOTATIONS)
    expect(manifestOf(store)).toBe(SECOND_MANIFEST)
    // 233 bytes for one layer and 109 for each more.
    expect(store.blobs.get(JSON.parse(FIRST_MANIFEST).config.digest)?.byteLength).toBe(233)
    expect(store.blobs.get(JSON.parse(SECOND_MANIFEST).config.digest)?.byteLength).toBe(342)
    expect(String(store.blobs.get(digestOf(Buffer.from(FIRST_PAYLOAD))))).toBe(FIRST_PAYLOAD)
  })

  it('writes nothing where the key has signed the payload', async () => {
    const store = new MemoryImageStore()
    const key = await generateKeyPair()
    const first = await signWith(store, key)
    const before = store.calls.filter((call) => call.startsWith('put')).length
    expect(await signWith(store, key)).toEqual({ ...first, alreadySigned: true })
    expect(store.calls.filter((call) => call.startsWith('put'))).toHaveLength(before)
  })

  it('signs again where another key, or nobody, signed the payload', async () => {
    const store = new MemoryImageStore()
    const [a, b] = [await generateKeyPair(), await generateKeyPair()]
    await signWith(store, a)
    const forged = manifestOf(store).replace(/signature":"[^"]+/, 'signature":"AAAA')
    putManifest(store, forged, MEDIA_TYPES.ociManifest)
    expect((await signWith(store, a)).alreadySigned).toBe(false)
    expect((await signWith(store, b)).alreadySigned).toBe(false)
    expect(await signers(store, [a, b])).toEqual([1, 1])
    expect(JSON.parse(manifestOf(store)).layers).toHaveLength(3)
  })

  it('keeps what another program wrote into the manifest', async () => {
    const store = new MemoryImageStore()
    const foreign =
      '{ "layers": [{"digest":"D","annotations":{"k":"\\u003c\\n<é"},"size":1,"mediaType":"m","data":"eA==","urls":["u"]}],' +
      ' "annotations":{"b":"1","a":"2"}, "schemaVersion":2, "x":[1.50,true,null,12345678901234567890],' +
      ' "config":{"digest":"D","mediaType":"application/vnd.docker.container.image.v1+json","size":1,"data":"eA==","annotations":{"c":"d"}}}'
    putManifest(store, foreign.replaceAll('"D"', `"${SIGNED_DIGEST}"`), MEDIA_TYPES.dockerManifest)
    const key = await generateKeyPair()
    await signWith(store, key)
    const written = manifestOf(store)
    const { config, layers } = JSON.parse(written)
    const parts = [
      `{"layers":[{"digest":"${SIGNED_DIGEST}","annotations":{"k":"\\u003c\\n\\u003cé"},"size":1,"mediaType":"m","data":"eA==","urls":["u"]},`,
      `,"annotations":{"b":"1","a":"2"},"schemaVersion":2,"x":[1.50,true,null,12345678901234567890],`,
      `"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":${config.size},"digest":"${config.digest}","annotations":{"c":"d"}}}`,
    ]
    for (const part of parts) expect(written).toContain(part)
    expect(layers).toHaveLength(2)
    expect(store.manifests.get(store.tags.get(TAG) as Digest)?.mediaType).toBe(MEDIA_TYPES.dockerManifest)
    const configBytes = store.blobs.get(config.digest)
    expect(JSON.parse(String(configBytes)).rootfs.diff_ids).toEqual(
      layers.map((layer: { digest: string }) => layer.digest),
    )
  })

  it('does all that needs no key while the key is made ready', async () => {
    const store = new MemoryImageStore()
    let release: (key: SigningKey) => void = () => undefined
    const key = new Promise<SigningKey>((resolve) => {
      release = resolve
    })
    const signing = signWith(store, key)
    await new Promise((resolve) => setTimeout(resolve, 5))
    // The look-up and the first blob are under way together, in no order.
    expect(store.calls.map((call) => call.split(' ')[0]).sort()).toEqual([
      'getManifest',
      'putBlob',
      'putBlob',
    ])
    release(await generateKeyPair())
    await signing
    expect(store.calls.filter((call) => call.startsWith('putBlob'))).toHaveLength(2)
  })

  it('moves no tag where the key fails', async () => {
    const store = new MemoryImageStore()
    const failure = new CosignetError('INVALID_PASSWORD', 'The password is wrong.')
    await expect(signWith(store, Promise.reject(failure))).rejects.toBe(failure)
    expect(store.tags.size).toBe(0)
  })

  it.each([
    [
      'an index under the tag',
      `{"schemaVersion":2,"mediaType":"${MEDIA_TYPES.ociIndex}","manifests":[]}`,
      'INVALID_SIGNATURE',
    ],
    ['a thousand signatures', thousandLayers(), 'TOO_LARGE'],
  ])('refuses %s', async (_, manifest, code) => {
    const store = new MemoryImageStore()
    putManifest(store, manifest, JSON.parse(manifest).mediaType)
    await expect(signWith(store, generateKeyPair())).rejects.toMatchObject({ code })
    expect(manifestOf(store)).toBe(manifest)
  })
})

describe('signDigest with other writers', () => {
  it.each([true, false])(
    'loses none of ten signatures at once (If-Match heeded: %s)',
    async (heedsIfMatch) => {
      const store = new MemoryImageStore({ heedsIfMatch, beforeGetManifest: tick, beforePutManifest: tick })
      const keys = await Promise.all(Array.from({ length: 10 }, () => generateKeyPair()))
      await Promise.all(keys.map((key) => signDigest({ store, reference, digest: SIGNED_DIGEST, key })))
      expect(await signers(store, keys)).toEqual(keys.map(() => 1))
    },
  )

  it('appends to what a writer put between its look and its write', async () => {
    const [other, key] = [await generateKeyPair(), await generateKeyPair()]
    const store: MemoryImageStore = new MemoryImageStore({
      beforePutManifest: async (count) => {
        if (count === 0) await signWith(store, other)
      },
    })
    await signWith(store, key)
    expect(await signers(store, [other, key])).toEqual([1, 1])
  })

  it('puts its signature back where a writer that does not look overwrote it', async () => {
    const [other, key] = [await generateKeyPair(), await generateKeyPair()]
    const aside = new MemoryImageStore()
    await signWith(aside, other)
    const store: MemoryImageStore = new MemoryImageStore({
      heedsIfMatch: false,
      afterPutManifest: (count) => {
        if (count === 0) putManifest(store, manifestOf(aside), MEDIA_TYPES.ociManifest)
      },
    })
    for (const [digest, bytes] of aside.blobs) store.blobs.set(digest, bytes)
    expect((await signWith(store, key)).alreadySigned).toBe(false)
    expect(await signers(store, [other, key])).toEqual([1, 1])
  })

  it('puts a signature back that it saw and another writer lost', async () => {
    const [first, key, rude] = [await generateKeyPair(), await generateKeyPair(), await generateKeyPair()]
    const aside = new MemoryImageStore()
    await signWith(aside, rude)
    const store: MemoryImageStore = new MemoryImageStore({
      heedsIfMatch: false,
      afterPutManifest: (count) => {
        if (count === 1) putManifest(store, manifestOf(aside), MEDIA_TYPES.ociManifest)
      },
    })
    await signWith(store, first)
    await signWith(store, key)
    expect(await signers(store, [first, key, rude])).toEqual([1, 1, 1])
  })

  it('tries again where a registry refuses for a moment, and gives up in the end', async () => {
    const refuse = (times: number): MemoryStoreFaults => ({
      beforePutManifest: (count) => {
        if (count < times) throw new CosignetError('BAD_RESPONSE', 'The registry answers 400.')
      },
    })
    const key = await generateKeyPair()
    expect((await signWith(new MemoryImageStore(refuse(3)), key)).alreadySigned).toBe(false)
    await expect(signWith(new MemoryImageStore(refuse(4)), key)).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
    })
  })

  it('gives up where others never stop', async () => {
    const store = new MemoryImageStore({
      beforePutManifest: () => {
        throw new CosignetError('CONFLICT', 'The tag has moved.')
      },
    })
    await expect(signWith(store, generateKeyPair())).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `The signature cannot be added to ${store.name}:${TAG}: others keep writing there.`,
    })
    expect(store.calls.filter((call) => call.startsWith('putManifest'))).toHaveLength(40)
  })

  it('stops when it is told to', async () => {
    const store = new MemoryImageStore()
    const options = { store, reference, digest: SIGNED_DIGEST, key: generateKeyPair() }
    const signing = signDigest({ ...options, signal: AbortSignal.abort() })
    await expect(signing).rejects.toMatchObject({ code: 'ABORTED' })
  })
})

function signWith(
  store: MemoryImageStore,
  key: SigningKey | Promise<SigningKey>,
  annotations?: Readonly<Record<string, string>>,
): Promise<SignedDigest> {
  const pause = (): Promise<void> => Promise.resolve()
  return signDigest({
    store,
    reference,
    digest: SIGNED_DIGEST,
    key,
    pause,
    ...(annotations ? { annotations } : {}),
  })
}

/** A key that makes the signature which cosign made, so that all the rest can be compared. */
function peerKey(pub: string, manifest: string, layer: number): SigningKey {
  const signature = JSON.parse(manifest).layers[layer].annotations['dev.cosignproject.cosign/signature']
  return {
    publicKey: parsePublicKey(Buffer.from(pub), 'The key'),
    sign: () => Buffer.from(signature, 'base64'),
    exportPkcs8: () => new Uint8Array(),
  }
}

/** How many signatures each key has on the image. */
async function signers(store: MemoryImageStore, keys: readonly SigningKey[]): Promise<readonly number[]> {
  const attachments = (await readAttachments(store, SIGNED_DIGEST))?.attachments ?? []
  return keys.map(
    ({ publicKey }) =>
      attachments.filter((each) => !('failure' in verifyAttachment(each, publicKey, rules))).length,
  )
}

function manifestOf(store: MemoryImageStore): string {
  return String(store.manifests.get(store.tags.get(TAG) as Digest)?.bytes)
}

function putManifest(store: MemoryImageStore, text: string, mediaType: string): void {
  const bytes = Buffer.from(text)
  store.manifests.set(digestOf(bytes), { bytes, digest: digestOf(bytes), mediaType })
  store.tags.set(TAG, digestOf(bytes))
}

function thousandLayers(): string {
  const descriptor = { mediaType: 'm', digest: SIGNED_DIGEST, size: 1 }
  const layers = Array.from({ length: 1000 }, () => descriptor)
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config: descriptor, layers })
}

async function tick(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
}
