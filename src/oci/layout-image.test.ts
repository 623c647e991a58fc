import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CosignetError, encodeUtf8, LIMITS } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import type { ImageFiles } from './layout-files.ts'
import { openLayoutImage } from './layout-image.ts'
import { MEDIA_TYPES } from './manifest.ts'

const LAYOUT = '{"imageLayoutVersion":"1.0.0"}'
const NONE = digestOf(encodeUtf8('not there'))

interface Entry {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

/** A layout in memory that notes which files are asked for. */
class MemoryFiles implements ImageFiles {
  readonly name = 'oci:memory'
  readonly asked = new Set<string>()
  readonly #files = new Map<string, string>([['oci-layout', LAYOUT]])

  put(content: string, algorithm: 'sha256' | 'sha512' = 'sha256'): Entry {
    const digest = digestOf(encodeUtf8(content), algorithm)
    this.#files.set(`blobs/${algorithm}/${digestParts(digest).hex}`, content)
    return { mediaType: MEDIA_TYPES.ociManifest, digest, size: Buffer.byteLength(content) }
  }

  putIndex(...manifests: readonly unknown[]): this {
    this.#files.set('index.json', JSON.stringify({ schemaVersion: 2, manifests }))
    return this
  }

  async readSmall(file: string, limit: number): Promise<Uint8Array> {
    this.asked.add(file)
    const content = this.#files.get(file)
    if (content === undefined) throw new CosignetError('NOT_FOUND', `There is no ${file}.`)
    if (content.length > limit) throw new CosignetError('TOO_LARGE', `${file} is too large.`)
    return encodeUtf8(content)
  }

  async *readBlob(file: string): AsyncGenerator<Uint8Array> {
    yield await this.readSmall(file, LIMITS.manifestBytes)
  }

  async *list(folder: string): AsyncGenerator<string> {
    for (const file of this.#files.keys()) {
      if (file.startsWith(`${folder}/`)) yield file.slice(folder.length + 1)
    }
  }
}

function image(extra: object = {}): string {
  const config = { mediaType: 'a/b', digest: NONE, size: 0 }
  return JSON.stringify({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config,
    layers: [],
    ...extra,
  })
}

function saved(entry: Entry): Entry {
  return { ...entry, annotations: { kind: 'dev.cosignproject.cosign/image' } }
}

describe('openLayoutImage', () => {
  it('asks for no files but those of the layout, whatever the index says (CVE-2024-3727)', async () => {
    const digest = fc.oneof(
      fc.string(),
      fc.constantFrom('sha256:../../etc/passwd', 'sha256:', '../x', `sha256:${'A'.repeat(64)}`, NONE),
      fc.stringMatching(/^sha(?:256|512):[0-9a-f./]{64}$/),
    )
    const text = fc.oneof(fc.string(), fc.constantFrom('v1', `${NONE.replace(':', '-')}.sig`))
    const entry = fc.record({
      mediaType: fc.constantFrom(MEDIA_TYPES.ociManifest, MEDIA_TYPES.ociIndex, 'a/b'),
      digest,
      size: fc.oneof(fc.nat(), fc.anything()),
      annotations: fc.record({ 'org.opencontainers.image.ref.name': text, kind: text }, { requiredKeys: [] }),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(entry, fc.jsonValue())), text, async (entries, tag) => {
        const files = new MemoryFiles().putIndex(...entries)
        try {
          const opened = await openLayoutImage(files)
          await opened.listReferrers(NONE)
          await opened.getManifest(tag)
        } catch (error) {
          expect(error).toBeInstanceOf(CosignetError)
        }
        for (const file of files.asked) {
          expect(file).toMatch(/^(?:oci-layout|index\.json|blobs\/sha(?:256|384|512)\/[0-9a-f]{64,128})$/)
        }
      }),
      { numRuns: 200 },
    )
  })

  it('gives a manifest the digest by which it is named', async () => {
    const files = new MemoryFiles()
    const entry = files.put(image(), 'sha512')
    const opened = await openLayoutImage(files.putIndex(entry))
    expect((await opened.getManifest(opened.root.digest)).digest).toBe(entry.digest)
  })

  it('does not take an image of two kinds (CVE-2021-41190)', async () => {
    const files = new MemoryFiles()
    const opened = await openLayoutImage(files.putIndex(files.put(image({ manifests: [] }))))
    await expect(opened.getManifest(opened.root.digest)).rejects.toMatchObject({ code: 'INVALID_MANIFEST' })
    const typed = { ...files.put(image()), mediaType: MEDIA_TYPES.ociIndex }
    const other = await openLayoutImage(files.putIndex(typed))
    await expect(other.getManifest(typed.digest)).rejects.toMatchObject({ code: 'INVALID_MANIFEST' })
  })

  it('bounds what it reads to find referrers', async () => {
    const files = new MemoryFiles()
    const subject = files.put(image())
    const filler = 'x'.repeat(3 * 1024 * 1024)
    const count = Math.ceil(LIMITS.referrersBytes / filler.length)
    const large = Array.from({ length: count }, (_, i) =>
      files.put(image({ subject, annotations: { [`n${i}`]: filler } })),
    )
    const named = { ...subject, annotations: { 'org.opencontainers.image.ref.name': 'v1' } }
    const opened = await openLayoutImage(files.putIndex(named, ...large), 'v1')
    await expect(opened.listReferrers(subject.digest)).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('bounds how many files it looks through in a layout of cosign save', async () => {
    const files = new MemoryFiles()
    const subject = files.put(image())
    const referrer = files.put(image({ subject }))
    const large = files.put(image({ subject, annotations: { a: 'x'.repeat(64 * 1024) } }))
    files.put('no manifest')
    const opened = await openLayoutImage(files.putIndex(saved(subject)))
    expect(await opened.listReferrers(subject.digest)).toMatchObject([{ digest: referrer.digest }])
    expect(files.asked).toContain(`blobs/sha256/${digestParts(large.digest).hex}`)
    for (let n = 0; n < LIMITS.unlistedBlobs; n += 1) files.put(`${n}`)
    const many = await openLayoutImage(files)
    await expect(many.listReferrers(subject.digest)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: 'oci:memory has more than the limit of 10000 blobs.',
    })
  })
})
