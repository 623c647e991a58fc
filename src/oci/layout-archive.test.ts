import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CosignetError, collectBytes, type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { type ArchivedImage, openLayoutArchive } from './layout-archive.ts'
import { createLayoutArchive } from './layout-archive-destination.ts'
import { UNNAMED } from './layout-index.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { encodeTarHeader, tarPadding } from './tar-header.ts'

let folder: string
let path: string
let opened: ArchivedImage[] = []
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-archive-'))
  path = join(folder, 'image.tar')
})
afterEach(async () => {
  for (const image of opened) await image.close()
  opened = []
  await rm(folder, { recursive: true })
})

const config = { mediaType: 'a/b', digest: digestOf(encodeUtf8('{}')), size: 2 }

function manifest(extra: object = {}): Manifest {
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [], ...extra }
  return parseManifest(encodeUtf8(JSON.stringify(document)), undefined, 'It')
}

function descriptorOf({ mediaType, digest, bytes }: Manifest): object {
  return { mediaType, digest, size: bytes.byteLength }
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${digestParts(digest).hex}`
}

async function open(image?: string | number): Promise<ArchivedImage> {
  const archive = await openLayoutArchive(path, { image, temporaryFolder: folder })
  opened.push(archive)
  return archive
}

function tar(files: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const members = Object.entries(files).flatMap(([name, content]) => {
    const bytes = Buffer.from(content)
    return [encodeTarHeader(name, bytes.byteLength), bytes, Buffer.alloc(tarPadding(bytes.byteLength))]
  })
  return Buffer.concat([...members, Buffer.alloc(1024)])
}

function layoutFiles(
  image: Manifest,
  entry: object = descriptorOf(image),
): Record<string, string | Uint8Array> {
  return {
    [blobName(image.digest)]: image.bytes,
    [blobName(config.digest)]: '{}',
    'index.json': JSON.stringify({ schemaVersion: 2, manifests: [entry] }),
    'oci-layout': '{"imageLayoutVersion":"1.0.0"}',
  }
}

describe('createLayoutArchive', () => {
  it('writes an archive that reads as a layout', async () => {
    const image = manifest()
    const signatures = manifest({ annotations: { n: '1' } })
    const referrer = manifest({ subject: descriptorOf(image), artifactType: 'x/y' })
    const tag = `${image.digest.replace(':', '-')}.sig`
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    const content = async function* (): AsyncGenerator<Uint8Array> {
      yield encodeUtf8('{')
      yield encodeUtf8('}')
    }
    const outcomes = [archive.putBlob(config, content), archive.putBlob(config, content)]
    expect(await Promise.all(outcomes)).toEqual(['written', 'present'])
    await archive.putManifest(signatures, { tag })
    await archive.putManifest(referrer)
    await archive.putManifest(image, { tag: UNNAMED })
    expect(await readdir(folder)).not.toContain('image.tar')
    await archive.commit()
    await archive.abort()
    expect(await readdir(folder)).toEqual(['image.tar'])
    const read = await open()
    expect(read.name).toBe(`oci-archive:${path}`)
    expect(read.root.digest).toBe(image.digest)
    expect((await read.getManifest(tag)).digest).toBe(signatures.digest)
    expect(await read.listReferrers(image.digest)).toMatchObject([descriptorOf(referrer)])
    expect(Buffer.from(await collectBytes(read.getBlob(config), 2, 'It')).toString()).toBe('{}')
  })

  it('replaces what is there at the end, and not before', async () => {
    await writeFile(path, 'before')
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    await archive.putManifest(manifest(), { tag: 'v1' })
    expect(await readFile(path, 'utf8')).toBe('before')
    await archive.abort()
    expect(await readdir(folder)).toEqual(['image.tar'])
    expect(await readFile(path, 'utf8')).toBe('before')
  })

  it.each<[string, () => AsyncIterable<Uint8Array>, ErrorCode]>([
    ['a wrong digest', () => stream('no'), 'DIGEST_MISMATCH'],
    ['too little', () => stream('{'), 'DIGEST_MISMATCH'],
    ['too much', () => stream('{}}'), 'DIGEST_MISMATCH'],
    ['a broken stream', () => broken(new CosignetError('UNAVAILABLE', 'It broke.')), 'UNAVAILABLE'],
    ['a full disk', () => broken(Object.assign(new Error('x'), { code: 'ENOSPC' })), 'FILE'],
  ])('stores no blob of %s, and leaves nothing', async (_name, content, code) => {
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    await expect(archive.putBlob(config, content)).rejects.toMatchObject({ code })
    expect(await archive.putBlob(config, encodeUtf8('{}'))).toBe('written')
    await archive.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('is whole without a blob that was not to be had', async () => {
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    const gone = (): AsyncIterable<Uint8Array> => broken(new CosignetError('NOT_FOUND', 'It is gone.'))
    await expect(archive.putBlob(config, gone)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await archive.putManifest(manifest(), { tag: 'v1' })
    await archive.commit()
    expect((await open('v1')).root.digest).toBe(manifest().digest)
  })

  it('stores no manifest that does not have its digest', async () => {
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    const wrong = { ...manifest(), digest: config.digest }
    await expect(archive.putManifest(wrong)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('has no tag yet that could stand for something', async () => {
    const archive = createLayoutArchive(path, { temporaryFolder: folder })
    await archive.putManifest(manifest(), { tag: 'v1', ifMatch: config.digest })
    await expect(archive.commit()).rejects.toMatchObject({ code: 'CONFLICT' })
    await archive.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('cannot be written where there is a file in the way', async () => {
    await writeFile(path, '')
    const archive = createLayoutArchive(join(path, 'image.tar'), { temporaryFolder: folder })
    await expect(archive.putBlob(config, encodeUtf8('{}'))).rejects.toMatchObject({ code: 'FILE' })
    await archive.abort()
  })
})

describe('openLayoutArchive', () => {
  it('finds an image by name and by place, also in a compressed archive', async () => {
    const image = manifest()
    const entry = { ...descriptorOf(image), annotations: { 'org.opencontainers.image.ref.name': 'v1' } }
    await writeFile(path, gzipSync(tar(layoutFiles(image, entry))))
    expect((await open('v1')).root.digest).toBe(image.digest)
    expect((await open(0)).name).toBe(`oci-archive:${path}:@0`)
    await expect(open('v2')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await readdir(folder)).toEqual(['image.tar'])
  })

  it.each<[string, Record<string, string | Uint8Array>, ErrorCode]>([
    ['no layout', { 'manifest.json': '[]' }, 'INVALID_IMAGE'],
    ['no index', { 'oci-layout': '{"imageLayoutVersion":"1.0.0"}' }, 'INVALID_IMAGE'],
    ['a member outside', { '../index.json': '{}' }, 'INVALID_IMAGE'],
    ['an absolute member', { '/index.json': '{}' }, 'INVALID_IMAGE'],
    [
      'a digest that is a path (CVE-2024-3727)',
      layoutFiles(manifest(), {
        mediaType: MEDIA_TYPES.ociManifest,
        digest: 'sha256:../../index.json',
        size: 1,
      }),
      'INVALID_MANIFEST',
    ],
  ])('refuses an archive with %s', async (_name, files, code) => {
    await writeFile(path, tar(files))
    await expect(open()).rejects.toMatchObject({ code })
  })

  it.each<[string, string, ErrorCode]>([
    ['of another digest', 'no', 'DIGEST_MISMATCH'],
    ['of another size', '{} ', 'DIGEST_MISMATCH'],
  ])('does not give out a blob %s', async (_name, content, code) => {
    await writeFile(path, tar({ ...layoutFiles(manifest()), [blobName(config.digest)]: content }))
    const read = collectBytes((await open()).getBlob(config), 10, 'It')
    await expect(read).rejects.toMatchObject({ code })
  })

  it('stops reading a blob when it is told to', async () => {
    await writeFile(path, tar(layoutFiles(manifest())))
    const stop = new AbortController()
    const blob = (await open()).getBlob(config, stop.signal)
    stop.abort()
    await expect(collectBytes(blob, 2, 'It')).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('tells what is not there, and where it is cut', async () => {
    const { [blobName(config.digest)]: _, ...files } = layoutFiles(manifest())
    await writeFile(path, tar(files))
    const read = collectBytes((await open()).getBlob(config), 10, 'It')
    await expect(read).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await writeFile(path, tar(files).subarray(0, 700))
    await expect(open()).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await rm(path)
    await expect(open()).rejects.toMatchObject({ code: 'FILE' })
    await mkdir(path)
    await expect(open()).rejects.toMatchObject({ code: 'FILE' })
  })
})

async function* stream(content: string): AsyncGenerator<Uint8Array> {
  yield encodeUtf8(content)
}

async function* broken(error: Error): AsyncGenerator<Uint8Array> {
  yield encodeUtf8('{')
  throw error
}
