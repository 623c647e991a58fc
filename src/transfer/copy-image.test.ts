import { describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { encodeUtf8 } from '../core/index.ts'
import {
  type Descriptor,
  type Digest,
  digestOf,
  type ImageDestination,
  type Manifest,
  MEDIA_TYPES,
  parseManifest,
} from '../oci/index.ts'
import type { Verdict } from '../policy/index.ts'
import { type CopyOptions, type CopyTarget, copyImage } from './copy-image.ts'
import type { CopyEvent } from './events.ts'

const LINUX = { os: 'linux', architecture: 'amd64' } as const

describe('copyImage', () => {
  it('copies an image as it is: blobs, then the manifest under its tag', async () => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    const copied = await copyImage(options(from, to))
    expect(copied).toMatchObject({ outcome: 'copied', digest: image.digest, manifests: [image.digest] })
    expect(to.manifests.get(image.digest)?.bytes).toEqual(image.bytes)
    expect([...to.blobs.keys()].sort()).toEqual([...from.blobs.keys()].sort())
    expect(to.calls.at(-1)).toBe('putManifest v1')
  })

  it('counts what was sent and what was there', async () => {
    const { from } = storeWithImage()
    const to = new MemoryImageStore()
    const layer = [...from.blobs].find(([, bytes]) => Buffer.from(bytes).toString() === 'layer one')
    if (layer !== undefined) to.blobs.set(...layer)
    const copied = await copyImage(options(from, to))
    // The configuration {"a":1} and 'layer two'.
    expect(copied).toMatchObject({ blobs: { written: 2, bytes: 7 + 9, present: 1, mounted: 0, left: 0 } })
  })

  it('tells of every blob and manifest as it goes', async () => {
    const { from, image } = storeWithImage()
    const events: CopyEvent[] = []
    await copyImage({ ...options(from, new MemoryImageStore()), onEvent: (event) => events.push(event) })
    const done = events.filter(({ kind }) => kind === 'blob-done')
    expect(done).toHaveLength(3)
    expect(events.at(-1)).toEqual({ kind: 'manifest', digest: image.digest, tag: 'v1' })
  })

  it('takes all of an index in the order in which registries need it, the tag last', async () => {
    const { from, index, images } = storeWithIndex()
    const to = new MemoryImageStore()
    const copied = await copyImage({ ...options(from, to), select: 'all' })
    expect(copied).toMatchObject({ digest: index.digest })
    const puts = to.calls.filter((call) => call.startsWith('putManifest'))
    expect(puts).toEqual([...images.map(({ digest }) => `putManifest ${digest}`), 'putManifest v1'])
  })

  it('takes an index within an index', async () => {
    const { from, index, images } = storeWithIndex()
    const outer = putIndex(from, [{ manifest: index }], 'outer')
    const to = new MemoryImageStore()
    const copied = await copyImage({ ...options(from, to), from: 'outer', select: 'all' })
    const expected = [...images.map(({ digest }) => digest), index.digest, outer.digest]
    expect(copied).toMatchObject({ manifests: expected })
    expect([...to.manifests.keys()]).toEqual(expected)
  })

  it('takes the image of one platform out of an index', async () => {
    const { from, images } = storeWithIndex()
    const to = new MemoryImageStore()
    const copied = await copyImage({ ...options(from, to), select: { os: 'linux', architecture: 'arm64' } })
    expect(copied).toMatchObject({ digest: images[1]?.digest })
    expect([...to.manifests.keys()]).toEqual([images[1]?.digest])
  })

  it('says which platforms there are where the wanted one is not', async () => {
    const { from } = storeWithIndex()
    const select = { os: 'linux', architecture: 's390x' }
    await expect(copyImage({ ...options(from, new MemoryImageStore()), select })).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: expect.stringContaining('linux/amd64, linux/arm64'),
    })
  })

  it('writes under a digest alone, if it is the digest of the image', async () => {
    const { from, image } = storeWithImage()
    const to = new MemoryImageStore()
    await copyImage(options(from, to, { tag: undefined, digest: image.digest }))
    expect(to.tags.size).toBe(0)
    expect(to.manifests.has(image.digest)).toBe(true)
    const other = new MemoryImageStore()
    const copy = copyImage(options(from, other, { tag: undefined, digest: digestOf(encodeUtf8('x')) }))
    await expect(copy).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(other.calls).toEqual([])
  })

  it('copies no foreign layer that the source does not hold, and asks no URL for it', async () => {
    const from = new MemoryImageStore()
    const foreign: Descriptor = {
      mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
      digest: digestOf(encodeUtf8('elsewhere')),
      size: 9,
      urls: ['http://169.254.169.254/latest/meta-data'],
    }
    const image = putImage(from, ['layer'], 'v1', { extra: [foreign] })
    const to = new MemoryImageStore()
    expect(await copyImage(options(from, to))).toMatchObject({ blobs: { written: 2, left: 1 } })
    expect(to.manifests.get(image.digest)?.bytes).toEqual(image.bytes)
  })

  it('refuses a layer that is larger than any blob may be', async () => {
    const from = new MemoryImageStore()
    const huge = { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(encodeUtf8('huge')), size: 2 ** 50 }
    putImage(from, [], 'v1', { extra: [huge] })
    const to = new MemoryImageStore()
    await expect(copyImage(options(from, to))).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(to.calls).toEqual([])
  })
})

