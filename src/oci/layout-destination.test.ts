import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CosignetError, collectBytes, type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { openLayout } from './layout.ts'
import { createLayout } from './layout-destination.ts'
import { UNNAMED } from './layout-index.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-layout-'))
  path = join(folder, 'layout')
})
afterEach(async () => {
  await chmod(folder, 0o700)
  await rm(folder, { recursive: true })
})

const config = blobOf('{}')

function blobOf(content: string): { mediaType: string; digest: Digest; size: number } {
  return { mediaType: 'a/b', digest: digestOf(encodeUtf8(content)), size: Buffer.byteLength(content) }
}

function manifest(extra: object = {}): Manifest {
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [], ...extra }
  return parseManifest(encodeUtf8(JSON.stringify(document)), undefined, 'It')
}

function descriptorOf({ mediaType, digest, bytes }: Manifest): object {
  return { mediaType, digest, size: bytes.byteLength }
}

async function put(image: Manifest, tag?: string): Promise<void> {
  const layout = await createLayout(path)
  await layout.putBlob(config, encodeUtf8('{}'))
  await layout.putManifest(image, tag === undefined ? {} : { tag })
  await layout.commit()
}

async function entries(): Promise<readonly object[]> {
  return JSON.parse(await readFile(join(path, 'index.json'), 'utf8')).manifests
}

function named(image: Manifest, name: string): object {
  return { ...descriptorOf(image), annotations: { 'org.opencontainers.image.ref.name': name } }
}

async function files(below = path): Promise<readonly string[]> {
  const names = await readdir(below, { recursive: true, withFileTypes: true })
  return names
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort()
}

