import { describe, expect, it } from 'vitest'
import {
  FIRST_PAYLOAD,
  SECOND_MANIFEST,
  SECOND_PAYLOAD,
  SIGNED_DIGEST,
} from '../../test/fixtures/cosign-signatures.ts'
import { MemoryImageStore, type MemoryStoreFaults } from '../../test/fixtures/memory-image-store.ts'
import { CosignetError } from '../core/index.ts'
import { type Descriptor, digestOf, MEDIA_TYPES } from '../oci/index.ts'
import { listBundleReferrers, readAttachments, readEachAttachment, signatureTag } from './index.ts'

const TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json'

describe('readAttachments', () => {
  it('reads what cosign wrote', async () => {
    const read = await readAttachments(
      storeOf(SECOND_MANIFEST, [FIRST_PAYLOAD, SECOND_PAYLOAD]),
      SIGNED_DIGEST,
    )
    expect(Buffer.from(read?.manifest.bytes ?? '').toString()).toBe(SECOND_MANIFEST)
    const layers = JSON.parse(SECOND_MANIFEST).layers
    expect(
      read?.attachments.map(({ payload, signature, descriptor }) => [
        String(payload),
        signature,
        descriptor.size,
      ]),
    ).toEqual([
      [FIRST_PAYLOAD, layers[0].annotations['dev.cosignproject.cosign/signature'], 239],
      [SECOND_PAYLOAD, layers[1].annotations['dev.cosignproject.cosign/signature'], 272],
    ])
  })

  it('fetches a payload once, keeps other media types, certificates and bundles', async () => {
    const store = storeOf(
      manifestOf([
        layerOf('a', { mediaType: 'text/plain' }),
        layerOf('a', {
          annotations: { 'dev.sigstore.cosign/certificate': 'C', 'dev.sigstore.cosign/bundle': 'B' },
        }),
      ]),
      ['a'],
    )
    const read = await readAttachments(store, SIGNED_DIGEST)
    expect(
      read?.attachments.map(({ descriptor, certificate, bundle }) => [
        descriptor.mediaType,
        certificate,
        bundle,
      ]),
    ).toEqual([
      ['text/plain', undefined, undefined],
      [TYPE, 'C', 'B'],
    ])
    expect(store.calls.filter((call) => call.startsWith('getBlob'))).toHaveLength(1)
  })

  it('fetches a few payloads at once and keeps their order', async () => {
    const payloads = Array.from({ length: 20 }, (_, i) => `payload ${i}`)
    let running = 0
    let most = 0
    const store = storeOf(manifestOf(payloads.map((text) => layerOf(text))), payloads, {
      beforeGetBlob: async () => {
        running += 1
        most = Math.max(most, running)
        await new Promise((resolve) => setTimeout(resolve, 1))
        running -= 1
      },
    })
    const read = await readAttachments(store, SIGNED_DIGEST)
    expect(read?.attachments.map(({ payload }) => String(payload))).toEqual(payloads)
    expect(most).toBeGreaterThan(1)
    expect(most).toBeLessThanOrEqual(6)
  })

  it('answers undefined where there is no signature tag, and only there', async () => {
    expect(await readAttachments(new MemoryImageStore(), SIGNED_DIGEST)).toBeUndefined()
    const missing = readAttachments(storeOf(manifestOf([layerOf('a')]), []), SIGNED_DIGEST)
    await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const store = new MemoryImageStore({
      beforeGetManifest: () => {
        throw new CosignetError('UNAUTHORIZED', 'Who are you?')
      },
    })
    await expect(readAttachments(store, SIGNED_DIGEST)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it.each([
    ['CVE-2024-29902: a huge payload', manifestOf([layerOf('a', { size: 1024 * 1024 + 1 })]), 'TOO_LARGE'],
    [
      'CVE-2024-29902: many large payloads',
      manifestOf(Array.from({ length: 17 }, (_, i) => layerOf(`a${i}`, { size: 1024 * 1024 }))),
      'TOO_LARGE',
    ],
    [
      'CVE-2024-29903, CVE-2023-46737: endless signatures',
      manifestOf(Array.from({ length: 1001 }, () => layerOf('a'))),
      'INVALID_MANIFEST',
    ],
    ['a blob longer than it is said to be', manifestOf([layerOf('abcdef', { size: 2 })]), 'TOO_LARGE'],
    [
      'an index',
      `{"schemaVersion":2,"mediaType":"${MEDIA_TYPES.ociIndex}","manifests":[]}`,
      'INVALID_SIGNATURE',
    ],
  ])('refuses %s', async (_, manifest, code) => {
    const store = storeOf(manifest, ['abcdef'])
    await expect(readAttachments(store, SIGNED_DIGEST)).rejects.toMatchObject({ code })
  })
})

describe('readEachAttachment', () => {
  const each = async (manifest: string, payloads: readonly string[], faults?: MemoryStoreFaults) => {
    const store = storeOf(manifest, payloads, faults)
    const found = await readEachAttachment(store, await store.getManifest(signatureTag(SIGNED_DIGEST)))
    return found.map((one) => ('failure' in one ? one.failure.code : String(one.payload)))
  }

  it.each([
    ['is missing', layerOf('b'), 'NOT_FOUND'],
    ['is too large', layerOf('b', { size: 1024 * 1024 + 1 }), 'TOO_LARGE'],
    ['is longer than it is said to be', layerOf('long', { size: 2 }), 'TOO_LARGE'],
    ['is said to be of another size than the same one beside it', layerOf('good', { size: 2 }), 'TOO_LARGE'],
  ])('reads the others where one %s', async (_, bad, code) => {
    const payloads = ['good', 'long']
    expect(await each(manifestOf([layerOf('good'), bad]), payloads)).toEqual(['good', code])
    expect(await each(manifestOf([bad, layerOf('good')]), payloads)).toEqual([code, 'good'])
  })

  it('throws where the source cannot be reached, and beyond the size of all together', async () => {
    const beforeGetBlob = () => {
      throw new CosignetError('UNAVAILABLE', 'It does not answer.')
    }
    const one = each(manifestOf([layerOf('good')]), ['good'], { beforeGetBlob })
    await expect(one).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    const many = Array.from({ length: 17 }, (_, i) => layerOf(`a${i}`, { size: 1024 * 1024 }))
    await expect(each(manifestOf(many), [])).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})

describe('listBundleReferrers', () => {
  it('keeps the bundles', async () => {
    const store = new MemoryImageStore()
    const entries: Descriptor[] = [
      {
        ...layerOf('1'),
        mediaType: MEDIA_TYPES.ociManifest,
        artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
      },
      { ...layerOf('2'), mediaType: MEDIA_TYPES.ociManifest, artifactType: 'application/spdx+json' },
      { ...layerOf('3'), mediaType: MEDIA_TYPES.ociManifest },
    ]
    store.referrers.set(SIGNED_DIGEST, entries)
    expect(await listBundleReferrers(store, SIGNED_DIGEST)).toEqual([entries[0]])
  })
})

function storeOf(
  manifest: string,
  payloads: readonly string[],
  faults?: MemoryStoreFaults,
): MemoryImageStore {
  const store = new MemoryImageStore(faults)
  for (const text of payloads) store.blobs.set(digestOf(Buffer.from(text)), Buffer.from(text))
  const bytes = Buffer.from(manifest)
  const digest = digestOf(bytes)
  store.manifests.set(digest, { bytes, digest, mediaType: JSON.parse(manifest).mediaType })
  store.tags.set(signatureTag(SIGNED_DIGEST), digest)
  return store
}

function manifestOf(layers: readonly Descriptor[]): string {
  const config = { ...layerOf('{}'), mediaType: MEDIA_TYPES.ociConfig }
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers })
}

function layerOf(text: string, more: Partial<Descriptor> = {}): Descriptor {
  const bytes = Buffer.from(text)
  return { mediaType: TYPE, digest: digestOf(bytes), size: bytes.byteLength, ...more }
}