describe('copyImage under a policy', () => {
  const denied = { outcome: 'denied' } as Verdict
  const allowed = { outcome: 'allowed' } as Verdict

  it('opens no destination for an image that is denied', async () => {
    const { from, image } = storeWithImage()
    const judged: unknown[] = []
    const copied = await copyImage({
      ...options(from, new MemoryImageStore()),
      openTarget: () => Promise.reject(new Error('The destination was opened.')),
      judge: async (_source, one) => {
        judged.push(one)
        return denied
      },
    })
    expect(copied).toEqual({ outcome: 'denied', verdicts: [denied] })
    expect(judged).toEqual([{ manifestDigest: image.digest }])
  })

  it('judges every image of an index, and copies none if one is denied', async () => {
    const { from, index, images } = storeWithIndex()
    const judged: unknown[] = []
    const copied = await copyImage({
      ...options(from, new MemoryImageStore()),
      select: 'all',
      openTarget: () => Promise.reject(new Error('The destination was opened.')),
      judge: async (_source, one) => {
        judged.push(one)
        return judged.length === 1 ? allowed : denied
      },
    })
    expect(copied.outcome).toBe('denied')
    expect(judged).toEqual(
      images.map(({ digest }) => ({ manifestDigest: digest, indexDigest: index.digest })),
    )
  })

  it('copies nothing where the policy cannot decide', async () => {
    const { from } = storeWithImage()
    const copy = copyImage({
      ...options(from, new MemoryImageStore()),
      openTarget: () => Promise.reject(new Error('The destination was opened.')),
      judge: () => Promise.reject(new Error('no network')),
    })
    await expect(copy).rejects.toThrow('no network')
  })
})