describe('createLayout', () => {
  // What skopeo 1.22 writes for `copy dir:… oci:layout:v1`.
  it('writes a layout as skopeo does', async () => {
    const image = manifest()
    await put(image, 'v1')
    expect(await readFile(join(path, 'oci-layout'), 'utf8')).toBe('{"imageLayoutVersion":"1.0.0"}')
    expect(await readFile(join(path, 'index.json'), 'utf8')).toBe(
      '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[' +
        `{"mediaType":"${MEDIA_TYPES.ociManifest}","digest":"${image.digest}","size":${image.bytes.byteLength},` +
        '"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}',
    )
    const blobs = [config.digest, image.digest].map((digest) => digestParts(digest).hex)
    expect(await files()).toEqual([...blobs, 'index.json', 'oci-layout'].sort())
    expect((await stat(join(path, 'index.json'))).mode & 0o777).toBe(0o644)
    const opened = await openLayout(path, 'v1')
    expect(Buffer.compare((await opened.getManifest('v1')).bytes, image.bytes)).toBe(0)
  })

  it('gives entries to what is named, to an image without a name and to referrers', async () => {
    const platform = manifest()
    const index = parseManifest(
      encodeUtf8(JSON.stringify({ schemaVersion: 2, manifests: [descriptorOf(platform)] })),
      MEDIA_TYPES.ociIndex,
      'It',
    )
    const referrer = manifest({ subject: descriptorOf(index), artifactType: 'x/y' })
    const layout = await createLayout(path)
    await layout.putManifest(platform)
    await layout.putManifest(referrer)
    await layout.putManifest(index, { tag: UNNAMED })
    await layout.commit()
    expect(await entries()).toEqual([descriptorOf(index), descriptorOf(referrer)])
    const opened = await openLayout(path)
    expect(opened.root.digest).toBe(index.digest)
    expect(await opened.listReferrers(index.digest)).toMatchObject([descriptorOf(referrer)])
    expect((await opened.getManifest(platform.digest)).digest).toBe(platform.digest)
  })

  it('reads as it will be, so that signatures which are there can be kept', async () => {
    const [image, before, after] = [
      manifest(),
      manifest({ annotations: { n: '1' } }),
      manifest({ annotations: { n: '2' } }),
    ]
    const tag = `${image.digest.replace(':', '-')}.sig`
    const layout = await createLayout(path)
    await expect(layout.getManifest(tag)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await layout.listReferrers(image.digest)).toEqual([])
    await put(before, tag)
    expect((await layout.getManifest(tag)).digest).toBe(before.digest)
    await layout.putManifest(after, { tag, ifMatch: before.digest })
    expect((await layout.getManifest(tag)).digest).toBe(after.digest)
    await layout.putManifest(manifest({ subject: descriptorOf(image) }))
    expect(await layout.listReferrers(image.digest)).toHaveLength(1)
    const read = collectBytes(layout.getBlob(config), 2, 'It')
    expect(Buffer.from(await read).toString()).toBe('{}')
    await layout.commit()
    expect((await (await openLayout(path)).getManifest(tag)).digest).toBe(after.digest)
  })

  it('moves a name, and leaves all else as it is', async () => {
    const [one, two, three] = [
      manifest(),
      manifest({ annotations: { n: '2' } }),
      manifest({ annotations: { n: '3' } }),
    ]
    await put(one, 'v1')
    await put(two, 'v2')
    await put(three, 'v1')
    expect(await entries()).toEqual([named(two, 'v2'), named(three, 'v1')])
    await put(three, UNNAMED)
    await put(three, 'v1')
    expect(await entries()).toEqual([named(two, 'v2'), named(three, 'v1')])
    await put(two, 'v3')
    expect(await entries()).toEqual([named(two, 'v2'), named(three, 'v1'), named(two, 'v3')])
  })

  it('keeps what other tools wrote in the index', async () => {
    const image = manifest()
    await put(image, UNNAMED)
    const containerd = { 'io.containerd.image.name': 'docker.io/library/a:v1' }
    const other = { ...named(manifest({ annotations: { n: '1' } }), 'v1') } as { annotations: object }
    const theirs = { ...other, annotations: { ...containerd, ...other.annotations }, 'x-field': [1] }
    const platform = { os: 'linux', architecture: 'arm64' }
    const index = {
      schemaVersion: 2,
      manifests: [{ ...descriptorOf(image), platform }, theirs],
      annotations: { 'com.example.index.revision': 'r124356' },
    }
    await writeFile(join(path, 'index.json'), JSON.stringify(index, null, 2))
    await put(image, 'v1')
    expect(JSON.parse(await readFile(join(path, 'index.json'), 'utf8'))).toEqual({
      ...index,
      manifests: [
        { ...named(image, 'v1'), platform },
        { ...theirs, annotations: containerd },
      ],
    })
  })

  it('takes the place of the signatures in a layout of cosign save', async () => {
    const image = manifest()
    const [before, after] = [manifest({ annotations: { n: '1' } }), manifest({ annotations: { n: '2' } })]
    await put(image, UNNAMED)
    const kind = (name: string): object => ({ annotations: { kind: `dev.cosignproject.cosign/${name}` } })
    const root = { ...descriptorOf(image), ...kind('image') }
    const manifests = [root, { ...descriptorOf(before), ...kind('sigs') }]
    await writeFile(join(path, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
    const tag = `${image.digest.replace(':', '-')}.sig`
    await put(after, tag)
    expect(await entries()).toEqual([root, named(after, tag)])
    expect((await (await openLayout(path)).getManifest(tag)).digest).toBe(after.digest)
  })

  it('keeps what another writer added meanwhile', async () => {
    const [one, two] = [manifest(), manifest({ annotations: { n: '2' } })]
    const slow = await createLayout(path)
    await slow.putBlob(config, encodeUtf8('{}'))
    await slow.putManifest(one, { tag: 'v1' })
    await put(two, 'v2')
    await slow.commit()
    expect(await entries()).toEqual([named(two, 'v2'), named(one, 'v1')])
  })

  it('loses nothing of writers that end at the same time', async () => {
    const names = ['v1', 'v2', 'v3', 'v4']
    await Promise.all(names.map((name, i) => put(manifest({ annotations: { n: `${i}` } }), name)))
    const found = (await entries()).map((entry) => JSON.stringify(entry)).sort()
    const expected = names.map((name, i) =>
      JSON.stringify(named(manifest({ annotations: { n: `${i}` } }), name)),
    )
    expect(found).toEqual(expected.sort())
  })

  it('takes turns with another writer', async () => {
    await put(manifest(), 'v1')
    const lock = join(path, 'index.json.lock')
    await writeFile(lock, '')
    let waits = 0
    const layout = await createLayout(path, {
      sleep: async () => {
        waits += 1
        if (waits === 3) await rm(lock)
      },
    })
    await layout.commit()
    expect(waits).toBe(3)
    await writeFile(lock, '')
    const locked = await createLayout(path, { sleep: async () => undefined })
    await expect(locked.commit()).rejects.toMatchObject({ code: 'CONFLICT' })
    await locked.abort()
    expect(await files()).toContain('index.json.lock')
  })

  it('sends no blob twice, and repairs a broken one', async () => {
    await put(manifest(), 'v1')
    const layout = await createLayout(path)
    const open = (): never => {
      throw new Error('is not opened')
    }
    expect(await layout.putBlob(config, open)).toBe('present')
    await writeFile(join(path, 'blobs/sha256', digestParts(config.digest).hex), '{')
    expect(await layout.putBlob(config, encodeUtf8('{}'))).toBe('written')
    await writeFile(join(path, 'blobs/sha256', digestParts(config.digest).hex), 'no')
    expect(await layout.putBlob(config, encodeUtf8('{}'))).toBe('written')
    await layout.commit()
    expect(await readFile(join(path, 'blobs/sha256', digestParts(config.digest).hex), 'utf8')).toBe('{}')
  })

  it('replaces a blob that is a dangling link, and does not write where it leads', async () => {
    await put(manifest(), 'v1')
    const blob = join(path, 'blobs/sha256', digestParts(config.digest).hex)
    await rm(blob)
    await symlink(join(folder, 'outside'), blob)
    await put(manifest(), 'v1')
    expect(await readFile(blob, 'utf8')).toBe('{}')
    expect(await readdir(folder)).toEqual(['layout'])
  })

  it.each<[string, Digest | null, ErrorCode | undefined]>([
    ['the digest that it has', manifest().digest, undefined],
    ['another digest', config.digest, 'CONFLICT'],
    ['none', null, 'CONFLICT'],
  ])('moves a name only where it stands for %s', async (_name, ifMatch, code) => {
    await put(manifest(), 'v1')
    const before = await readFile(join(path, 'index.json'), 'utf8')
    const layout = await createLayout(path)
    await layout.putManifest(manifest({ annotations: { n: '2' } }), { tag: 'v1', ifMatch })
    if (code === undefined) return await layout.commit()
    await expect(layout.commit()).rejects.toMatchObject({ code })
    await layout.abort()
    expect(await readFile(join(path, 'index.json'), 'utf8')).toBe(before)
  })
})

describe('a copy that fails', () => {
  it('leaves no new layout, nor folders above it', async () => {
    path = join(folder, 'a/b/layout')
    const layout = await createLayout(path)
    await layout.putBlob(config, encodeUtf8('{}'))
    await layout.putManifest(manifest(), { tag: 'v1' })
    await layout.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('leaves a layout as it was', async () => {
    await put(manifest(), 'v1')
    const before = await files()
    const index = await readFile(join(path, 'index.json'), 'utf8')
    const layout = await createLayout(path)
    await layout.putBlob(config, encodeUtf8('{}'))
    await layout.putBlob(blobOf('new'), encodeUtf8('new'))
    await layout.putManifest(manifest({ annotations: { n: '2' } }), { tag: 'v1' })
    await layout.abort()
    expect(await files()).toEqual(before)
    expect(await readFile(join(path, 'index.json'), 'utf8')).toBe(index)
  })

  it('takes no blob away that another writer may need', async () => {
    const failing = await createLayout(path)
    await failing.putBlob(config, encodeUtf8('{}'))
    await put(manifest(), 'v1')
    await failing.abort()
    expect(await files()).toContain(digestParts(config.digest).hex)
  })

  it('is told to a writer that counted on its blobs', async () => {
    const failing = await createLayout(path)
    await failing.putBlob(config, encodeUtf8('{}'))
    const layout = await createLayout(path)
    expect(await layout.putBlob(config, encodeUtf8('{}'))).toBe('present')
    await failing.abort()
    await layout.putManifest(manifest(), { tag: 'v1' })
    await expect(layout.commit()).rejects.toMatchObject({ code: 'CONFLICT', retryable: true })
    await layout.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it.each<[string, () => AsyncIterable<Uint8Array>, ErrorCode]>([
    ['a wrong digest', () => stream('no'), 'DIGEST_MISMATCH'],
    ['too little', () => stream('{'), 'DIGEST_MISMATCH'],
    ['too much', () => stream('{}}'), 'DIGEST_MISMATCH'],
    ['a broken stream', () => broken(new CosignetError('UNAVAILABLE', 'It broke.')), 'UNAVAILABLE'],
    ['a full disk', () => broken(Object.assign(new Error('x'), { code: 'ENOSPC' })), 'FILE'],
  ])('stores no blob of %s', async (_name, content, code) => {
    const layout = await createLayout(path)
    await expect(layout.putBlob(config, content)).rejects.toMatchObject({ code })
    expect(await files()).toEqual(['oci-layout'])
    await layout.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('stores no manifest that does not have its digest', async () => {
    const layout = await createLayout(path)
    const wrong = { ...manifest(), digest: config.digest }
    await expect(layout.putManifest(wrong, { tag: 'v1' })).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(await readdir(folder)).toEqual([])
  })

  it('does nothing once the layout is written', async () => {
    const layout = await createLayout(path)
    await layout.putManifest(manifest(), { tag: 'v1' })
    await layout.commit()
    await layout.abort()
    expect(await entries()).toEqual([named(manifest(), 'v1')])
  })

  // Nothing is read-only to root.
  it.skipIf(process.getuid?.() === 0)('tells of a place that is read-only', async () => {
    await chmod(folder, 0o500)
    const layout = await createLayout(path)
    await expect(layout.putBlob(config, encodeUtf8('{}'))).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('permission denied'),
    })
    await layout.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('cannot make a layout where a file is in the way', async () => {
    await writeFile(join(folder, 'file'), '')
    const layout = createLayout(join(folder, 'file/layout'))
    await expect(layout).rejects.toMatchObject({ code: 'FILE' })
  })
})

describe('a folder that is there', () => {
  it('is taken if it is empty, and touched only by the first blob', async () => {
    await mkdir(path)
    const layout = await createLayout(path)
    expect(await readdir(path)).toEqual([])
    await layout.putManifest(manifest(), { tag: UNNAMED })
    await layout.abort()
    expect(await readdir(path)).toEqual([])
  })

  it('is taken if it holds what a killed copy left', async () => {
    await mkdir(path)
    await writeFile(join(path, '.oci-layout.0123456789ab.tmp'), '')
    await put(manifest(), 'v1')
    await rm(join(path, 'index.json'))
    await put(manifest(), 'v2')
    expect(await entries()).toEqual([named(manifest(), 'v2')])
  })

  it.each<[string, string, string, ErrorCode]>([
    ['things of its own', 'thesis.txt', 'x', 'INVALID_IMAGE'],
    ['another version', 'oci-layout', '{"imageLayoutVersion":"2.0.0"}', 'INVALID_IMAGE'],
    ['a broken index', 'index.json', '{', 'INVALID_JSON'],
    ['a digest that is a path (CVE-2024-3727)', 'index.json', traversal(), 'INVALID_MANIFEST'],
  ])('is refused with %s', async (_name, file, content, code) => {
    await mkdir(path)
    if (file === 'index.json') await writeFile(join(path, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    await writeFile(join(path, file), content)
    const before = await files()
    await expect(createLayout(path)).rejects.toMatchObject({ code })
    expect(await files()).toEqual(before)
  })
})

function traversal(): string {
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest: 'sha256:../../../../etc/passwd', size: 1 }
  return JSON.stringify({ schemaVersion: 2, manifests: [entry] })
}

async function* stream(content: string): AsyncGenerator<Uint8Array> {
  yield encodeUtf8(content)
}

async function* broken(error: Error): AsyncGenerator<Uint8Array> {
  yield encodeUtf8('{')
  throw error
}
