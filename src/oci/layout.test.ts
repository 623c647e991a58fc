import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes, type ErrorCode, encodeUtf8, LIMITS } from '../core/index.ts'
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
    const other = await putImage({ annotations: { a: 'b' } })
    await putIndex({ ...other, size: other.size + 1 })
    const { root, getManifest } = await openLayout(layout)
    await expect(getManifest(root.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('needs a name where there are several, and one that is there', async () => {
    const [one, two] = [await putImage(), await putImage({ annotations: { a: 'b' } })]
    await putIndex(named(one, 'v1'), two)
    await expect(openLayout(layout)).rejects.toMatchObject({
      code: 'INVALID_REFERENCE',
      hint: 'There are "v1, @1".',
    })
    await expect(openLayout(layout, 'v3')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await putIndex(named(one, 'v1'), named(one, 'v2'))
    expect((await openLayout(layout)).root).toMatchObject(one)
  })

  it('finds an image by its place', async () => {
    const [one, two] = [await putImage(), await putImage({ annotations: { a: 'b' } })]
    await putIndex(named(one, 'v1'), named(two, 'v1'))
    const opened = await openLayout(layout, 1)
    expect(opened.name).toBe(`oci:${layout}:@1`)
    expect(opened.root).toMatchObject(two)
    await expect(openLayout(layout, 2)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(openLayout(layout, 'v1')).rejects.toMatchObject({ hint: 'There are "v1, v1".' })
  })

  it('does not count what goes with an image', async () => {
    const image = await putImage()
    const hex = digestParts(image.digest).hex
    const signatures = await putImage({ annotations: { a: 'signatures' } })
    const list = await putBlob('{"schemaVersion":2,"manifests":[]}', MEDIA_TYPES.ociIndex)
    const referrer = await putImage({ subject: image })
    await putIndex(
      named(signatures, `sha256-${hex}.sig`),
      referrer,
      named(list, `sha256-${hex}`),
      named(image, 'v1'),
    )
    const opened = await openLayout(layout)
    expect(opened.root).toMatchObject(image)
    expect((await opened.getManifest(`sha256-${hex}.sig`)).digest).toBe(signatures.digest)
  })

  // The entries that `cosign save` of cosign 2.5 and 3.1 writes: kinds and no names.
  it('finds signatures and bundles in a layout of cosign save', async () => {
    const image = await putImage()
    const bundle = await putImage({
      subject: image,
      artifactType: 'application/vnd.dev.sigstore.bundle.v0.3+json',
    })
    const [signatures, attestations] = [
      await putImage({ annotations: { a: '1' } }),
      await putImage({ annotations: { a: '2' } }),
    ]
    const kind = (entry: Entry, name: string): object => ({
      ...entry,
      annotations: { kind: `dev.cosignproject.cosign/${name}` },
    })
    await putIndex(kind(image, 'image'), kind(signatures, 'sigs'), kind(attestations, 'atts'))
    const opened = await openLayout(layout)
    expect(opened.root).toMatchObject(image)
    const tag = image.digest.replace(':', '-')
    expect((await opened.getManifest(`${tag}.sig`)).digest).toBe(signatures.digest)
    expect((await opened.getManifest(`${tag}.att`)).digest).toBe(attestations.digest)
    expect(await opened.listReferrers(image.digest)).toMatchObject([bundle])
  })

  it('lists what the list under the referrers tag names, as regclient keeps it', async () => {
    const image = await putImage()
    const referrer = await putImage({ subject: image, artifactType: 'x/y' })
    const other = await putImage({ subject: referrer })
    const gone = { ...referrer, digest: digestOf(encodeUtf8('gone')) }
    const list = await putBlob(
      JSON.stringify({ schemaVersion: 2, manifests: [referrer, other, gone] }),
      MEDIA_TYPES.ociIndex,
    )
    await putIndex(named(image, 'v1'), named(list, image.digest.replace(':', '-')))
    const opened = await openLayout(layout, 'v1')
    expect(await opened.listReferrers(image.digest)).toEqual([{ ...referrer, artifactType: 'x/y' }])
  })

  it('passes over entries that are no manifests (image-layout.md)', async () => {
    const image = await putImage()
    const stream = await putBlob('<xml/>', 'application/xml')
    await putIndex(named(image, 'v1'), stream, { ...image, digest: digestOf(encodeUtf8('gone')) })
    const opened = await openLayout(layout, 'v1')
    expect(await opened.listReferrers(image.digest)).toEqual([])
  })

  it('reads a blob that is a link, and no device', async () => {
    const image = await putImage()
    await putIndex(image)
    const outside = await mkdtemp(join(tmpdir(), 'cosignet-outside-'))
    const blob = await putBlob('hello')
    const file = join(layout, 'blobs/sha256', digestParts(blob.digest).hex)
    await rename(file, join(outside, 'blob'))
    await symlink(join(outside, 'blob'), file)
    const opened = await openLayout(layout)
    expect(Buffer.from(await collectBytes(opened.getBlob(blob), 5, 'It')).toString()).toBe('hello')
    await writeFile(join(outside, 'blob'), 'a secret')
    const read = collectBytes(opened.getBlob({ ...blob, size: 8 }), 100, 'It')
    await expect(read).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await rm(outside, { recursive: true })
    await rm(join(layout, 'index.json'))
    await symlink('/dev/zero', join(layout, 'index.json'))
    await expect(openLayout(layout)).rejects.toMatchObject({ code: 'FILE' })
  })

  it.each<[string, string, string, ErrorCode]>([
    ['another version', 'oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'INVALID_IMAGE'],
    ['no version', 'oci-layout', 'null', 'INVALID_IMAGE'],
    ['a broken layout file', 'oci-layout', '{', 'INVALID_IMAGE'],
    ['a digest that is a path (CVE-2024-3727)', 'index.json', pathIndex(), 'INVALID_MANIFEST'],
    ['an index that is none', 'index.json', '[]', 'INVALID_MANIFEST'],
    ['a broken index', 'index.json', '{', 'INVALID_JSON'],
    ['an index that is an image', 'index.json', imageDocument(), 'INVALID_MANIFEST'],
    ['an index of too many entries', 'index.json', hugeIndex(1001), 'INVALID_MANIFEST'],
    ['an index that is too large', 'index.json', ' '.repeat(LIMITS.manifestBytes + 1), 'TOO_LARGE'],
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

function hugeIndex(count: number): string {
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest: digestOf(encodeUtf8('')), size: 0 }
  return JSON.stringify({ schemaVersion: 2, manifests: Array.from({ length: count }, () => entry) })
}

function imageDocument(): string {
  const config = { mediaType: 'a/b', digest: digestOf(encodeUtf8('')), size: 0 }
  return JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [] })
}

function pathIndex(): string {
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest: 'sha256:../../../../etc/passwd', size: 1 }
  return JSON.stringify({ schemaVersion: 2, manifests: [entry] })
}
