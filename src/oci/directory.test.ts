import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes, type ErrorCode, encodeUtf8, LIMITS } from '../core/index.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import { openDirectory } from './directory.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'

let folder: string
let path: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-dir-'))
  path = join(folder, 'image')
  await mkdir(path)
  await write('version', 'Directory Transport Version: 1.1\n')
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function write(file: string, content: string | Uint8Array): Promise<void> {
  await writeFile(join(path, file), content)
}

function hexOf(digest: Digest): string {
  return digestParts(digest).hex
}

const config = { mediaType: 'a/b', digest: digestOf(encodeUtf8('{}')), size: 2 }

function manifest(extra: object = {}): Manifest {
  const document = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [], ...extra }
  return parseManifest(encodeUtf8(JSON.stringify(document)), undefined, 'It')
}

function descriptorOf({ mediaType, digest, bytes }: Manifest): object {
  return { mediaType, digest, size: bytes.byteLength }
}

function indexOf(...manifests: readonly Manifest[]): Manifest {
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: manifests.map(descriptorOf),
  }
  return parseManifest(encodeUtf8(JSON.stringify(document)), undefined, 'It')
}

async function writeImage(): Promise<Manifest> {
  await write('manifest.json', manifest().bytes)
  await write(hexOf(config.digest), '{}')
  return manifest()
}

