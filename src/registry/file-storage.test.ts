import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../core/index.ts'
import { type Digest, parseDigest } from '../oci/index.ts'
import { fileStorage } from './file-storage.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'registry-files-'))
})
afterEach(() => rm(directory, { recursive: true }))

function digestOf(text: string): Digest {
  return parseDigest(`sha256:${createHash('sha256').update(text).digest('hex')}`)
}

async function* stream(...chunks: string[]): AsyncIterable<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk)
}

async function read(content: AsyncIterable<Uint8Array>): Promise<string> {
  return Buffer.from(await collectBytes(content, 100, 'The content')).toString()
}

describe('fileStorage', () => {
  it('finds everything again after a restart, but for unfinished uploads', async () => {
    const before = await fileStorage(directory)
    const finished = await before.startUpload('team/app')
    await before.appendUpload('team/app', finished, stream('bl', 'ob'))
    await before.finishUpload('team/app', finished, digestOf('blob'))
    const manifest = { mediaType: 'application/x', bytes: Buffer.from('{"a":\n1}') }
    await before.putManifest('team/app', digestOf('m'), manifest, digestOf('subject'))
    await before.compareAndSetTag('team/app', 'V1.0', undefined, digestOf('m'))
    const unfinished = await before.startUpload('team/app')
    await before.appendUpload('team/app', unfinished, stream('half'))
    expect(await readdir(join(directory, 'incoming'))).toEqual([unfinished])
    await before.close()

    const after = await fileStorage(directory)
    expect(await readdir(join(directory, 'incoming'))).toEqual([])
    expect(await after.uploadSize('team/app', unfinished)).toBeUndefined()
    expect(await read(after.readBlob('team/app', digestOf('blob')))).toBe('blob')
    expect(await after.getManifest('team/app', digestOf('m'))).toEqual(manifest)
    expect(await after.listReferrers('team/app', digestOf('subject'))).toEqual([digestOf('m')])
    expect(await after.listTags('team/app')).toEqual(['V1.0'])
    expect(await after.getTag('team/app', 'V1.0')).toBe(digestOf('m'))
    expect(await after.hasRepository('team')).toBe(false)
  })

  it('belongs to one writer at a time, beside any number of readers', async () => {
    const writer = await fileStorage(directory)
    const id = await writer.startUpload('a')
    await writer.appendUpload('a', id, stream('content'))
    await expect(fileStorage(directory)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `The folder ${JSON.stringify(directory)} is in use by another registry.`,
    })
    const readers = [
      await fileStorage(directory, { readOnly: true }),
      await fileStorage(directory, { readOnly: true }),
    ]
    await writer.finishUpload('a', id, digestOf('content'))
    for (const reader of readers) expect(await reader.blobSize('a', digestOf('content'))).toBe(7)
    await writer.close()
    await (await fileStorage(directory)).close()
  })

  it('leaves a folder as it is that it only reads', async () => {
    await mkdir(join(directory, 'incoming'))
    await writeFile(join(directory, 'incoming/half'), 'half')
    const reader = await fileStorage(directory, { readOnly: true })
    expect(await reader.listTags('a')).toEqual([])
    expect(await readdir(directory, { recursive: true })).toEqual(['incoming', 'incoming/half'])
  })

  it('gives a blob its name only when it is whole, and to its owner only', async () => {
    const storage = await fileStorage(directory)
    const id = await storage.startUpload('a')
    await storage.appendUpload('a', id, stream('content'))
    expect(await storage.hasRepository('a')).toBe(false)
    await storage.finishUpload('a', id, digestOf('content'))
    const hex = digestOf('content').slice('sha256:'.length)
    const file = await stat(join(directory, 'repositories/a/_blobs/sha256', hex))
    expect([file.size, file.mode & 0o777]).toEqual([7, 0o600])
    expect(await readdir(join(directory, 'incoming'))).toEqual([])
  })

  it('keeps a mounted blob once', async () => {
    const storage = await fileStorage(directory)
    const id = await storage.startUpload('a')
    await storage.appendUpload('a', id, stream('content'))
    await storage.finishUpload('a', id, digestOf('content'))
    expect(await storage.mountBlob('a', 'b', digestOf('content'))).toBe(true)
    expect(await storage.mountBlob('a', 'b', digestOf('content'))).toBe(true)
    const path = (name: string) =>
      join(directory, 'repositories', name, '_blobs/sha256', digestOf('content').slice('sha256:'.length))
    expect((await stat(path('a'))).ino).toBe((await stat(path('b'))).ino)
  })

  it('takes one writer of an upload at a time', async () => {
    const storage = await fileStorage(directory)
    const id = await storage.startUpload('a')
    let release: () => void = () => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const slow = (async function* () {
      yield Buffer.from('one')
      await held
    })()
    const first = storage.appendUpload('a', id, slow)
    for (const second of [
      storage.appendUpload('a', id, stream('two')),
      storage.finishUpload('a', id, digestOf('one')),
      storage.cancelUpload('a', id),
    ]) {
      await expect(second).rejects.toMatchObject({
        code: 'CONFLICT',
        message: 'The upload is being written to.',
      })
    }
    release()
    expect(await first).toBe(3)
    await expect(storage.appendUpload('a', id, stream('x'), 2)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: 'The upload continues at byte 3, not 2.',
    })
  })

  it.each(['../x', '..', '/etc', 'a/../b', 'a//b', 'A', '', '_tags', `a/${'b'.repeat(254)}`])(
    'refuses the repository name %j at the file system too',
    async (name) => {
      const storage = await fileStorage(directory)
      await expect(storage.hasRepository(name)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    },
  )

  it.each(['..', '.x', '../x', 'a/b', '', 'a'.repeat(129)])('refuses the tag %j there', async (tag) => {
    const storage = await fileStorage(directory)
    await expect(storage.getTag('a', tag)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
  })

  it('takes a tag file that holds no digest as no tag', async () => {
    const storage = await fileStorage(directory)
    await mkdir(join(directory, 'repositories/a/_tags'), { recursive: true })
    await writeFile(join(directory, 'repositories/a/_tags/v1'), '../../etc/passwd\n')
    expect(await storage.getTag('a', 'v1')).toBeUndefined()
  })
})
