import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { collectBytes, encodeUtf8, LIMITS } from '../core/index.ts'
import { type Digest, digestOf, digestParts, parseDigest } from './digest.ts'
import { type DockerArchiveImage, openDockerArchive } from './docker-archive.ts'
import type { DockerArchiveSelection } from './docker-archive-manifest.ts'
import { type ImageManifest, MEDIA_TYPES } from './manifest.ts'
import { parseReference } from './reference.ts'

/**
 * Written by skopeo 1.22.0 from an OCI layout, `skopeo copy oci:img:latest docker-archive:a.tar:example.com/a/b:c`: two
 * layers of 10240 bytes, `gzip -9n | base64`.
 */
const WRITTEN_BY_SKOPEO =
  'H4sIAAAAAAACA+3cXW/iRhQGYH5K5OsVnPGMZ+zcVr2oVLXSturNKorm48zGLeDIdqpEEf+9YwhV1tUmlQxk2bzPjWGM8cdw7MNw' +
  'sNSx9JUscyF10CWXVhoW1lvnQ+DAxEy6NCQqwTJqFoVRQgSXS/JUWTfvbTt7BSVKqe00GU1z9axt156TyWl2QbMTuOuGPaDJ6xrv' +
  '3JmI9ZKPvbHD8dBf7X8Sphj1P2lt8jPr/zN1DwDfvRkAAAAAAAAAAAAAAAAAAAAAfJdCkBwpOhVtLCvhC1mIGKVRnAubC6eljILY' +
  'SCNtpWWUVpJh5UrlrDJBHan+UyvUf57EUP8pjryOV+o/5VDsi/rPt4HKOAAAANR5AwAAAAAAAAAAAAAAAADAeSpIFUJaqZ0sKkO+' +
  'KsgQGx5KMFlW3uZRpTaqjFJaVi63pZEqD5VTLpbGzf/smvUr63i5/pOoIDGu/xRao/7zFB4z2/qbumff37WcXV5kdhW0yj5cZE03' +
  'PF3W67v74alv1rH+nJoesx9WIU0/ZQtXrxfdTXa1SfPbpuljt53fP9xu32ppH7jthoVDHeN1HbrtYt2NzQt9KSfeenZ436e3mlrF' +
  'vNuDm7rrm/Zh2MbHzLdsew7X7mF7ULL0gnGjyzZXmzOPfym0DOl4kzGUR+PJeqHL3FBMQUjp6OS2stqYwnpVsaBKsYtBUrHtElUs' +
  'tn38chX4V+J+VPP77LFM3SdmF/l8vpDHvj/xO4//yf3/x48ff/vp11+mnP+J5Oj8Lwj3fz4NMX+vle9wkPg/QP4nhPjv/38U4v80' +
  '+V+dcrls6scg2yCUzjP+lffMIkQfg5fCOVk6VlWwpFiVKb+qqOQgJZEVFUvnlUiPiigUFY61OU7+p0jTLv87+v8T33v+N7X/j5P/' +
  'KWVw/kf+B998/B8g/3s2bx//kpD/vcn4337479/hvqfRvi8G+4aZva3X3GaX67vl8lnD9X65p/bdgNn+aWj8X+k1f3Pb1c1637rL' +
  'QCd+ENMmDwOW+/HK7Na2vO6R2r5iZdd15K7/P+P4U0LjxfgX+sv4F8JQgfg/hU8pvp8iNjvIb0Ep9D7ybfO7/dwNZw2+t6vbJc99' +
  's1rYhbv02dWH7Ofd7wJp9iGGd9MaD/EtIZ3Yrt7f9b9NfdXVfdPW3M3eKP6FVOP414VE/J/m+j+K0OGK7w9xPd5gSAgA4Bv2D4Iy' +
  'k/kAeAAA'

const CONFIG = 'sha256:504513a36b35970c95070e7e2064e39ca2f495009744639b2a87342d9b4bf87b'
const LAYERS = [
  'sha256:36f8c9382136d68e8a37e1acabcddede0ee06870191e3f6e157411db230c09ab',
  'sha256:dd3ef0fb4faf891c5351ff374e21a21b633f10e7373a963f3a307e4b84ba47d4',
]

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-docker-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true })
})

