import { describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { generateKeyPair, verifySignature } from '../keys/index.ts'
import { type Digest, digestOf, type ImageDestination, MEDIA_TYPES, parseReference } from '../oci/index.ts'
import {
  cosignSigner,
  decodeSignatureBlob,
  type ImageSigner,
  type SignatureStore,
} from '../signature/index.ts'
import { type CopyOptions, type CopyTarget, copyImage } from './copy-image.ts'

const KEY = await generateKeyPair()
const SIGNER = cosignSigner(KEY, { reference: parseReference('registry.example/team/copy:v1') })

describe('copyImage with signers', () => {
  it('signs the index and every image under its digest, before the tag moves', async () => {
    const { from, index, images } = storeWithIndex()
    const to = new MemoryImageStore()
    const copied = await copyImage({ ...options(from, to), select: 'all', signers: [SIGNER] })
    expect(copied).toMatchObject({ outcome: 'copied', signed: 3 })
    expect(copied).not.toHaveProperty('signatureStore')
    for (const digest of [index, ...images]) expect(payloadsAt(to, digest)).toEqual([payloadOf(digest)])
    const puts = to.calls.filter((call) => call.startsWith('putManifest'))
    expect(puts.at(-1)).toBe('putManifest v1')
    expect(puts.filter((call) => call.endsWith('.sig'))).toHaveLength(3)
  })

  it('signs the digest that a conversion makes', async () => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    const copied = await copyImage({ ...options(from, to), format: 'v2s2', signers: [SIGNER] })
    const { digest } = copied as { digest: Digest }
    expect(digest).not.toBe(image)
    expect(payloadsAt(to, digest)).toEqual([payloadOf(digest)])
    expect(to.tags.has(signatureTag(image))).toBe(false)
  })

  it.each([true, false])('makes no signature again that is there (it came along: %s)', async (along) => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    await copyImage({ ...options(from, to), signers: [SIGNER] })
    const source = along ? to : from
    const target = along ? new MemoryImageStore() : to
    const copied = await copyImage({ ...options(source, target), signers: [SIGNER] })
    expect(copied).toMatchObject({ signed: 0 })
    expect(payloadsAt(target, image)).toHaveLength(1)
  })

  it('adds to the signatures that come along and those that are there', async () => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    const [first, second] = await Promise.all([generateKeyPair(), generateKeyPair()])
    const reference = parseReference('registry.example/other')
    await copyImage({ ...options(from, from), signers: [cosignSigner(first, { reference })] })
    await copyImage({
      ...options(storeWithImage().from, to),
      signers: [cosignSigner(second, { reference })],
    })
    await copyImage({ ...options(from, to), signers: [SIGNER] })
    const made = signaturesAt(to, image)
    expect(made).toHaveLength(3)
    for (const { publicKey } of [first, second, KEY]) {
      const good = made.filter(({ payload, signature }) => verifySignature(publicKey, payload, signature))
      expect(good).toHaveLength(1)
    }
  })

  it('loses nothing that came along where the destination is made anew', async () => {
    const { from, image } = storeWithImage()
    await copyImage({ ...options(from, from), signers: [SIGNER] })
    const to = new MemoryImageStore()
    const other = cosignSigner(await generateKeyPair(), { reference: 'registry.example/other' })
    await copyImage({ ...options(from, to, { readable: undefined }), signers: [other] })
    expect(payloadsAt(to, image)).toHaveLength(2)
  })

  it('puts them into files where the destination keeps them so', async () => {
    const { from, image } = storeWithImage()
    const files = new Map<Digest, readonly Uint8Array[]>()
    const to = new MemoryImageStore()
    const destination: ImageDestination = Object.assign(to, {
      putSignatures: async (digest: Digest, signatures: readonly Uint8Array[]) => {
        files.set(digest, signatures)
      },
    })
    const target = { destination, readable: undefined }
    await copyImage({ ...options(from, to, target), signers: [SIGNER, openPgp()] })
    const blobs = files.get(image)?.map((bytes) => decodeSignatureBlob(bytes, 'it'))
    expect(blobs?.map(({ kind }) => kind).sort()).toEqual(['openpgp', 'sigstore'])
    expect([...to.tags.keys()]).toEqual(['v1'])
  })

  it('puts OpenPGP signatures into the store beside the registry once that has the image', async () => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    const signatures: SignatureStore = {
      name: 'memory',
      list: async () => {
        if (!to.manifests.has(image)) throw new CosignetError('NOT_FOUND', 'There is no such manifest.')
        return []
      },
      checkWritable: async () => 'a store',
      add: async (digest, blobs) => {
        expect(to.manifests.has(digest)).toBe(true)
        expect(to.tags.size).toBe(0)
        to.calls.push(`add ${blobs.length} ${digest}`)
      },
    }
    const copied = await copyImage({ ...options(from, to, { signatures }), signers: [openPgp()] })
    expect(copied).toMatchObject({ signed: 1, signatureStore: 'a store' })
    expect(to.calls.slice(-2)).toEqual([`add 1 ${image}`, 'putManifest v1'])
  })

  it('leaves the tag as it was where signing fails, and sends nothing', async () => {
    const { from } = storeWithImage()
    const to = new MemoryImageStore()
    const before = digestOf(encodeUtf8('before'))
    to.tags.set('v1', before)
    const failure = new CosignetError('INVALID_PASSWORD', 'The passphrase is wrong.')
    const failing: ImageSigner = { ...SIGNER, sign: () => Promise.reject(failure) }
    await expect(copyImage({ ...options(from, to), signers: [failing] })).rejects.toBe(failure)
    expect(to.tags).toEqual(new Map([['v1', before]]))
    expect(to.calls.filter((call) => call.startsWith('put'))).toEqual([])
  })

  it('leaves the tag as it was where a signature cannot be stored', async () => {
    const { from } = storeWithImage()
    const before = digestOf(encodeUtf8('before'))
    const to: MemoryImageStore = new MemoryImageStore({
      beforePutManifest: () => {
        if (to.calls.at(-1)?.endsWith('.sig') === true) throw new CosignetError('FORBIDDEN', 'It may not.')
      },
    })
    to.tags.set('v1', before)
    const copy = copyImage({ ...options(from, to), signers: [SIGNER] })
    await expect(copy).rejects.toMatchObject({ code: 'FORBIDDEN' })
    expect(to.tags.get('v1')).toBe(before)
  })

  it.each([
    ['OpenPGP signatures', openPgp()],
    ['signatures of cosign', SIGNER],
  ])('refuses a destination that cannot hold %s before anything goes there', async (what, signer) => {
    const { from } = storeWithImage()
    const to = Object.assign(new MemoryImageStore(), {
      rules: { manifests: [MEDIA_TYPES.ociManifest], attached: false, compressed: false },
    })
    await expect(copyImage({ ...options(from, to), signers: [signer] })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      message: `${to.name} cannot hold ${what}.`,
    })
    expect(to.calls).toEqual([])
  })
})

