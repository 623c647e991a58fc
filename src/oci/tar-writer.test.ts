import { execFileSync, spawn } from 'node:child_process'
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unpackTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../core/index.ts'
import { encodeTarHeader, parseTarHeader } from './tar-header.ts'
import { createTar, type TarWriter } from './tar-writer.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-tar-'))
  path = join(folder, 'archive.tar')
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

describe('writing a tar file', () => {
  it('writes what tar reads', async () => {
    const tar = await create()
    await tar.add('one/two', 3, Buffer.from('xyz'))
    await tar.addUnsized(chunks('ab', 'cd'), () => 'later.tar')
    await tar.commit()
    const list = execFileSync('tar', ['--numeric-owner', '--utc', '-tvf', path], { encoding: 'utf8' })
    expect(list).toMatch(
      /^-r--r--r-- 0\/0 +3 1970-01-01 00:00 one\/two\n-r--r--r-- 0\/0 +4 1970-01-01 00:00 later.tar\n$/,
    )
    expect(execFileSync('tar', ['-xOf', path], { encoding: 'utf8' })).toBe('xyzabcd')
    expect(await readdir(folder)).toEqual(['archive.tar'])
  })

  it('writes names of more than 100 bytes as pax records', async () => {
    const name = `blobs/sha512/${'a'.repeat(128)}`
    const tar = await create()
    await tar.add(name, 2, Buffer.from('ok'))
    await tar.commit()
    expect(execFileSync('tar', ['-tf', path], { encoding: 'utf8' })).toBe(`${name}\n`)
    const [entry] = await unpackTar(await readFile(path))
    expect(entry).toMatchObject({ header: { name, size: 2 }, data: new Uint8Array(Buffer.from('ok')) })
  })

  it('writes sizes of 8 GiB and more in base 256', () => {
    const size = 8 * 1024 ** 3
    // GNU tar 1.34, `truncate -s 8G f; tar --format=gnu -cf - f | head -c 136 | tail -c 12 | xxd -p`
    const expected = '800000000000000200000000'
    const header = encodeTarHeader('f', size)
    expect(Buffer.from(header.subarray(124, 136)).toString('hex')).toBe(expected)
    expect(parseTarHeader(header, 'The archive')).toMatchObject({ name: 'f', size, type: '0' })
    expect(Buffer.from(encodeTarHeader('f', size - 1).subarray(124, 136)).toString()).toBe('77777777777\0')
  })

  it('writes members side by side, in the order in which they were added', async () => {
    const tar = await create()
    const gate = Promise.withResolvers<void>()
    async function* slow(): AsyncGenerator<Uint8Array> {
      await gate.promise
      yield Buffer.from('slow')
    }
    const first = tar.add('first', 4, slow)
    await tar.add('second', 4, Buffer.from('fast'))
    gate.resolve()
    await first
    await tar.commit()
    expect(await contents()).toEqual([
      ['first', 'slow'],
      ['second', 'fast'],
    ])
  })

  it('gives the same bytes for the same members', async () => {
    const write = async (): Promise<Buffer> => {
      const tar = await create()
      await tar.add('a', 1, Buffer.from('a'))
      await tar.addUnsized(chunks('b'), () => 'b')
      await tar.commit()
      return await readFile(path)
    }
    expect((await write()).equals(await write())).toBe(true)
  })

  it('takes a member again that failed', async () => {
    const tar = await create()
    await expect(tar.add('a', 3, broken)).rejects.toThrow('broken')
    await tar.add('b', 1000, Buffer.alloc(1000, 'b'))
    await tar.add('a', 3, Buffer.from('abc'))
    await tar.commit()
    expect((await contents())[0]).toEqual(['a', 'abc'])
  })

  it('keeps nothing of an unsized member that failed or is dropped', async () => {
    const tar = await create()
    await expect(tar.addUnsized(broken, () => 'a')).rejects.toThrow('broken')
    expect(await tar.addUnsized(chunks('x'.repeat(5000)), () => undefined)).toBe(5000)
    await tar.add('b', 1, Buffer.from('b'))
    await tar.commit()
    expect(await contents()).toEqual([['b', 'b']])
    expect((await lstat(path)).size).toBe(2 * 512 + 2 * 512)
  })

  it('refuses to be without a member that failed', async () => {
    const tar = await create()
    await expect(tar.add('a', 3, broken)).rejects.toThrow('broken')
    await expect(tar.commit()).rejects.toMatchObject({ code: 'INTERNAL' })
    expect(await readdir(folder)).toEqual([])
  })

  it.each([
    ['too long', 2],
    ['too short', 4],
  ])('refuses a content that is %s', async (_name, size) => {
    const tar = await create()
    await expect(tar.add('a', size, chunks('ab', 'c'))).rejects.toMatchObject({ code: 'INTERNAL' })
    await expect(tar.add('a', size, Buffer.from('abc'))).rejects.toMatchObject({ code: 'INTERNAL' })
    await tar.abort()
  })

  it('leaves what was there until it is whole, and after an abort', async () => {
    await writeFile(path, 'before')
    const tar = await create()
    await tar.add('a', 1, Buffer.from('a'))
    expect(await readFile(path, 'utf8')).toBe('before')
    await tar.abort()
    expect(await readdir(folder)).toEqual(['archive.tar'])
    expect(await readFile(path, 'utf8')).toBe('before')
    await expect(tar.add('a', 1, Buffer.from('a'))).rejects.toMatchObject({ code: 'INTERNAL' })
  })

  it('writes through a pipe, and does not replace it', async () => {
    execFileSync('sh', ['-c', 'mkfifo "$0"', path])
    const reader = spawn('tar', ['-tf', path])
    const listed = collectBytes(reader.stdout, 1000, 'The list')
    const tar = await create()
    await tar.add('a', 1, Buffer.from('a'))
    await tar.commit()
    expect(Buffer.from(await listed).toString()).toBe('a\n')
    expect((await lstat(path)).isFIFO()).toBe(true)
    expect(await readdir(join(folder, 'temporary'))).toEqual([])
  })

  it('writes through a link, and does not replace it', async () => {
    await symlink('target.tar', path)
    const tar = await create()
    await tar.add('a', 1, Buffer.from('a'))
    await tar.commit()
    expect((await lstat(path)).isSymbolicLink()).toBe(true)
    expect(await contents()).toEqual([['a', 'a']])
  })

  it('refuses a folder', async () => {
    await mkdir(path)
    await expect(create()).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringContaining('a folder'),
    })
  })
})

describe('archives never write outside their folder', () => {
  it.each(['../a', '/a', 'a/../b', './a', 'a//b', '', 'a\0b'])(
    'refuses to write the name %j',
    async (name) => {
      const tar = await create()
      await expect(tar.add(name, 0, Buffer.alloc(0))).rejects.toMatchObject({ code: 'INTERNAL' })
      await expect(tar.addUnsized(chunks('a'), () => name)).rejects.toMatchObject({ code: 'INTERNAL' })
      await tar.abort()
    },
  )
})

async function create(): Promise<TarWriter> {
  return await createTar(path, { temporaryFolder: join(folder, 'temporary') })
}

async function contents(): Promise<[string, string][]> {
  const entries = await unpackTar(await readFile(path))
  return entries.map(({ header, data }) => [header.name, Buffer.from(data ?? []).toString()])
}

function chunks(...texts: readonly string[]): () => AsyncGenerator<Uint8Array> {
  return async function* () {
    for (const text of texts) yield Buffer.from(text)
  }
}

async function* broken(): AsyncGenerator<Uint8Array> {
  yield Buffer.from('a')
  throw new Error('broken')
}