describe('reading a docker archive', () => {
  it('reads what skopeo wrote', async () => {
    const image = await openBytes(gunzipSync(Buffer.from(WRITTEN_BY_SKOPEO, 'base64')), {
      reference: parseReference('example.com/a/b:c'),
    })
    expect(image.makesManifests).toBe(true)
    expect(image.name).toBe(`docker-archive:${join(folder, 'a.tar')}:example.com/a/b:c`)
    // As `skopeo inspect --raw` prints it, but for the media type of the layers, which are not compressed.
    const layer = (digest: string | undefined): string =>
      `{"mediaType":"application/vnd.docker.image.rootfs.diff.tar","size":10240,"digest":"${digest}"}`
    const expected =
      '{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",' +
      `"config":{"mediaType":"application/vnd.docker.container.image.v1+json","size":321,"digest":"${CONFIG}"},` +
      `"layers":[${layer(LAYERS[0])},${layer(LAYERS[1])}]}`
    const manifest = await image.getManifest(image.root)
    expect(Buffer.from(manifest.bytes).toString()).toBe(expected)
    expect(image.root).toBe(digestOf(encodeUtf8(expected)))
    expect(await sizeOf(image, CONFIG, 321)).toBe(321)
    for (const digest of LAYERS) expect(await sizeOf(image, digest, 10240)).toBe(10240)
    expect(await image.listReferrers(image.root)).toEqual([])
    await image.close()
  })

  it('follows the links by which old versions of Docker save a layer once', async () => {
    const image = await open([
      { header: { name: 'one/layer.tar', size: 5 }, body: 'layer' },
      { header: { name: 'two/layer.tar', size: 0, type: 'symlink', linkname: '../one/layer.tar' } },
      file('config.json', config('layer', 'layer')),
      file('manifest.json', list({ Config: 'config.json', Layers: ['one/layer.tar', 'two/layer.tar'] })),
    ])
    expect((await content(image)).layers).toEqual([plain('layer'), plain('layer')])
    expect(await sizeOf(image, digestOf(encodeUtf8('layer')), 5)).toBe(5)
    await image.close()
  })

  it('keeps the gzip of an archive that is an OCI layout as well, as Docker 25 and later save it', async () => {
    const packed = gzipSync('layer')
    const digest = digestOf(packed)
    const blob = `blobs/sha256/${digestParts(digest).hex}`
    const bytes = config('layer')
    const name = `blobs/sha256/${digestParts(digestOf(encodeUtf8(bytes))).hex}`
    const image = await open([
      file('oci-layout', '{"imageLayoutVersion":"1.0.0"}'),
      file('index.json', '{}'),
      { header: { name: blob, size: packed.byteLength }, body: packed },
      file(name, bytes),
      file('manifest.json', list({ Config: name, Layers: [blob] })),
    ])
    const size = packed.byteLength
    expect((await content(image)).layers).toEqual([{ mediaType: MEDIA_TYPES.dockerLayerGzip, digest, size }])
    expect(await sizeOf(image, digest, size)).toBe(size)
    await image.close()
  })

  it('computes the digest of a layer in gzip whose name does not tell it', async () => {
    const packed = gzipSync('layer')
    const image = await open([
      { header: { name: 'layer.tar', size: packed.byteLength }, body: packed },
      file('config.json', config('layer')),
      file('manifest.json', list({ Config: 'config.json', Layers: ['./layer.tar'] })),
    ])
    expect((await content(image)).layers[0]?.digest).toBe(digestOf(packed))
    await image.close()
  })

  it('gives a layer in zstd, which the made manifest cannot name, unpacked', async () => {
    const packed = zstdCompressSync('layer')
    const image = await open([
      { header: { name: 'layer.tar', size: packed.byteLength }, body: packed },
      file('config.json', config('layer')),
      file('manifest.json', list({ Config: 'config.json', Layers: ['layer.tar'] })),
    ])
    expect((await content(image)).layers).toEqual([plain('layer')])
    expect(await sizeOf(image, digestOf(encodeUtf8('layer')), 5)).toBe(5)
    await image.close()
  })

  it('does not pass on a layer that is not the one of the configuration', async () => {
    const image = await open(single('layer', { layer: 'lAyer' }))
    const digest = digestOf(encodeUtf8('layer'))
    await expect(sizeOf(image, digest, 5)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await expect(sizeOf(image, digestOf(encodeUtf8('other')), 5)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(image.getManifest('latest')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await image.close()
  })

  it('unpacks an archive that was saved through gzip', async () => {
    const image = await openBytes(gzipSync(await packTar(single('layer'))))
    expect(await sizeOf(image, digestOf(encodeUtf8('layer')), 5)).toBe(5)
    await image.close()
  })
})

describe('choosing an image of a docker archive', () => {
  const members = [
    file('1.json', config()),
    file('2.json', config('layer')),
    file('layer.tar', 'layer'),
    file(
      'manifest.json',
      list(
        { Config: '1.json', RepoTags: ['busybox:latest', 'example.com/a:v1'], Layers: null },
        { Config: '2.json', RepoTags: null, Layers: ['layer.tar'] },
      ),
    ),
  ]

  it.each([
    ['by a short name', { reference: parseReference('busybox') }, 0],
    ['by a full name', { reference: parseReference('docker.io/library/busybox:latest') }, 0],
    ['by another tag', { reference: parseReference('example.com/a:v1') }, 0],
    ['by place', { index: 1 }, 1],
  ])('finds it %s', async (_name, select, layers) => {
    const image = await open(members, select)
    expect((await content(image)).layers).toHaveLength(layers)
    await image.close()
  })

  it.each([
    [
      'no choice',
      {},
      'INVALID_REFERENCE',
      'holds 2 images: name one of them.',
      'There are "busybox:latest, @1".',
    ],
    [
      'another tag',
      { reference: parseReference('busybox:v2') },
      'NOT_FOUND',
      'no such image',
      'It holds "busybox:latest, example.com/a:v1, @1".',
    ],
    [
      'another place',
      { index: 2 },
      'NOT_FOUND',
      'no such image',
      'It holds "busybox:latest, example.com/a:v1, @1".',
    ],
  ])('fails on %s', async (_name, select, code, message, hint) => {
    await expect(open(members, select)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
      hint,
    })
  })
})

describe('docker archives that are not valid', () => {
  const item = { Config: 'config.json', Layers: ['layer.tar'] }
  const blobConfig = `blobs/sha256/${'0'.repeat(64)}`
  it.each([
    ['no manifest.json', [file('a', '')], 'INVALID_IMAGE', 'it has no "manifest.json".'],
    ['no image', single('layer', { manifest: '[]' }), 'NOT_FOUND', 'holds no such image.'],
    ['no list', single('layer', { manifest: '{}' }), 'INVALID_IMAGE', 'it is not a list.'],
    ['no JSON', single('layer', { manifest: '[' }), 'INVALID_JSON', 'manifest.json'],
    ['no object', single('layer', { manifest: '[1]' }), 'INVALID_IMAGE', 'it is not an object.'],
    ['a key twice', single('layer', { manifest: '[{"Config":"a","Config":"b"}]' }), 'INVALID_JSON', 'twice'],
    [
      'a key in two cases',
      single('layer', { manifest: list({ ...item, config: 'b' }) }),
      'INVALID_IMAGE',
      'it has the key "config".',
    ],
    ['no Config', single('layer', { manifest: list({}) }), 'INVALID_IMAGE', 'Config is not a string.'],
    [
      'odd Layers',
      single('layer', { manifest: list({ Config: 'a', Layers: [1] }) }),
      'INVALID_IMAGE',
      'Layers is not',
    ],
    [
      'odd RepoTags',
      single('layer', { manifest: list({ Config: 'a', RepoTags: 'b' }) }),
      'INVALID_IMAGE',
      'RepoTags is not',
    ],
    [
      'a config outside',
      single('layer', { manifest: list({ Config: '/etc/hostname' }) }),
      'INVALID_IMAGE',
      'it has no "/etc/hostname".',
    ],
    [
      'a layer outside',
      single('layer', { manifest: list({ ...item, Layers: ['../../etc/hostname'] }) }),
      'INVALID_IMAGE',
      'it has no "../../etc/hostname".',
    ],
    [
      'a layer that is missing',
      single('layer', { manifest: list({ ...item, Layers: ['b.tar'] }) }),
      'INVALID_IMAGE',
      'it has no "b.tar".',
    ],
    [
      'more layers',
      single('layer', { manifest: list({ ...item, Layers: ['layer.tar', 'layer.tar'] }) }),
      'INVALID_IMAGE',
      'lists 2 layers, and its configuration has 1.',
    ],
    ['a config without layers', single('layer', { config: '{}' }), 'INVALID_IMAGE', 'is not a configuration'],
    ['a config that is a list', single('layer', { config: '[]' }), 'INVALID_IMAGE', 'is not a configuration'],
    [
      'CVE-2024-3727',
      single('layer', { config: '{"rootfs":{"diff_ids":["sha256:../../etc"]}}' }),
      'INVALID_IMAGE',
      'is not a configuration',
    ],
    [
      'a config that has another digest than its name',
      [file(blobConfig, config()), file('manifest.json', list({ Config: blobConfig }))],
      'DIGEST_MISMATCH',
      `not sha256:${'0'.repeat(64)}.`,
    ],
    [
      'a huge config',
      single('layer', { config: ' '.repeat(LIMITS.configBytes + 1) }),
      'TOO_LARGE',
      'limit of',
    ],
    [
      'a huge manifest.json',
      single('layer', { manifest: ' '.repeat(LIMITS.manifestBytes + 1) }),
      'TOO_LARGE',
      'limit of',
    ],
    [
      'too many images',
      single('layer', { manifest: list(...Array(1001).fill(item)) }),
      'TOO_LARGE',
      'limit of 1000 images',
    ],
    ['bzip2', single('layer', { layer: 'BZh91AY&SY' }), 'UNSUPPORTED', 'is compressed with bzip2'],
  ])('refuses %s', async (_name, members, code, message) => {
    await expect(open(members)).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
  })
})

describe('an OCI layout that is taken for a docker archive', () => {
  it('is told from one', async () => {
    await expect(open([file('oci-layout', '{}'), file('index.json', '{}')])).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      hint: 'It is an OCI layout: name it as oci-archive:.',
    })
  })
})

