import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts, MEDIA_TYPES } from '../oci/index.ts'
import { openDirectorySignatures } from './directory-signatures.ts'

const [ONE, TWO, THREE] = ['one', 'two', 'three'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]
const CONFIG = { mediaType: 'a/b', digest: digestOf(encodeUtf8('{}')), size: 2 }
const IMAGE = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: CONFIG,
  layers: [],
})
const INDEX = JSON.stringify({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [{ mediaType: MEDIA_TYPES.ociManifest, digest: digest(IMAGE), size: IMAGE.length }],
})

let path: string
/** The files of the image itself. */
let own: readonly string[]
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'cosignet-dir-'))
  await writeFile(join(path, 'version'), 'Directory Transport Version: 1.1\n')
  await writeFile(join(path, 'manifest.json'), INDEX)
  await writeFile(join(path, `${hex(IMAGE)}.manifest.json`), IMAGE)
  await writeFile(join(path, digestParts(CONFIG.digest).hex), '{}')
  own = await readdir(path)
})
afterEach(() => rm(path, { recursive: true }))

describe('openDirectorySignatures', () => {
  it('adds to the image itself and to what it holds, as skopeo names them, and touches nothing else', async () => {
    const before = await Promise.all(own.map((name) => stat(join(path, name))))
    const store = await openDirectorySignatures(path)
    await store.checkWritable()
    expect(await store.list(digest(INDEX))).toEqual([])
    await store.add(digest(INDEX), [ONE, TWO])
    await store.add(digest(INDEX), [TWO, THREE, ONE])
    await store.add(digest(IMAGE), [TWO])
    expect(await readFile(join(path, 'signature-1'))).toEqual(ONE)
    expect(await readFile(join(path, 'signature-2'))).toEqual(TWO)
    expect(await readFile(join(path, 'signature-3'))).toEqual(THREE)
    expect(await readFile(join(path, `${hex(IMAGE)}.signature-1`))).toEqual(TWO)
    expect(await store.list(digest(INDEX))).toEqual([ONE, TWO, THREE])
    expect(await readdir(path)).toHaveLength(own.length + 4)
    const after = await Promise.all(own.map((name) => stat(join(path, name))))
    expect(after.map(({ mtimeMs, ino }) => [mtimeMs, ino])).toEqual(
      before.map(({ mtimeMs, ino }) => [mtimeMs, ino]),
    )
  })

  it('loses nothing of many who add at once', async () => {
    const all = Array.from({ length: 10 }, (_, i) => Buffer.from(`signature ${i}`))
    await Promise.all(all.map(async (one) => (await openDirectorySignatures(path)).add(digest(INDEX), [one])))
    const found = await (await openDirectorySignatures(path)).list(digest(INDEX))
    expect(found.map(String).toSorted()).toEqual(all.map(String))
  })

  it('adds none to a manifest that is not there', async () => {
    const store = await openDirectorySignatures(path)
    await expect(store.add(digest('other'), [ONE])).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await readdir(path)).toEqual(own)
  })

  it('refuses a folder that is no image', async () => {
    await rm(join(path, 'manifest.json'))
    await expect(openDirectorySignatures(path)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
  })
})

function digest(text: string): Digest {
  return digestOf(encodeUtf8(text))
}

function hex(text: string): string {
  return digestParts(digest(text)).hex
}