describe('copyImage with what refers to the image', () => {
  it("takes cosign's tags and referrers along, and what refers to those, before the tag", async () => {
    const { from, image } = storeWithImage()
    const signature = putImage(from, ['sig'], tagOf(image, 'sig'))
    const attestation = putImage(from, ['att'], tagOf(image, 'att'))
    const sbom = putReferrer(from, image, 'sbom')
    const signed = putReferrer(from, sbom, 'signature of the sbom')
    const to = new MemoryImageStore()
    const copied = await copyImage(options(from, to))
    expect(copied).toMatchObject({
      attached: expect.arrayContaining([
        { subject: image.digest, digest: signature.digest, tag: tagOf(image, 'sig') },
        { subject: image.digest, digest: attestation.digest, tag: tagOf(image, 'att') },
        { subject: image.digest, digest: sbom.digest },
        { subject: sbom.digest, digest: signed.digest },
      ]),
    })
    expect(to.tags.get(tagOf(image, 'sig'))).toBe(signature.digest)
    expect(to.manifests.get(signed.digest)?.bytes).toEqual(signed.bytes)
    expect([...to.blobs.keys()].sort()).toEqual([...from.blobs.keys()].sort())
    expect(to.calls.at(-1)).toBe('putManifest v1')
  })

  it('leaves it out where that is asked for', async () => {
    const { from, image } = storeWithImage()
    putImage(from, ['sig'], tagOf(image, 'sig'))
    const to = new MemoryImageStore()
    expect(await copyImage({ ...options(from, to), attached: false })).toMatchObject({ attached: [] })
    expect([...to.manifests.keys()]).toEqual([image.digest])
  })

  it('believes no list of referrers whose manifests say otherwise', async () => {
    const { from, image } = storeWithImage()
    const other = putImage(from, ['other'], 'other')
    const gone = digestOf(encodeUtf8('gone'))
    from.referrers.set(image.digest, [
      { mediaType: MEDIA_TYPES.ociManifest, digest: other.digest, size: other.bytes.byteLength },
      { mediaType: MEDIA_TYPES.ociManifest, digest: gone, size: 1 },
    ])
    expect(await copyImage(options(from, new MemoryImageStore()))).toMatchObject({ attached: [] })
  })

  it('ends where referrers refer to each other in a circle that a list pretends', async () => {
    const { from, image } = storeWithImage()
    const referrer = putReferrer(from, image, 'a')
    from.referrers.set(referrer.digest, [describe_(referrer)])
    expect(await copyImage(options(from, new MemoryImageStore()))).toMatchObject({
      attached: [{ subject: image.digest, digest: referrer.digest }],
    })
  })

  it('loses no signature that the destination has of its own', async () => {
    const { from, image } = storeWithImage()
    putImage(from, ['theirs'], tagOf(image, 'sig'))
    const to = new MemoryImageStore()
    putImage(to, ['ours'], tagOf(image, 'sig'))
    await copyImage(options(from, to))
    const merged = await to.getManifest(tagOf(image, 'sig'))
    const layers = merged.content.kind === 'image' ? merged.content.layers.map(({ digest }) => digest) : []
    expect(layers).toEqual([digestOf(encodeUtf8('ours')), digestOf(encodeUtf8('theirs'))])
  })

  it('is refused by a destination that cannot hold it, before anything is written', async () => {
    const { from, image } = storeWithImage()
    putImage(from, ['sig'], tagOf(image, 'sig'))
    const to = new MemoryImageStore()
    const destination = Object.assign(Object.create(to) as MemoryImageStore, {
      rules: { ...to.rules, attached: false },
    })
    await expect(copyImage(options(from, destination))).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      hint: expect.stringContaining('--remove-signatures'),
    })
    expect(to.calls).toEqual([])
  })

  it('says what stays behind with the index when one platform is copied', async () => {
    const { from, index } = storeWithIndex()
    const signature = putImage(from, ['sig'], tagOf(index, 'sig'))
    expect(await copyImage(options(from, new MemoryImageStore()))).toMatchObject({
      attached: [],
      left: [{ subject: index.digest, digest: signature.digest, tag: tagOf(index, 'sig') }],
    })
  })
})

describe('copyImage that fails', () => {
  it('stops the other blobs, names the first failure, and puts no manifest', async () => {
    const { from } = storeWithImage()
    const to = new MemoryImageStore()
    const aborted: boolean[] = []
    const target: CopyTarget = {
      destination: failingOn(to, 'layer one'),
      tag: 'v1',
      commit: () => Promise.reject(new Error('It was committed.')),
      abort: async () => {
        aborted.push(true)
      },
    }
    const copy = copyImage({ ...options(from, to), openTarget: async () => target })
    await expect(copy).rejects.toThrow('The disk is full.')
    expect(to.manifests.size).toBe(0)
    expect(aborted).toEqual([true])
  })

  it('stops at the signal', async () => {
    const { from } = storeWithImage()
    const to = new MemoryImageStore()
    const copy = copyImage({ ...options(from, to), signal: AbortSignal.abort() })
    await expect(copy).rejects.toMatchObject({ code: 'ABORTED' })
    expect(to.manifests.size).toBe(0)
  })

  it('refuses a manifest that could be read as two images (CVE-2021-41190)', async () => {
    const from = new MemoryImageStore()
    const ambiguous = encodeUtf8(
      JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [], layers: [] }),
    )
    const digest = digestOf(ambiguous)
    from.manifests.set(digest, { bytes: ambiguous, digest, mediaType: MEDIA_TYPES.ociIndex })
    from.tags.set('v1', digest)
    await expect(copyImage(options(from, new MemoryImageStore()))).rejects.toMatchObject({
      code: 'INVALID_MANIFEST',
    })
  })
})