/** Stands for OpenPGP: the first byte is what makes a blob one. */
function openPgp(): ImageSigner {
  return {
    kind: 'openpgp',
    isOwn: async () => false,
    sign: async (digest) => ({
      kind: 'openpgp',
      bytes: Buffer.concat([Buffer.of(0xa3), encodeUtf8(digest)]),
    }),
  }
}

/** The payload that cosign signs, by its specification. */
function payloadOf(digest: Digest): string {
  return (
    '{"critical":{"identity":{"docker-reference":"registry.example/team/copy"},' +
    `"image":{"docker-manifest-digest":"${digest}"},"type":"cosign container image signature"},"optional":null}`
  )
}

function payloadsAt(store: MemoryImageStore, digest: Digest): readonly string[] {
  return signaturesAt(store, digest).map(({ payload }) => payload.toString())
}

function signaturesAt(
  store: MemoryImageStore,
  digest: Digest,
): readonly { payload: Buffer; signature: Buffer }[] {
  const manifest = store.manifests.get(store.tags.get(signatureTag(digest)) as Digest)
  const { layers } = JSON.parse(String(manifest?.bytes)) as {
    layers: { digest: Digest; annotations: Record<string, string> }[]
  }
  return layers.map((layer) => ({
    payload: Buffer.from(store.blobs.get(layer.digest) ?? ''),
    signature: Buffer.from(layer.annotations['dev.cosignproject.cosign/signature'] ?? '', 'base64'),
  }))
}

function signatureTag(digest: Digest): string {
  return `${digest.replace(':', '-')}.sig`
}

function options(
  from: MemoryImageStore,
  to: MemoryImageStore,
  target: { readonly [Name in keyof CopyTarget]?: CopyTarget[Name] | undefined } = {},
): CopyOptions {
  return {
    source: from,
    from: 'v1',
    openTarget: async () =>
      ({
        destination: to,
        readable: to,
        tag: 'v1',
        commit: async () => undefined,
        abort: async () => undefined,
        ...target,
      }) as CopyTarget,
    select: { os: 'linux', architecture: 'amd64' },
    attached: true,
    preserveDigests: false,
    temporaryFolder: '/nonexistent',
  }
}

function storeWithImage(): { from: MemoryImageStore; image: Digest } {
  const from = new MemoryImageStore()
  return { from, image: putImage(from, 'amd64', 'v1').digest }
}

function storeWithIndex(): { from: MemoryImageStore; index: Digest; images: readonly Digest[] } {
  const from = new MemoryImageStore()
  const manifests = ['amd64', 'arm64'].map((architecture) => ({
    ...putImage(from, architecture),
    platform: { os: 'linux', architecture },
  }))
  const index = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }
  return { from, index: put(from, index, 'v1').digest, images: manifests.map(({ digest }) => digest) }
}

function putImage(store: MemoryImageStore, text: string, tag?: string): ReturnType<typeof put> {
  const blob = (content: string, mediaType: string): object => {
    const bytes = encodeUtf8(content)
    store.blobs.set(digestOf(bytes), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  }
  const config = blob('{"a":1}', MEDIA_TYPES.ociConfig)
  const layers = [blob(text, MEDIA_TYPES.ociLayerGzip)]
  return put(store, { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers }, tag)
}

function put(
  store: MemoryImageStore,
  document: { readonly mediaType: string; readonly [key: string]: unknown },
  tag?: string,
): { mediaType: string; digest: Digest; size: number } {
  const bytes = encodeUtf8(JSON.stringify(document))
  const digest = digestOf(bytes)
  const { mediaType } = document
  store.manifests.set(digest, { bytes, digest, mediaType })
  if (tag !== undefined) store.tags.set(tag, digest)
  return { mediaType, digest, size: bytes.byteLength }
}
