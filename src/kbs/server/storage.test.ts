import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { withFileLock } from './file-lock.ts'
import { fileStorage } from './file-storage.ts'
import { memoryStorage } from './memory-storage.ts'
import type { KbsStorage } from './storage.ts'

let directory: string

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'cosignet-kbs-'))
})

afterEach(async () => {
  await rm(directory, { recursive: true, force: true })
})

const bytes = (text: string) => new TextEncoder().encode(text)
const text = (value: Uint8Array | undefined) => value && new TextDecoder().decode(value)

describe.each([
  ['memory', () => memoryStorage()],
  ['file', () => fileStorage(directory)],
])('%s storage', (_, open: () => KbsStorage) => {
  it('stores, reads, replaces, lists and deletes', async () => {
    const storage = open()
    expect(await storage.get('repository', 'a/b/c')).toBeUndefined()
    expect(await storage.put('repository', 'a/b/c', bytes('one'))).toBe('stored')
    expect(await storage.put('repository', 'a/b/b', bytes('two'))).toBe('stored')
    expect(await storage.put('repository', 'a/b/c', bytes('three'))).toBe('stored')
    expect(text((await storage.get('repository', 'a/b/c'))?.value)).toBe('three')
    expect(await storage.get('other', 'a/b/c')).toBeUndefined()
    expect(await storage.list('repository')).toEqual(['a/b/b', 'a/b/c'])
    expect(await storage.delete('repository', 'a/b/c')).toBe(true)
    expect(await storage.delete('repository', 'a/b/c')).toBe(false)
    expect(await storage.list('repository')).toEqual(['a/b/b'])
    expect(await storage.list('empty')).toEqual([])
  })

  it('puts only where the condition holds', async () => {
    const storage = open()
    expect(await storage.put('n', 'k', bytes('1'), { version: 'none' })).toBe('conflict')
    expect(await storage.put('n', 'k', bytes('1'), { version: null })).toBe('stored')
    expect(await storage.put('n', 'k', bytes('2'), { version: null })).toBe('conflict')
    const first = await storage.get('n', 'k')
    expect(await storage.put('n', 'k', bytes('2'), { version: first?.version ?? '' })).toBe('stored')
    expect(await storage.put('n', 'k', bytes('3'), { version: first?.version ?? '' })).toBe('conflict')
    expect(text((await storage.get('n', 'k'))?.value)).toBe('2')
  })

  it('does not let a caller change what is stored', async () => {
    const storage = open()
    const value = bytes('secret')
    await storage.put('n', 'k', value)
    value.fill(0)
    const read = await storage.get('n', 'k')
    read?.value.fill(0)
    expect(text((await storage.get('n', 'k'))?.value)).toBe('secret')
  })

  it.each([
    ['n', '../k'],
    ['n', 'a/../../k'],
    ['n', '.hidden'],
    ['n', ''],
    ['n', '/a'],
    ['n', 'a//b'],
    ['n', 'a\\x2Fb'],
    ['n', 'a\0b'],
    ['..', 'k'],
    ['a/b', 'k'],
    ['.locks', 'k'],
  ])('refuses the namespace %j with the key %j', async (namespace, key) => {
    const storage = open()
    const refused = { code: 'INVALID_REQUEST' }
    await expect(storage.get(namespace, key)).rejects.toMatchObject(refused)
    await expect(storage.put(namespace, key, bytes('x'))).rejects.toMatchObject(refused)
    await expect(storage.delete(namespace, key)).rejects.toMatchObject(refused)
  })
})

describe('fileStorage', () => {
  it("writes Trustee's layout, for the owner alone, and leaves nothing else", async () => {
    await fileStorage(directory).put('repository', 'default/security-policy/test', bytes('{}'))
    const folder = join(directory, 'repository')
    expect(await readdir(folder)).toEqual(['default\\x2Fsecurity-policy\\x2Ftest'])
    expect((await stat(join(folder, 'default\\x2Fsecurity-policy\\x2Ftest'))).mode & 0o777).toBe(0o600)
    expect((await stat(folder)).mode & 0o777).toBe(0o700)
    expect(await readdir(join(directory, '.locks'))).toEqual([])
  })

  it('reads what Trustee wrote, and does not list what is no key', async () => {
    await mkdir(join(directory, 'repository'))
    await writeFile(join(directory, 'repository', 'default\\x2Fkey\\x2Fone'), 'from Trustee')
    await writeFile(join(directory, 'repository', '.default.1234.tmp'), 'half')
    const storage = fileStorage(directory)
    expect(await storage.list('repository')).toEqual(['default/key/one'])
    expect(text((await storage.get('repository', 'default/key/one'))?.value)).toBe('from Trustee')
  })

  it('refuses a file beyond the limit', async () => {
    await mkdir(join(directory, 'n'))
    await writeFile(join(directory, 'n', 'k'), Buffer.alloc(2 * 1024 * 1024 + 1))
    await expect(fileStorage(directory).get('n', 'k')).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('loses no update of 20 writers in two instances', async () => {
    const storages = [fileStorage(directory), fileStorage(directory)]
    await storages[0]?.put('n', 'counter', bytes('0'))
    const increment = async (storage: KbsStorage): Promise<void> => {
      for (;;) {
        const read = await storage.get('n', 'counter')
        const next = bytes(String(Number(text(read?.value)) + 1))
        if ((await storage.put('n', 'counter', next, { version: read?.version ?? null })) === 'stored') return
      }
    }
    await Promise.all(Array.from({ length: 10 }, () => storages.map(increment)).flat())
    expect(text((await storages[1]?.get('n', 'counter'))?.value)).toBe('20')
    expect(await readdir(join(directory, '.locks'))).toEqual([])
  })

  it('lets one of 20 writers create', async () => {
    const storages = [fileStorage(directory), fileStorage(directory)]
    const outcomes = await Promise.all(
      Array.from(
        { length: 20 },
        async (_, i) => await storages[i % 2]?.put('n', 'k', bytes(String(i)), { version: null }),
      ),
    )
    expect(outcomes.filter((outcome) => outcome === 'stored')).toHaveLength(1)
    const winner = outcomes.indexOf('stored')
    expect(text((await storages[0]?.get('n', 'k'))?.value)).toBe(String(winner))
  })
})

describe('withFileLock', () => {
  it('breaks a lock that a dead process left', async () => {
    const path = join(directory, 'lock')
    await writeFile(path, '')
    expect(await withFileLock(path, async () => 'done', 50)).toBe('done')
    expect(await readdir(directory)).toEqual([])
  })

  it('tells a holder that its lock was broken, and leaves the lock of the next one alone', async () => {
    const path = join(directory, 'lock')
    await expect(
      withFileLock(path, async (assertHeld) => {
        await rm(path)
        await writeFile(path, 'of another')
        await assertHeld()
      }),
    ).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(await readFile(path, 'utf8')).toBe('of another')
  })

  it('gives up where the one that was breaking it died too', async () => {
    const path = join(directory, 'lock')
    await writeFile(path, '')
    await writeFile(`${path}.breaking`, '')
    await expect(withFileLock(path, async () => 'done', 20)).rejects.toMatchObject({ code: 'FILE' })
  })
})