function options(
  from: MemoryImageStore,
  to: MemoryImageStore,
  target: Partial<Pick<CopyTarget, 'tag' | 'digest'>> = {},
): CopyOptions {
  return {
    source: from,
    from: 'v1',
    openTarget: async () => ({
      destination: to,
      readable: to,
      tag: 'v1',
      commit: async () => undefined,
      abort: async () => undefined,
      ...target,
    }),
    select: LINUX,
    attached: true,
    preserveDigests: false,
    temporaryFolder: '/nonexistent',
  }
}

function storeWithImage(): { from: MemoryImageStore; image: Manifest } {
  const from = new MemoryImageStore()
  return { from, image: putImage(from, ['layer one', 'layer two'], 'v1') }
}

function storeWithIndex(): { from: MemoryImageStore; index: Manifest; images: readonly Manifest[] } {
  const from = new MemoryImageStore()
  const images = [putImage(from, ['common', 'amd64']), putImage(from, ['common', 'arm64'])]
  const entries = images.map((manifest, i) => ({
    manifest,
    platform: { os: 'linux', architecture: i === 0 ? 'amd64' : 'arm64' },
  }))
  return { from, images, index: putIndex(from, entries, 'v1') }
}

function putImage(
  store: MemoryImageStore,
  layers: readonly string[],
  tag?: string,
  more: { extra?: readonly Descriptor[]; subject?: Descriptor } = {},
): Manifest {
  const { extra = [], subject } = more
  const put = (text: string, mediaType: string): Descriptor => {
    const bytes = encodeUtf8(text)
    store.blobs.set(digestOf(bytes), bytes)
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  }
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: put('{"a":1}', MEDIA_TYPES.ociConfig),
    layers: [...layers.map((text) => put(text, MEDIA_TYPES.ociLayerGzip)), ...extra],
    subject,
  }
  return putManifest(store, document, tag)
}

function putIndex(
  store: MemoryImageStore,
  entries: readonly { manifest: Manifest; platform?: object }[],
  tag: string,
): Manifest {
  const manifests = entries.map(({ manifest, platform }) => ({ ...describe_(manifest), platform }))
  return putManifest(store, { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests }, tag)
}

function putReferrer(store: MemoryImageStore, subject: Manifest, text: string): Manifest {
  const referrer = putImage(store, [text], undefined, { subject: describe_(subject) })
  store.referrers.set(subject.digest, [...(store.referrers.get(subject.digest) ?? []), describe_(referrer)])
  return referrer
}

function putManifest(
  store: MemoryImageStore,
  document: { readonly mediaType: string; readonly [key: string]: unknown },
  tag?: string,
): Manifest {
  const bytes = encodeUtf8(JSON.stringify(document))
  const digest = digestOf(bytes)
  store.manifests.set(digest, { bytes, digest, mediaType: document.mediaType })
  if (tag !== undefined) store.tags.set(tag, digest)
  try {
    return parseManifest(bytes, document.mediaType, 'The manifest of the test')
  } catch (error) {
    throw new Error(`The test made no manifest: ${document.mediaType}`, { cause: error })
  }
}

function describe_({ mediaType, digest, bytes }: Manifest): Descriptor {
  return { mediaType, digest, size: bytes.byteLength }
}

function tagOf({ digest }: { digest: Digest }, suffix: string): string {
  return `${digest.replace(':', '-')}.${suffix}`
}

function failingOn(store: MemoryImageStore, text: string): ImageDestination {
  const failing = digestOf(encodeUtf8(text))
  return Object.assign(Object.create(store) as MemoryImageStore, {
    putBlob: async (...args: Parameters<MemoryImageStore['putBlob']>) => {
      if (args[0].digest === failing) throw new Error('The disk is full.')
      return await store.putBlob(...args)
    },
  })
}