describe('openDirectory', () => {
  it('reads an image and its blobs', async () => {
    const image = await writeImage()
    const opened = await openDirectory(path)
    expect(opened.name).toBe(`dir:${path}`)
    expect(opened.root).toEqual(descriptorOf(image))
    expect(Buffer.compare((await opened.getManifest(image.digest)).bytes, image.bytes)).toBe(0)
    expect(Buffer.from(await collectBytes(opened.getBlob(config), 2, 'It')).toString()).toBe('{}')
    expect(await opened.listReferrers(image.digest)).toEqual([])
    expect(await opened.listSignatures(image.digest)).toEqual([])
  })

  // The names that skopeo 1.22 gives the files of `copy --all --sign-by-sigstore-private-key`.
  it('reads the images of an index, and the signatures of each', async () => {
    const [one, two] = [manifest(), manifest({ annotations: { n: '2' } })]
    const index = indexOf(one, two)
    await write('manifest.json', index.bytes)
    for (const image of [one, two]) await write(`${hexOf(image.digest)}.manifest.json`, image.bytes)
    await write('signature-1', 'a')
    await write('signature-2', 'b')
    await write(`${hexOf(two.digest)}.signature-1`, 'c')
    await write(`${hexOf(two.digest)}.signature-3`, 'after a gap')
    const opened = await openDirectory(path)
    expect(opened.root.digest).toBe(index.digest)
    expect((await opened.getManifest(two.digest)).digest).toBe(two.digest)
    const signatures = async (digest: Digest): Promise<readonly string[]> =>
      (await opened.listSignatures(digest)).map((bytes) => Buffer.from(bytes).toString())
    expect(await signatures(index.digest)).toEqual(['a', 'b'])
    expect(await signatures(one.digest)).toEqual([])
    expect(await signatures(two.digest)).toEqual(['c'])
  })

  // Version 1.2, of containers/image from 2026.
  it('reads blobs and manifests of other algorithms', async () => {
    await writeImage()
    const { bytes } = manifest({ annotations: { n: '2' } })
    const other = digestOf(bytes, 'sha512')
    await write(`sha512-${hexOf(other)}.manifest.json`, bytes)
    await write('version', 'Directory Transport Version: 1.2\n')
    const digest = digestOf(encodeUtf8('hello'), 'sha512')
    await write(`sha512-${hexOf(digest)}`, 'hello')
    const opened = await openDirectory(path)
    const read = collectBytes(opened.getBlob({ digest, size: 5 }), 5, 'It')
    expect(Buffer.from(await read).toString()).toBe('hello')
    expect((await opened.getManifest(other)).digest).toBe(other)
  })

  it('finds referrers, and what is under tags of cosign', async () => {
    const image = await writeImage()
    const referrer = manifest({ subject: descriptorOf(image), artifactType: 'x/y', annotations: { k: 'v' } })
    const attestations = manifest({ annotations: { n: '2' } })
    const tag = `sha256-${hexOf(image.digest)}.att`
    await write(`${hexOf(referrer.digest)}.manifest.json`, referrer.bytes)
    await write(`${tag}.manifest.json`, attestations.bytes)
    await write('other.manifest.json', 'no digest in its name')
    const opened = await openDirectory(path)
    expect(await opened.listReferrers(image.digest)).toEqual([
      { ...descriptorOf(referrer), artifactType: 'x/y', annotations: { k: 'v' } },
    ])
    expect((await opened.getManifest(tag)).digest).toBe(attestations.digest)
  })

  it.each(['latest', '../secret', 'sha256-../../secret.sig', `sha256-${'0'.repeat(64)}.sig`, 'manifest'])(
    'has nothing under the tag %s',
    async (tag) => {
      await writeImage()
      await writeFile(join(folder, 'secret.manifest.json'), manifest().bytes)
      const opened = await openDirectory(path)
      await expect(opened.getManifest(tag)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    },
  )

  it.each<[string, string, string, ErrorCode]>([
    ['a newer version', 'version', 'Directory Transport Version: 1.3\n', 'INVALID_IMAGE'],
    ['another version', 'version', 'Directory Transport Version: 1.1', 'INVALID_IMAGE'],
    ['a version without end', 'version', 'x'.repeat(10_000), 'TOO_LARGE'],
    ['a broken manifest', 'manifest.json', '{', 'INVALID_JSON'],
    ['a manifest that is too large', 'manifest.json', ' '.repeat(LIMITS.manifestBytes + 1), 'TOO_LARGE'],
    [
      'a digest that is a path (CVE-2024-3727)',
      'manifest.json',
      JSON.stringify({ ...JSON.parse(Buffer.from(manifest().bytes).toString()), config: traversal() }),
      'INVALID_MANIFEST',
    ],
    [
      'a manifest of two kinds (CVE-2021-41190)',
      'manifest.json',
      JSON.stringify({ ...JSON.parse(Buffer.from(manifest().bytes).toString()), manifests: [] }),
      'INVALID_MANIFEST',
    ],
  ])('refuses %s', async (_name, file, content, code) => {
    await writeImage()
    await write(file, content)
    await expect(openDirectory(path)).rejects.toMatchObject({ code })
  })

  it('reads a folder without a version as skopeo does, and none without a manifest', async () => {
    await writeImage()
    await rm(join(path, 'version'))
    expect((await openDirectory(path)).root.digest).toBe(manifest().digest)
    await rm(join(path, 'manifest.json'))
    await expect(openDirectory(path)).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
    await expect(openDirectory(join(folder, 'gone'))).rejects.toMatchObject({ code: 'INVALID_IMAGE' })
  })

  it('refuses what does not have its digest, and tells what is not there', async () => {
    const image = await writeImage()
    const other = manifest({ annotations: { n: '2' } })
    const opened = await openDirectory(path)
    await expect(opened.getManifest(other.digest)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await write(`${hexOf(other.digest)}.manifest.json`, image.bytes)
    await expect(opened.getManifest(other.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await expect(opened.listReferrers(image.digest)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    for (const content of ['no', '{', '{} ']) {
      await write(hexOf(config.digest), content)
      const read = collectBytes(opened.getBlob(config), 10, 'It')
      await expect(read).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    }
    await rm(join(path, hexOf(config.digest)))
    const read = collectBytes(opened.getBlob(config), 10, 'It')
    await expect(read).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('stops reading a blob when it is told to', async () => {
    await writeImage()
    const stop = new AbortController()
    const blob = (await openDirectory(path)).getBlob(config, stop.signal)
    stop.abort()
    await expect(collectBytes(blob, 2, 'It')).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('takes no signature from a link or a folder', async () => {
    const image = await writeImage()
    await writeFile(join(folder, 'secret'), 'a key')
    await symlink('../secret', join(path, 'signature-1'))
    const opened = await openDirectory(path)
    await expect(opened.listSignatures(image.digest)).rejects.toMatchObject({ code: 'FILE' })
    await rm(join(path, 'signature-1'))
    await mkdir(join(path, 'signature-1'))
    await expect(opened.listSignatures(image.digest)).rejects.toMatchObject({ code: 'FILE' })
  })

  it('bounds signatures in size and number', async () => {
    const image = await writeImage()
    const opened = await openDirectory(path)
    await write('signature-1', new Uint8Array(LIMITS.payloadBytes + 1))
    await expect(opened.listSignatures(image.digest)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    const large = LIMITS.payloadsBytes / LIMITS.payloadBytes + 1
    for (let n = 1; n <= large; n += 1) await write(`signature-${n}`, new Uint8Array(LIMITS.payloadBytes))
    await expect(opened.listSignatures(image.digest)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    for (let n = 1; n <= LIMITS.signatures + 1; n += 1) await write(`signature-${n}`, '')
    await expect(opened.listSignatures(image.digest)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: `dir:${path} has more than the limit of 1000 signatures.`,
    })
  })
})

function traversal(): object {
  return { mediaType: 'a/b', digest: 'sha256:../../../../etc/passwd', size: 1 }
}
