import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes, type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { openLayout } from './layout.ts'
import { MEDIA_TYPES } from './manifest.ts'

let layout: string
beforeEach(async () => {
  layout = await mkdtemp(join(tmpdir(), 'cosignet-layout-'))
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
})
afterEach(async () => {
  await rm(layout, { recursive: true })
})

interface Entry {
  readonly mediaType: string
  readonly digest: Digest
  readonly size: number
}

async function putBlob(content: string, mediaType = 'a/b'): Promise<Entry> {
  const digest = digestOf(encodeUtf8(content))
  const { algorithm, hex } = digestParts(digest)
  await mkdir(join(layout, 'blobs', algorithm), { recursive: true })
  await writeFile(join(layout, 'blobs', algorithm, hex), content)
  return { mediaType, digest, size: Buffer.byteLength(content) }
}

async function putImage(extra: object = {}): Promise<Entry> {
  const config = await putBlob('{}')
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [], ...extra }
  return await putBlob(JSON.stringify(document), MEDIA_TYPES.ociManifest)
}

async function putIndex(...manifests: object[]): Promise<void> {
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
}

function named(entry: Entry, ref: string): object {
  return { ...entry, annotations: { 'org.opencontainers.image.ref.name': ref } }
}

describe('openLayout', () => {
  it('finds an image by name, by digest, or because it is the only one', async () => {
    const [one, two] = [await putImage(), await putImage({ annotations: { a: 'b' } })]
    await putIndex(named(one, 'v1'), named(two, 'v2'))
    const opened = await openLayout(layout, 'v2')
    expect(opened.name).toBe(`oci:${layout}:v2`)
    expect(opened.root).toMatchObject(two)
    expect((await opened.getManifest('v1')).digest).toBe(one.digest)
    expect((await opened.getManifest(one.digest)).digest).toBe(one.digest)
    await putIndex(one)
    expect((await openLayout(layout)).root).toEqual(one)
  })

  it('reads blobs and checks them', async () => {
    await putIndex(await putImage())
    const entry = await putBlob('hello')
    const opened = await openLayout(layout)
    const read = async (size: number): Promise<string> =>
      Buffer.from(await collectBytes(opened.getBlob({ ...entry, size }), 100, 'It')).toString()
    expect(await read(5)).toBe('hello')
    await expect(read(4)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await writeFile(join(layout, 'blobs/sha256', digestParts(entry.digest).hex), 'hellO')
    await expect(read(5)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await rm(join(layout, 'blobs/sha256', digestParts(entry.digest).hex))
    await expect(read(5)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('lists what refers to an image', async () => {
    const image = await putImage()
    const referrer = await putImage({ subject: image, artifactType: 'x/y', annotations: { k: 'v' } })
    await putIndex(named(image, 'v1'), referrer)
    const opened = await openLayout(layout, 'v1')
    expect(await opened.listReferrers(image.digest)).toEqual([
      { ...referrer, artifactType: 'x/y', annotations: { k: 'v' } },
    ])
    expect(await opened.listReferrers(referrer.digest)).toEqual([])
  })

  it('refuses a manifest that does not have its digest', async () => {
    const image = await putImage()
    await putIndex(image)
    await writeFile(join(layout, 'blobs/sha256', digestParts(image.digest).hex), '{}')
    const opened = await openLayout(layout)
    await expect(opened.getManifest(image.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('needs a name where there are several, and one that is there', async () => {
    const image = await putImage()
    await putIndex(named(image, 'v1'), named(image, 'v2'))
    await expect(openLayout(layout)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
      hint: 'There are "v1, v2".',
    })
    await expect(openLayout(layout, 'v3')).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it.each<[string, string, string, ErrorCode]>([
    ['another version', 'oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'INVALID_IMAGE'],
    ['no version', 'oci-layout', 'null', 'INVALID_IMAGE'],
    ['a broken layout file', 'oci-layout', '{', 'INVALID_IMAGE'],
    ['a digest that is a path (CVE-2024-3727)', 'index.json', pathIndex(), 'INVALID_MANIFEST'],
    ['an index that is none', 'index.json', '[]', 'INVALID_MANIFEST'],
    ['a broken index', 'index.json', '{', 'INVALID_JSON'],
  ])('refuses %s', async (_name, file, content, code) => {
    await putIndex(await putImage())
    await writeFile(join(layout, file), content)
    await expect(openLayout(layout)).rejects.toMatchObject({ code })
  })

  it('refuses a folder that is no layout, and one that is not there', async () => {
    await rm(join(layout, 'oci-layout'))
    await expect(openLayout(layout)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await expect(openLayout(join(layout, 'gone'))).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
  })
})

function pathIndex(): string {
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest: 'sha256:../../../../etc/passwd', size: 1 }
  return JSON.stringify({ schemaVersion: 2, manifests: [entry] })
}
