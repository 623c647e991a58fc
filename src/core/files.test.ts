import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from './bytes.ts'
import { errnoOf, makeFolder, readFileBounded, writeFileAtomically } from './files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-files-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true, force: true })
})

describe('readFileBounded', () => {
  it('reads a file up to the limit', async () => {
    const path = join(folder, 'a')
    await writeFile(path, 'abcd')
    expect(await readFileBounded(path, 4, 'file')).toEqual(Buffer.from('abcd'))
    await writeFile(path, '')
    expect(await readFileBounded(path, 0, 'file')).toEqual(Buffer.alloc(0))
  })

  it('refuses one that is too large, missing or no file', async () => {
    const path = join(folder, 'a')
    await writeFile(path, 'abcde')
    await expect(readFileBounded(path, 4, 'key file')).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: `The key file "${path}" is larger than the limit of 4 bytes.`,
    })
    const missing = join(folder, 'b')
    await expect(readFileBounded(missing, 4, 'key file')).rejects.toMatchObject({
      code: 'FILE',
      message: `The key file "${missing}" cannot be read: no such file or folder.`,
    })
    await expect(readFileBounded(folder, 4, 'key file')).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('it is a folder'),
    })
    await expect(readFileBounded(join(path, 'c'), 4, 'key file')).rejects.toMatchObject({ code: 'FILE' })
    await expect(readFileBounded('a\0b', 4, 'key file')).rejects.toMatchObject({ code: 'FILE' })
  })
})

describe('writeFileAtomically', () => {
  it('writes bytes with the mode asked for, and makes the folder', async () => {
    const path = join(folder, 'x', 'y', 'secret')
    await writeFileAtomically(path, encodeUtf8('abc'), { mode: 0o600 })
    expect(await readFile(path, 'utf8')).toBe('abc')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    await writeFileAtomically(path, encodeUtf8('de'), { mode: 0o640 })
    expect(await readFile(path, 'utf8')).toBe('de')
    expect((await stat(path)).mode & 0o777).toBe(0o640)
    expect(await readdir(join(folder, 'x', 'y'))).toEqual(['secret'])
  })

  it('writes over no file that exists if it is to be exclusive, and leaves that one as it is', async () => {
    const path = join(folder, 'a')
    await writeFileAtomically(path, encodeUtf8('first'), { mode: 0o644, exclusive: true })
    const again = writeFileAtomically(path, encodeUtf8('second'), { mode: 0o644, exclusive: true })
    await expect(again).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `The file "${path}" exists already.`,
    })
    expect(await readFile(path, 'utf8')).toBe('first')
    expect(await readdir(folder)).toEqual(['a'])
    // A link to nowhere is a name that exists.
    await symlink(join(folder, 'nowhere'), join(folder, 'link'))
    const link = writeFileAtomically(join(folder, 'link'), encodeUtf8('x'), { mode: 0o644, exclusive: true })
    await expect(link).rejects.toMatchObject({ code: 'ALREADY_EXISTS' })
    expect((await readdir(folder)).sort()).toEqual(['a', 'link'])
  })

  it('lets one of many exclusive writers win', async () => {
    const path = join(folder, 'a')
    const writes = Array.from({ length: 20 }, (_, i) =>
      writeFileAtomically(path, encodeUtf8(`writer ${i}`), { mode: 0o644, exclusive: true }),
    )
    const results = await Promise.allSettled(writes)
    const winners = results.flatMap((result, i) => (result.status === 'fulfilled' ? [i] : []))
    expect(winners).toHaveLength(1)
    expect(await readFile(path, 'utf8')).toBe(`writer ${winners[0]}`)
    expect(await readdir(folder)).toEqual(['a'])
  })

  it('leaves no temporary file where it fails', async () => {
    const path = join(folder, 'folder')
    await mkdir(join(path, 'full'), { recursive: true })
    await expect(writeFileAtomically(path, encodeUtf8('x'), { mode: 0o644 })).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringMatching(/^The file ".*folder" cannot be written: /),
    })
    expect(await readdir(folder)).toEqual(['folder'])
  })

  it('says FILE where a folder of the path is a file, not that the file exists', async () => {
    await writeFile(join(folder, 'file'), 'x')
    for (const path of [join(folder, 'file', 'a'), join(folder, 'file', 'a', 'b')]) {
      const write = writeFileAtomically(path, encodeUtf8('x'), { mode: 0o644, exclusive: true })
      await expect(write).rejects.toMatchObject({ code: 'FILE' })
    }
  })

  it('replaces the name and not what it links to', async () => {
    const target = join(folder, 'target')
    await writeFile(target, 'as it was')
    await chmod(target, 0o444)
    await symlink(target, join(folder, 'link'))
    await writeFileAtomically(join(folder, 'link'), encodeUtf8('new'), { mode: 0o644 })
    expect(await readFile(join(folder, 'link'), 'utf8')).toBe('new')
    expect(await readFile(target, 'utf8')).toBe('as it was')
  })

  it('shows a reader all of one version or all of another', async () => {
    const path = join(folder, 'a')
    const version = (i: number) => String(i % 10).repeat(200_000)
    await writeFileAtomically(path, encodeUtf8(version(0)), { mode: 0o644 })
    let writing = true
    const read = async (): Promise<number> => {
      let reads = 0
      for (; writing; reads += 1) {
        const text = await readFile(path, 'utf8')
        expect(text === version(Number(text[0]))).toBe(true)
      }
      return reads
    }
    const reading = Promise.all([read(), read()])
    for (let i = 1; i <= 20; i += 1) {
      await writeFileAtomically(path, encodeUtf8(version(i)), { mode: 0o644 })
    }
    writing = false
    for (const reads of await reading) expect(reads).toBeGreaterThan(0)
  })
})

describe('errnoOf', () => {
  it('gives the name that the system has for a failure', async () => {
    const error: unknown = await readFile(join(folder, 'none')).catch((reason: unknown) => reason)
    expect(errnoOf(error)).toBe('ENOENT')
    expect(errnoOf(new Error('x'))).toBeUndefined()
    expect(errnoOf({ code: 'ENOENT' })).toBeUndefined()
  })
})

describe('makeFolder', () => {
  it('makes a folder and those above it, and takes what is there', async () => {
    const path = join(folder, 'a', 'b', 'c')
    expect(await makeFolder(path, 0o700)).toEqual([join(folder, 'a'), join(folder, 'a', 'b'), path])
    expect(await makeFolder(path)).toEqual([])
    expect((await stat(join(folder, 'a'))).mode & 0o777).toBe(0o700)
    expect((await stat(path)).isDirectory()).toBe(true)
  })

  it('makes one that many ask for at once', async () => {
    const path = join(folder, 'a', 'b')
    await Promise.all(Array.from({ length: 20 }, () => makeFolder(path)))
    expect((await stat(path)).isDirectory()).toBe(true)
  })

  it('makes none where a file is in the way', async () => {
    await writeFile(join(folder, 'a'), '')
    await expect(makeFolder(join(folder, 'a'))).rejects.toMatchObject({ code: 'EEXIST' })
    await expect(makeFolder(join(folder, 'a', 'b'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })

  it('ends where no new name can be', async () => {
    await expect(makeFolder('/proc/self/a/b')).rejects.toMatchObject({ code: 'ENOENT' })
  })
})
