import { execFileSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { unpackTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { createDockerArchive } from './docker-archive-destination.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { parseReference } from './reference.ts'
import type { StagedDestination } from './store.ts'

const ONE = Buffer.alloc(5000, 'one')
const TWO = Buffer.alloc(70_000, 'two')

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-docker-'))
  path = join(folder, 'a.tar')
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

describe('writing a docker archive', () => {
  it.each([
    ['plain', MEDIA_TYPES.ociLayer, (bytes: Buffer) => bytes],
    ['gzip', MEDIA_TYPES.ociLayerGzip, gzipSync],
    ['zstd', MEDIA_TYPES.ociLayerZstd, zstdCompressSync],
    ['gzip that says it is plain', MEDIA_TYPES.ociLayer, gzipSync],
  ])('unpacks layers in %s, and names members as containers/image does', async (_name, mediaType, pack) => {
    const image = imageOf([ONE, TWO], [blob(pack(ONE), mediaType), blob(pack(TWO), mediaType)])
    const archive = await create('example.com/a/b:c')
    expect(await putAll(archive, image)).toEqual(['written', 'written', 'written'])
    await archive.commit()
    const config = `${hexOf(image.config.bytes)}.json`
    const layers = [`${hexOf(ONE)}.tar`, `${hexOf(TWO)}.tar`]
    const members = await membersOf(path)
    expect([...members.keys()]).toEqual([...layers, config, 'manifest.json'])
    expect(members.get(layers[1] ?? '')).toBe(TWO.toString())
    expect(members.get(config)).toBe(image.config.bytes.toString())
    // As skopeo 1.22.0 writes it.
    expect(members.get('manifest.json')).toBe(
      `[{"Config":"${config}","RepoTags":["example.com/a/b:c"],"Layers":["${layers[0]}","${layers[1]}"]}]`,
    )
    expect(await readdir(folder)).toEqual(['a.tar'])
  })

  it('writes full names, or none', async () => {
    for (const [reference, tags] of [
      ['busybox', '["docker.io/library/busybox:latest"]'],
      [undefined, '[]'],
    ] as const) {
      const archive = await create(reference)
      await putAll(archive, imageOf([], []))
      await archive.commit()
      expect((await membersOf(path)).get('manifest.json')).toContain(`"RepoTags":${tags}`)
      await rm(path)
    }
  })

  it('gives the same bytes for the same image', async () => {
    const write = async (): Promise<Digest> => {
      const archive = await create('a')
      await putAll(archive, imageOf([ONE], [blob(gzipSync(ONE), MEDIA_TYPES.ociLayerGzip)]))
      await archive.commit()
      const bytes = await readFile(path)
      await rm(path)
      return digestOf(bytes)
    }
    expect(await write()).toBe(await write())
  })

  it('writes a layer once that came in two forms', async () => {
    const image = imageOf([ONE, ONE], [blob(gzipSync(ONE)), blob(zstdCompressSync(ONE))])
    const archive = await create('a')
    await putAll(archive, image)
    expect(await archive.putBlob(image.layers[0]?.descriptor ?? image.config.descriptor, ONE)).toBe('present')
    await archive.commit()
    expect((await membersOf(path)).size).toBe(3)
    expect((await membersOf(path)).get('manifest.json')).toContain(
      `["${hexOf(ONE)}.tar","${hexOf(ONE)}.tar"]`,
    )
  })

  it('is read by tar, the docker way', async () => {
    const archive = await create('a')
    await putAll(archive, imageOf([ONE], [blob(gzipSync(ONE))]))
    await archive.commit()
    expect(execFileSync('tar', ['-xOf', path, `${hexOf(ONE)}.tar`]).equals(ONE)).toBe(true)
  })

  it('takes an empty file for a place, as mktemp makes it', async () => {
    await writeFile(path, '')
    const archive = await create('a')
    await putAll(archive, imageOf([], []))
    await archive.commit()
    expect((await stat(path)).size).toBeGreaterThan(0)
  })
})

describe('what a docker archive refuses', () => {
  it('is to change one that is there', async () => {
    await writeFile(path, 'before')
    await expect(create('a')).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `The archive ${JSON.stringify(path)} exists already, and a docker-archive: cannot be changed.`,
    })
    expect(await readFile(path, 'utf8')).toBe('before')
  })

  it('is to replace one that came in the meantime', async () => {
    const archive = await create('a')
    await putAll(archive, imageOf([], []))
    await writeFile(path, 'other')
    await expect(archive.commit()).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    await archive.abort()
    expect(await readdir(folder)).toEqual(['a.tar'])
    expect(await readFile(path, 'utf8')).toBe('other')
  })

  it.each([
    [
      'an index',
      manifestOf({ manifests: [] }, MEDIA_TYPES.ociIndex),
      'UNSUPPORTED',
      'holds one image and no index.',
    ],
    [
      'a layer too few',
      imageOf([ONE, TWO], [blob(ONE)]),
      'INVALID_IMAGE',
      'has 1 layers, and its configuration 2.',
    ],
    [
      'another layer',
      imageOf([ONE], [blob(gzipSync(TWO))]),
      'DIGEST_MISMATCH',
      `unpacks to sha256:${hexOf(TWO)}, not to sha256:${hexOf(ONE)}`,
    ],
    ['layers in another order', imageOf([TWO, ONE], [blob(ONE), blob(TWO)]), 'DIGEST_MISMATCH', 'unpacks to'],
    [
      'half a layer',
      imageOf([ONE], [blob(gzipSync(ONE).subarray(0, 20))]),
      'INVALID_IMAGE',
      'is not valid gzip',
    ],
    ['bzip2', imageOf([ONE], [blob(Buffer.from('BZh91AY&SY'))]), 'UNSUPPORTED', 'is compressed with bzip2'],
    [
      'an artifact',
      imageOf([], [], 'application/vnd.example'),
      'UNSUPPORTED',
      'the configuration of this manifest is "application/vnd.example".',
    ],
    ['a config without layers', withConfig('{}'), 'INVALID_IMAGE', 'is not a configuration'],
    ['a config that is no JSON', withConfig('{'), 'INVALID_JSON', 'The configuration sha256:'],
  ])('is %s', async (_name, image, code, message) => {
    const archive = await create('a')
    await expect(putAll(archive, image)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    })
    await archive.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('is a blob with another digest, even one that differs behind the end of its gzip', async () => {
    const archive = await create('a')
    const packed = gzipSync(ONE)
    const { descriptor } = blob(Buffer.concat([packed, Buffer.from([0])]))
    const chunks = async function* (): AsyncGenerator<Uint8Array> {
      yield packed
      yield Buffer.from([1])
    }
    await expect(archive.putBlob(descriptor, chunks)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    // Nothing of it stays: the right one can still be put.
    expect(await archive.putBlob(descriptor, Buffer.concat([packed, Buffer.from([0])]))).toBe('written')
    await archive.abort()
  })

  it('is a second image, and to end without one', async () => {
    const archive = await create('a')
    await putAll(archive, imageOf([], []))
    await expect(putAll(archive, imageOf([ONE], [blob(ONE)]))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
    await archive.abort()
    const empty = await create('a')
    await expect(empty.commit()).rejects.toMatchObject({ code: 'INTERNAL' })
    await empty.abort()
    expect(await readdir(folder)).toEqual([])
  })
})

interface Blob {
  readonly descriptor: Descriptor
  readonly bytes: Buffer
}

interface Image {
  readonly manifest: Manifest
  readonly config: Blob
  readonly layers: readonly Blob[]
}

function blob(bytes: Buffer, mediaType: string = MEDIA_TYPES.ociLayerGzip): Blob {
  return { descriptor: { mediaType, digest: digestOf(bytes), size: bytes.byteLength }, bytes }
}

/** An image whose configuration names `unpacked`, and whose manifest names `layers`. */
function imageOf(
  unpacked: readonly Buffer[],
  layers: readonly Blob[],
  configType: string = MEDIA_TYPES.ociConfig,
): Image {
  const document = { rootfs: { type: 'layers', diff_ids: unpacked.map((bytes) => digestOf(bytes)) } }
  return withConfig(JSON.stringify(document), layers, configType)
}

function withConfig(
  text: string,
  layers: readonly Blob[] = [],
  configType: string = MEDIA_TYPES.ociConfig,
): Image {
  const config = blob(Buffer.from(text), configType)
  const document = { config: config.descriptor, layers: layers.map(({ descriptor }) => descriptor) }
  return { ...manifestOf(document, MEDIA_TYPES.ociManifest), config, layers }
}

function manifestOf(document: object, mediaType: string): Image {
  const bytes = encodeUtf8(JSON.stringify({ schemaVersion: 2, mediaType, ...document }))
  return {
    manifest: parseManifest(bytes, mediaType, 'The manifest'),
    config: blob(Buffer.alloc(0)),
    layers: [],
  }
}

async function create(reference?: string): Promise<StagedDestination> {
  const references = reference === undefined ? [] : [parseReference(reference)]
  return await createDockerArchive(path, { references, temporaryFolder: folder })
}

async function putAll(archive: StagedDestination, image: Image): Promise<string[]> {
  const outcomes: string[] = []
  for (const { descriptor, bytes } of [...image.layers, image.config]) {
    outcomes.push(
      await archive.putBlob(descriptor, async function* () {
        yield bytes
      }),
    )
  }
  await archive.putManifest(image.manifest)
  return outcomes
}

async function membersOf(file: string): Promise<ReadonlyMap<string, string>> {
  const entries = await unpackTar(await readFile(file))
  return new Map(entries.map(({ header, data }) => [header.name, Buffer.from(data ?? []).toString()]))
}

function hexOf(bytes: Uint8Array): string {
  return digestParts(digestOf(bytes)).hex
}
