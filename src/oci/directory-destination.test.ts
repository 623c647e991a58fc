import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CosignetError, type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { openDirectory } from './directory.ts'
import { createDirectory } from './directory-destination.ts'
import { UNNAMED } from './layout-index.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-dir-'))
  path = join(folder, 'image')
})
afterEach(async () => {
  await chmod(folder, 0o700)
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

function hexOf(digest: Digest): string {
  return digestParts(digest).hex
}

async function put(image: Manifest): Promise<void> {
  const directory = await createDirectory(path)
  await directory.putBlob(config, encodeUtf8('{}'))
  await directory.putManifest(image, { tag: UNNAMED })
  await directory.commit()
}

/** All files below the folder with their content. */
async function contents(): Promise<Readonly<Record<string, string>>> {
  const found: Record<string, string> = {}
  for (const name of (await readdir(path)).sort()) found[name] = await readFile(join(path, name), 'utf8')
  return found
}

describe('createDirectory', () => {
  // The names and the version that skopeo 1.22 writes for `copy --all` of a signed image.
  it('writes a folder as skopeo does', async () => {
    const image = manifest()
    const index = parseManifest(
      encodeUtf8(JSON.stringify({ schemaVersion: 2, manifests: [descriptorOf(image)] })),
      MEDIA_TYPES.ociIndex,
      'It',
    )
    const attestations = manifest({ annotations: { n: '2' } })
    const tag = `sha256-${hexOf(index.digest)}.att`
    const directory = await createDirectory(path)
    expect(await directory.putBlob(config, encodeUtf8('{}'))).toBe('written')
    expect(await directory.putBlob(config, encodeUtf8('{}'))).toBe('present')
    await directory.putManifest(image)
    await directory.putManifest(attestations, { tag })
    await directory.putSignatures(image.digest, [encodeUtf8('a')])
    await directory.putSignatures(index.digest, [encodeUtf8('b'), encodeUtf8('c')])
    await directory.putManifest(index, { tag: UNNAMED })
    expect(await readdir(folder)).not.toContain('image')
    await directory.commit()
    await directory.abort()
    expect(await contents()).toEqual({
      [hexOf(config.digest)]: '{}',
      [`${hexOf(image.digest)}.manifest.json`]: Buffer.from(image.bytes).toString(),
      [`${hexOf(image.digest)}.signature-1`]: 'a',
      [`${tag}.manifest.json`]: Buffer.from(attestations.bytes).toString(),
      'manifest.json': Buffer.from(index.bytes).toString(),
      'signature-1': 'b',
      'signature-2': 'c',
      version: 'Directory Transport Version: 1.1\n',
    })
    expect(await readdir(folder)).toEqual(['image'])
    expect((await stat(join(path, 'version'))).mode & 0o777).toBe(0o644)
    const opened = await openDirectory(path)
    expect(opened.root.digest).toBe(index.digest)
    expect((await opened.getManifest(tag)).digest).toBe(attestations.digest)
    expect(await opened.listSignatures(index.digest)).toHaveLength(2)
  })

  it('names files by their algorithm where it is not SHA-256 (version 1.2)', async () => {
    const digest = digestOf(encodeUtf8('hello'), 'sha512')
    const directory = await createDirectory(path)
    await directory.putBlob({ digest, size: 5 }, encodeUtf8('hello'))
    await directory.putManifest(manifest(), { tag: UNNAMED })
    await directory.commit()
    const found = await contents()
    expect(found[`sha512-${hexOf(digest)}`]).toBe('hello')
    expect(found['version']).toBe('Directory Transport Version: 1.2\n')
  })

  // A name of 250 bytes leaves no room for a temporary one beside it, as a mount point does not let itself be moved.
  it.each([
    ['beside it', 'image'],
    ['inside it', 'i'.repeat(250)],
  ])('takes the place of the image that is there, made %s', async (_place, name) => {
    const [before, after] = [manifest(), manifest({ annotations: { n: '2' } })]
    path = join(folder, name)
    await mkdir(path)
    await put(before)
    await chmod(path, 0o700)
    const directory = await createDirectory(path)
    await directory.putManifest(after, { tag: UNNAMED })
    expect((await openDirectory(path)).root.digest).toBe(before.digest)
    await directory.commit()
    expect(Object.keys(await contents())).toEqual(['manifest.json', 'version'])
    expect((await openDirectory(path)).root.digest).toBe(after.digest)
    expect((await stat(path)).mode & 0o777).toBe(0o700)
    expect(await readdir(folder)).toEqual([name])
    const failing = await createDirectory(path)
    await failing.putBlob(config, encodeUtf8('{}'))
    await failing.abort()
    expect(Object.keys(await contents())).toEqual(['manifest.json', 'version'])
    expect(await readdir(folder)).toEqual([name])
  })

  it('follows a link to the folder, and keeps it', async () => {
    await mkdir(join(folder, 'real'))
    await symlink('real', path)
    await put(manifest())
    expect(await readdir(join(folder, 'real'))).toContain('manifest.json')
    expect((await readdir(folder)).sort()).toEqual(['image', 'real'])
  })

  it('takes a folder that is empty but for what a killed copy left', async () => {
    await mkdir(join(path, '.cosignet-0123456789ab.tmp'), { recursive: true })
    await put(manifest())
    expect(await readdir(path)).not.toContain('.cosignet-0123456789ab.tmp')
  })

  it.each<[string, string, string]>([
    ['other things', 'thesis.txt', 'x'],
    ['a version that is not known', 'version', 'Directory Transport Version: 9.9\n'],
    ['a layout', 'oci-layout', '{"imageLayoutVersion":"1.0.0"}'],
  ])('refuses a folder with %s', async (_name, file, content) => {
    await mkdir(path)
    await writeFile(join(path, file), content)
    await expect(createDirectory(path)).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: `"${path}" is not a dir: image, and is left as it is.`,
    })
    expect(await contents()).toEqual({ [file]: content })
  })

  it('refuses a file', async () => {
    await writeFile(path, '')
    await expect(createDirectory(path)).rejects.toMatchObject({ code: 'FILE' })
    const below = createDirectory(join(path, 'image'))
    await expect(below).rejects.toMatchObject({ code: 'FILE' })
  })

  it.each(['v1', '../../etc/cron.d/x', `sha256-${'0'.repeat(64)}.sig/../../x`, 'version'])(
    'has no place for the tag %s',
    async (tag) => {
      const directory = await createDirectory(path)
      await expect(directory.putManifest(manifest(), { tag })).rejects.toMatchObject({
        code: 'INVALID_REFERENCE',
      })
      expect(await readdir(folder)).toEqual([])
    },
  )

  it.each<[string, Digest | null, boolean]>([
    ['the digest that it has', manifest().digest, true],
    ['another digest', config.digest, false],
    ['none', null, false],
  ])('replaces a manifest only where it is %s', async (_name, ifMatch, holds) => {
    await put(manifest())
    const directory = await createDirectory(path)
    const written = directory.putManifest(manifest({ annotations: { n: '2' } }), { tag: UNNAMED, ifMatch })
    if (holds) await written
    else await expect(written).rejects.toMatchObject({ code: 'CONFLICT' })
    await directory.abort()
    expect(await readdir(folder)).toEqual(['image'])
  })
})