async function open(
  members: readonly TarEntry[],
  select: DockerArchiveSelection = {},
): Promise<DockerArchiveImage> {
  return await openBytes(await packTar(members), select)
}

async function openBytes(
  bytes: Uint8Array,
  select: DockerArchiveSelection = {},
): Promise<DockerArchiveImage> {
  const path = join(folder, 'a.tar')
  await writeFile(path, bytes)
  return await openDockerArchive(path, select, { temporaryFolder: folder })
}

function file(name: string, body: string): TarEntry {
  return { header: { name, size: Buffer.byteLength(body) }, body }
}

/** An archive of an image with one layer. */
function single(
  layer: string,
  other: { readonly manifest?: string; readonly config?: string; readonly layer?: string } = {},
): TarEntry[] {
  return [
    file('layer.tar', other.layer ?? layer),
    file('config.json', other.config ?? config(layer)),
    file('manifest.json', other.manifest ?? list({ Config: 'config.json', Layers: ['layer.tar'] })),
  ]
}

function config(...layers: readonly string[]): string {
  const diffIds = layers.map((layer) => digestOf(encodeUtf8(layer)))
  return JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: diffIds } })
}

function list(...items: readonly object[]): string {
  return JSON.stringify(items)
}

function plain(layer: string): object {
  const digest: Digest = digestOf(encodeUtf8(layer))
  return { mediaType: 'application/vnd.docker.image.rootfs.diff.tar', digest, size: layer.length }
}

async function content(image: DockerArchiveImage): Promise<ImageManifest> {
  const { content } = await image.getManifest(image.root)
  if (content.kind !== 'image') throw new Error('not an image')
  return content
}

async function sizeOf(image: DockerArchiveImage, digest: string, size: number): Promise<number> {
  const chunks = image.getBlob({ digest: parseDigest(digest), size })
  return (await collectBytes(chunks, size, 'The blob')).byteLength
}
