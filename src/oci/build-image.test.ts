import { createHash } from 'node:crypto'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { unpackTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../core/index.ts'
import { type BuildImageOptions, buildImage } from './build-image.ts'
import type { BuiltImage } from './build-result.ts'
import type { Descriptor } from './manifest.ts'

const AMD64 = { os: 'linux', architecture: 'amd64' }
const ARM64 = { os: 'linux', architecture: 'arm64', variant: 'v8' }

let root: string
let folder: string
let temporaryFolder: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cosignet-test-'))
  folder = join(root, 'folder')
  temporaryFolder = join(root, 'temporary')
  await mkdir(folder)
  await mkdir(temporaryFolder)
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

async function build(options: Partial<BuildImageOptions> = {}): Promise<BuiltImage> {
  return await buildImage(folder, { platforms: [AMD64], temporaryFolder, ...options })
}

async function blob(image: BuiltImage, descriptor: Descriptor): Promise<Buffer> {
  return Buffer.from(await collectBytes(image.getBlob(descriptor), 100_000_000, 'It'))
}

function parts(image: BuiltImage): { config: Descriptor; layer: Descriptor } {
  const { content } = image.manifests[0] ?? image.root
  const [layer] = content.kind === 'image' ? content.layers : []
  if (content.kind !== 'image' || layer === undefined) throw new Error('no image')
  return { config: content.config, layer }
}

async function fill(): Promise<void> {
  await mkdir(join(folder, 'sub/deep'), { recursive: true })
  await writeFile(join(folder, 'sub/program'), 'run', { mode: 0o4711 })
  await writeFile(join(folder, 'b.txt'), 'hello', { mode: 0o600 })
  await writeFile(join(folder, 'sub/deep/empty'), '')
  await symlink('/etc/passwd', join(folder, 'a-link'))
}

describe('buildImage', () => {
  it('packs names in order, with modes and owners of its own, links unfollowed', async () => {
    await fill()
    const image = await build()
    const { layer } = parts(image)
    const entries = await unpackTar(gunzipSync(await blob(image, layer)))
    const seen = entries.map(({ header: { name, type, mode, uid, gid, mtime, linkname }, data }) => [
      name,
      type,
      mode?.toString(8),
      uid,
      gid,
      mtime?.getTime(),
      linkname === undefined || linkname === '' ? Buffer.from(data ?? []).toString() : linkname,
    ])
    expect(seen).toEqual([
      ['a-link', 'symlink', '777', 0, 0, 0, '/etc/passwd'],
      ['b.txt', 'file', '644', 0, 0, 0, 'hello'],
      ['sub/', 'directory', '755', 0, 0, 0, ''],
      ['sub/deep/', 'directory', '755', 0, 0, 0, ''],
      ['sub/deep/empty', 'file', '644', 0, 0, 0, ''],
      ['sub/program', 'file', '755', 0, 0, 0, 'run'],
    ])
  })

  it('describes layer and configuration by what they hold', async () => {
    await fill()
    const image = await build({
      entrypoint: ['/bin/x'],
      cmd: ['a'],
      env: ['A=b=c'],
      workdir: '/w',
      labels: { l: 'v' },
    })
    const { layer, config } = parts(image)
    const packed = await blob(image, layer)
    const sha256 = (bytes: Uint8Array): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    expect(layer).toEqual({
      mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
      digest: sha256(packed),
      size: packed.byteLength,
    })
    const bytes = await blob(image, config)
    expect(config.digest).toBe(sha256(bytes))
    expect(JSON.parse(bytes.toString())).toEqual({
      created: '1970-01-01T00:00:00Z',
      architecture: 'amd64',
      os: 'linux',
      config: { Entrypoint: ['/bin/x'], Cmd: ['a'], Env: ['A=b=c'], WorkingDir: '/w', Labels: { l: 'v' } },
      rootfs: { type: 'layers', diff_ids: [sha256(gunzipSync(packed))] },
      history: [{ created: '1970-01-01T00:00:00Z', created_by: 'cosignet' }],
    })
  })

  it('gives the same digest whenever the files were written, another for other files', async () => {
    await fill()
    const first = await build()
    await utimes(join(folder, 'b.txt'), 1, 1)
    await chmod(join(folder, 'b.txt'), 0o640)
    expect((await build()).root.digest).toBe(first.root.digest)
    await writeFile(join(folder, 'b.txt'), 'hellO')
    expect((await build()).root.digest).not.toBe(first.root.digest)
  })

  it('makes an index over several platforms', async () => {
    const image = await build({ platforms: [AMD64, ARM64] })
    expect(image.manifests).toHaveLength(2)
    expect(image.root.content).toMatchObject({
      kind: 'index',
      manifests: [
        { digest: image.manifests[0]?.digest, platform: AMD64 },
        { digest: image.manifests[1]?.digest, platform: ARM64 },
      ],
    })
    expect(await image.getManifest(image.root.digest)).toBe(image.root)
  })

  it('packs long names and files of many chunks', async () => {
    const name = `${'d'.repeat(120)}/${'f'.repeat(200)}`
    await mkdir(join(folder, 'd'.repeat(120)))
    const content = Buffer.alloc(3 * 1024 * 1024 + 7, 'xyz')
    await writeFile(join(folder, name), content)
    const image = await build()
    const entries = await unpackTar(gunzipSync(await blob(image, parts(image).layer)))
    expect(entries[1]?.header.name).toBe(name)
    expect(Buffer.from(entries[1]?.data ?? []).equals(content)).toBe(true)
  })

  it('reads the folder once, and keeps its layer until it is closed', async () => {
    await fill()
    const image = await build()
    await writeFile(join(folder, 'b.txt'), 'HELLO')
    const { layer } = parts(image)
    expect(await blob(image, layer)).toEqual(await blob(image, layer))
    await image.close()
    expect(await readdir(temporaryFolder)).toEqual([])
    await expect(blob(image, layer)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('leaves nothing behind where it fails or is stopped', async () => {
    await writeFile(join(folder, '.wh.x'), '')
    await expect(build()).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await rm(join(folder, '.wh.x'))
    await fill()
    await expect(build({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'ABORTED' })
    expect(await readdir(temporaryFolder)).toEqual([])
  })

  it('refuses a kept layer that was changed', async () => {
    await fill()
    const image = await build()
    const [spool = ''] = await readdir(temporaryFolder)
    const [file = ''] = await readdir(join(temporaryFolder, spool))
    const path = join(temporaryFolder, spool, file)
    const bytes = await readFile(path)
    bytes[20] = (bytes[20] ?? 0) ^ 1
    await writeFile(path, bytes)
    await expect(blob(image, parts(image).layer)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('refuses special files and names that a layer reserves, by name', async () => {
    const socket = createServer()
    await new Promise<void>((resolve) => socket.listen(join(folder, 'socket'), resolve))
    await expect(build()).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: `${JSON.stringify(join(folder, 'socket'))} is not a file, folder or symbolic link, so it cannot be in an image.`,
    })
    await new Promise((resolve) => socket.close(resolve))
    await writeFile(join(folder, '.wh.x'), '')
    await expect(build()).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
  })

  it.each<[string, Partial<BuildImageOptions>, string]>([
    ['no platform', { platforms: [] }, 'USAGE'],
    ['a variable without a value', { env: ['A'] }, 'USAGE'],
    ['a variable without a name', { env: ['=a'] }, 'USAGE'],
  ])('refuses %s', async (_name, options, code) => {
    await expect(build(options)).rejects.toMatchObject({ code })
  })

  it('says which folder is not there', async () => {
    await expect(
      buildImage(join(folder, 'gone'), { platforms: [AMD64], temporaryFolder }),
    ).rejects.toMatchObject({
      code: 'FILE',
      message: `${JSON.stringify(join(folder, 'gone'))} cannot be read: no such file or folder.`,
    })
  })
})
