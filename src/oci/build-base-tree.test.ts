import { gzipSync, zstdCompressSync } from 'node:zlib'
import { packTar, type TarEntry } from 'modern-tar'
import { describe, expect, it } from 'vitest'
import { readFileTree } from './build-base-tree.ts'
import type { FileTree, TreeNode } from './build-tree.ts'
import { digestOf } from './digest.ts'
import type { Descriptor } from './manifest.ts'
import type { ImageSource } from './store.ts'

const LAYER = 'application/vnd.oci.image.layer.v1.tar'

function sourceOf(blobs: readonly Uint8Array[]): { source: ImageSource; layers: readonly Descriptor[] } {
  const byDigest = new Map(blobs.map((bytes) => [digestOf(bytes), bytes]))
  const source: ImageSource = {
    name: 'the base',
    getManifest: () => Promise.reject(new Error('not asked for')),
    async *getBlob({ digest }) {
      const bytes = byDigest.get(digest) ?? new Uint8Array()
      // Small odd chunks: headers and names fall between them.
      for (let i = 0; i < bytes.byteLength; i += 777) yield bytes.subarray(i, i + 777)
    },
    listReferrers: async () => [],
  }
  const layers = blobs.map((bytes) => ({ mediaType: LAYER, digest: digestOf(bytes), size: bytes.byteLength }))
  return { source, layers }
}

async function read(...blobs: readonly Uint8Array[]): Promise<FileTree> {
  const { source, layers } = sourceOf(blobs)
  return await readFileTree(source, layers)
}

async function layer(...names: readonly (string | [string, string] | TarEntry)[]): Promise<Buffer> {
  const entries = names.map((name): TarEntry => {
    if (typeof name === 'object' && !Array.isArray(name)) return name
    const [path, target] = typeof name === 'string' ? [name, undefined] : name
    if (target !== undefined) return { header: { name: path, type: 'symlink', linkname: target, size: 0 } }
    if (path.endsWith('/')) return { header: { name: path, type: 'directory', size: 0 } }
    return { header: { name: path, type: 'file', size: 600 }, body: new Uint8Array(600).fill(0x61) }
  })
  return Buffer.from(await packTar(entries))
}

/** All names, folders with a slash, links with where they lead. */
function namesIn(node: TreeNode, path = ''): readonly string[] {
  if (node.kind === 'link') return [`${path} -> ${node.target}`]
  if (node.kind === 'file') return [path]
  const below = [...node.children].flatMap(([name, child]) => namesIn(child, `${path}/${name}`))
  return path === '' ? below.sort() : [`${path}/`, ...below]
}

describe('readFileTree', () => {
  it('lays layers over each other, whatever their compression', async () => {
    const tree = await read(
      await layer('etc/', 'etc/a', ['bin', 'usr/bin'], './usr/bin/', '/usr/bin/sh'),
      gzipSync(await layer('bin/added', 'etc/', 'etc/b', ['etc/a', 'b'])),
      zstdCompressSync(await layer('opt/x/y')),
    )
    expect(namesIn(tree.root)).toEqual([
      '/bin -> usr/bin',
      '/etc/',
      '/etc/a -> b',
      '/etc/b',
      '/opt/',
      '/opt/x/',
      '/opt/x/y',
      '/usr/',
      '/usr/bin/',
      '/usr/bin/added',
      '/usr/bin/sh',
    ])
  })

  it('follows whiteouts (image-spec, layer.md)', async () => {
    const tree = await read(
      await layer('a/', 'a/old', 'a/sub/old', 'b/', 'b/x', 'c'),
      await layer('a/new', 'a/sub/', 'a/sub/new', 'a/.wh..wh..opq', 'b/.wh.x', '.wh.c', '.wh.gone'),
    )
    expect(namesIn(tree.root)).toEqual(['/a/', '/a/new', '/a/sub/', '/a/sub/new', '/b/'])
  })

  it('replaces what changes its kind', async () => {
    const tree = await read(await layer('a/', 'a/x', 'b', ['c', 'a']), await layer('a', 'b/', 'b/y', 'c/'))
    expect(namesIn(tree.root)).toEqual(['/a', '/b/', '/b/y', '/c/'])
  })

  it('never goes above the root', async () => {
    const tree = await read(
      await layer('../../up', 'a/../../b', ['out', '../../../etc'], 'etc/', 'out/x', '..', '/'),
    )
    expect(namesIn(tree.root)).toEqual(['/b', '/etc/', '/etc/x', '/out -> ../../../etc', '/up'])
    expect(tree.resolve('/out/../../x/./y')).toEqual(['x', 'y'])
  })

  it('reads long names, hard links, and the lists of users', async () => {
    const long = `${'d'.repeat(150)}/${'f'.repeat(200)}`
    const passwd = 'root:x:0:0::/:\n'
    const tree = await read(
      await layer(
        long,
        [`${long}-link`, 'x'.repeat(300)],
        { header: { name: './etc/passwd', type: 'file', size: passwd.length }, body: passwd },
        { header: { name: 'hard', type: 'link', linkname: 'etc/passwd', size: 0 } },
      ),
    )
    expect(tree.get(long.split('/'))?.kind).toBe('file')
    expect(tree.get(`${long}-link`.split('/'))).toMatchObject({ kind: 'link', target: 'x'.repeat(300) })
    expect(tree.get(['etc', 'passwd'])).toMatchObject({ text: passwd })
    expect(tree.get(['hard'])).toMatchObject({ text: passwd })
  })

  it('refuses links in a circle where they are followed', async () => {
    const tree = await read(await layer(['a', 'b'], ['b', 'a']))
    expect(() => tree.resolve('/a/x')).toThrow(
      expect.objectContaining({
        code: 'INVALID_IMAGE',
        message: '"/a/x" in the image has too many symbolic links.',
      }),
    )
  })

  it('refuses what is not a tar, or not whole', async () => {
    const whole = await layer('a', 'b')
    const bad = Buffer.from(whole)
    bad[10] = 1
    const huge = await layer({
      header: { name: 'x', type: 'file', size: 0, pax: { comment: 'c'.repeat(2_000_000) } },
    })
    const zip = gzipSync(whole)
    for (const bytes of [
      bad,
      whole.subarray(0, 700),
      whole.subarray(0, 512),
      huge,
      zip.subarray(0, 100),
      Buffer.from('text'),
    ]) {
      await expect(read(bytes)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    }
    expect(namesIn((await read(Buffer.alloc(0))).root)).toEqual([])
    await expect(read(Buffer.from('BZh91AY&SY'))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})