describe('a copy that fails', () => {
  it('leaves nothing, nor folders above it', async () => {
    path = join(folder, 'a/b/image')
    const directory = await createDirectory(path)
    await directory.putBlob(config, encodeUtf8('{}'))
    await directory.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('leaves the image that is there as it was', async () => {
    await put(manifest())
    const before = await contents()
    const directory = await createDirectory(path)
    await directory.putBlob(config, encodeUtf8('{}'))
    await directory.putManifest(manifest({ annotations: { n: '2' } }), { tag: UNNAMED })
    await directory.abort()
    expect(await contents()).toEqual(before)
    expect(await readdir(folder)).toEqual(['image'])
  })

  // Nothing is read-only to root.
  it.skipIf(process.getuid?.() === 0)('tells of a place that is read-only', async () => {
    await chmod(folder, 0o500)
    const directory = await createDirectory(path)
    await expect(directory.putBlob(config, encodeUtf8('{}'))).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('permission denied'),
    })
    await directory.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('cannot be committed without a manifest', async () => {
    const directory = await createDirectory(path)
    await directory.putBlob(config, encodeUtf8('{}'))
    await expect(directory.commit()).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await directory.abort()
    expect(await readdir(folder)).toEqual([])
  })

  it('does not take the place of what came meanwhile', async () => {
    const directory = await createDirectory(path)
    await directory.putManifest(manifest(), { tag: UNNAMED })
    await mkdir(path)
    await writeFile(join(path, 'thesis.txt'), 'x')
    await expect(directory.commit()).rejects.toMatchObject({ code: 'FILE' })
    await directory.abort()
    expect(await contents()).toEqual({ 'thesis.txt': 'x' })
    expect(await readdir(folder)).toEqual(['image'])
  })

  it.each<[string, () => AsyncIterable<Uint8Array>, ErrorCode]>([
    ['a wrong digest', () => stream('no'), 'DIGEST_MISMATCH'],
    ['too little', () => stream('{'), 'DIGEST_MISMATCH'],
    ['too much', () => stream('{}}'), 'DIGEST_MISMATCH'],
    ['a broken stream', () => broken(new CosignetError('UNAVAILABLE', 'It broke.')), 'UNAVAILABLE'],
    ['a full disk', () => broken(Object.assign(new Error('x'), { code: 'ENOSPC' })), 'FILE'],
  ])('stores no blob of %s', async (_name, content, code) => {
    const directory = await createDirectory(path)
    await expect(directory.putBlob(config, content)).rejects.toMatchObject({ code })
    await directory.putManifest(manifest(), { tag: UNNAMED })
    await directory.commit()
    expect(Object.keys(await contents())).toEqual(['manifest.json', 'version'])
  })

  it('stores no manifest that does not have its digest', async () => {
    const directory = await createDirectory(path)
    const wrong = { ...manifest(), digest: config.digest }
    const written = directory.putManifest(wrong, { tag: UNNAMED })
    await expect(written).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await expect(directory.commit()).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await directory.abort()
    expect(await readdir(folder)).toEqual([])
  })
})

async function* stream(content: string): AsyncGenerator<Uint8Array> {
  yield encodeUtf8(content)
}

async function* broken(error: Error): AsyncGenerator<Uint8Array> {
  yield encodeUtf8('{')
  throw error
}
