import { describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, type Manifest, MEDIA_TYPES, parseManifest } from '../oci/index.ts'
import { encodeSignatureBlob, type SignatureStore } from '../signature/index.ts'
import { findOpenPgp } from './attached.ts'
import { type CopyOptions, type CopyTarget, copyImage } from './copy-image.ts'
import { withSignatureTags } from './signature-tags.ts'

/** Begins as `gpg --sign` does; what follows is nobody's to read here. */
const FIRST = Buffer.from([0xa3, 1])
const SECOND = Buffer.from([0xa3, 2])
const CONFIG = encodeUtf8('{}')
const IMAGE = parseManifest(
  encodeUtf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(CONFIG), size: 2 },
      layers: [],
    }),
  ),
  undefined,
  'The image',
)

describe('copyImage with signatures in a store beside the image', () => {
  it('adds OpenPGP signatures once the registry has the manifest, and before the tag moves', async () => {
    const { from, to, image } = bench()
    const copied = await copyImage(job(from, store([FIRST, SECOND]), to, store([], to.calls)))
    expect(copied).toMatchObject({ outcome: 'copied', digest: image.digest, openPgp: 2, attached: [] })
    expect(to.calls.filter((call) => !call.startsWith('putBlob'))).toEqual([
      'checkWritable',
      `putManifest ${image.digest}`,
      `add ${image.digest} a301,a302`,
      // Asked once more, where they are.
      'checkWritable',
      'putManifest v1',
    ])
  })

  it('writes into the files of a destination that has them', async () => {
    const { from, to } = bench()
    const files: (readonly Uint8Array[])[] = []
    const putSignatures = async (_: Digest, signatures: readonly Uint8Array[]): Promise<void> => {
      files.push(signatures)
    }
    Object.assign(to, { putSignatures })
    await copyImage(job(from, store([FIRST]), to, undefined))
    expect(files).toEqual([[FIRST]])
  })

  it("brings cosign's signatures among them to their tag", async () => {
    const { from, to, image } = bench()
    const sigstore = encodeSignatureBlob({
      kind: 'sigstore',
      mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
      payload: encodeUtf8('{}'),
      annotations: { 'dev.cosignproject.cosign/signature': 'c2ln' },
    })
    const copied = await copyImage(job(from, store([sigstore]), to, store([], to.calls)))
    const tag = `${image.digest.replace(':', '-')}.sig`
    expect(copied).toMatchObject({ openPgp: 0, attached: [{ subject: image.digest, tag }] })
    expect(to.tags.has(tag)).toBe(true)
    expect(to.calls).not.toContain('checkWritable')
  })

  it.each<[string, () => SignatureStore | undefined, object]>([
    [
      'has no store',
      () => undefined,
      {
        code: 'UNSUPPORTED',
        message: 'registry.example/team/app cannot hold the OpenPGP signatures of the image.',
      },
    ],
    ['can only be read', readOnly, { code: 'UNSUPPORTED', hint: 'Use staging.' }],
  ])('refuses before anything is written where the destination %s', async (_, target, expected) => {
    const { from, to } = bench()
    await expect(copyImage(job(from, store([FIRST]), to, target()))).rejects.toMatchObject(expected)
    expect(to.calls).toEqual([])
  })

  it('leaves the tag where it was if a signature cannot be stored', async () => {
    const { from, to } = bench()
    const broken = {
      ...store([]),
      add: async () => {
        throw new CosignetError('UNAVAILABLE', 'The store is away.')
      },
    }
    await expect(copyImage(job(from, store([FIRST]), to, broken))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(to.tags.size).toBe(0)
  })

  it('copies the image alone if asked to, and reads no store', async () => {
    const { from, to } = bench()
    const calls: string[] = []
    const copied = await copyImage({ ...job(from, store([FIRST], calls), to, readOnly()), attached: false })
    expect(copied).toMatchObject({ outcome: 'copied', openPgp: 0 })
    expect(calls).toEqual([])
  })

  it('fails where the store cannot be read: what is unknown is not nothing', async () => {
    const { from, to } = bench()
    const away = {
      ...store([]),
      list: async () => {
        throw new CosignetError('UNAVAILABLE', 'The store is away.')
      },
    }
    await expect(copyImage(job(from, away, to, store([])))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(to.calls).toEqual([])
  })

  it('refuses more than anybody needs, over all images of an index', async () => {
    const source = withSignatureTags(new MemoryImageStore(), {
      name: 'store',
      list: async () => [Buffer.alloc(1024 * 1024, 0xa3)],
    })
    const digests = Array.from({ length: 17 }, (_, i) => digestOf(Buffer.from([i])))
    expect((await findOpenPgp(source, digests.slice(1))).size).toBe(16)
    await expect(findOpenPgp(source, digests)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('says which signature is none', async () => {
    const { from, to, image } = bench()
    const copy = copyImage(job(from, store([FIRST, Buffer.from('<html>')]), to, store([])))
    await expect(copy).rejects.toMatchObject({
      code: 'INVALID_SIGNATURE',
      message: `The signature 2 of ${image.digest} in store is neither an OpenPGP nor a sigstore signature.`,
    })
  })
})

function bench(): { from: MemoryImageStore; to: MemoryImageStore; image: Manifest } {
  const from = new MemoryImageStore()
  from.blobs.set(digestOf(CONFIG), CONFIG)
  from.manifests.set(IMAGE.digest, IMAGE)
  from.tags.set('v1', IMAGE.digest)
  return { from, to: new MemoryImageStore(), image: IMAGE }
}

function store(signatures: readonly Uint8Array[], calls: string[] = []): SignatureStore {
  return {
    name: 'store',
    list: async (digest) => {
      calls.push(`list ${digest}`)
      return digest === IMAGE.digest ? signatures : []
    },
    add: async (digest, added) => {
      const bytes = added.map((signature) => Buffer.from(signature).toString('hex'))
      calls.push(`add ${digest} ${bytes.join()}`)
    },
    checkWritable: async () => {
      calls.push('checkWritable')
      return 'store'
    },
  }
}

function readOnly(): SignatureStore {
  return {
    ...store([]),
    checkWritable: async () => {
      throw new CosignetError('UNSUPPORTED', 'It is for reading.', { hint: 'Use staging.' })
    },
  }
}

function job(
  from: MemoryImageStore,
  signatures: SignatureStore,
  to: MemoryImageStore,
  target: SignatureStore | undefined,
): CopyOptions {
  return {
    source: from,
    signatures,
    from: 'v1',
    openTarget: async (): Promise<CopyTarget> => ({
      destination: to,
      readable: to,
      ...(target === undefined ? {} : { signatures: target }),
      tag: 'v1',
      commit: async () => undefined,
      abort: async () => undefined,
    }),
    select: 'all',
    attached: true,
    preserveDigests: false,
    temporaryFolder: '/nonexistent',
  }
}
