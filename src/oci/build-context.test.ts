import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes } from '../core/index.ts'
import { BuildContext } from './build-context.ts'
import { readSource } from './build-layer.ts'

let root: string
let folder: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cosignet-context-'))
  folder = join(root, 'context')
  await mkdir(join(folder, 'sub/deep'), { recursive: true })
  await mkdir(join(folder, 'other'))
  await writeFile(join(root, 'secret'), 'SECRET')
  for (const name of ['a.txt', 'b.txt', 'sub/c.txt', 'sub/deep/d.txt', 'other/e.txt', '[x]']) {
    await writeFile(join(folder, name), name)
  }
})
afterEach(async () => {
  await rm(root, { recursive: true })
})

async function find(source: string, ignore = ''): Promise<readonly string[]> {
  const context = await BuildContext.open(folder, ignore)
  return (await context.find(source)).map(({ place }) => place.join('/'))
}

describe('BuildContext.find', () => {
  it.each<[string, readonly string[]]>([
    ['a.txt', ['a.txt']],
    ['/a.txt', ['a.txt']],
    ['./sub//deep/../c.txt', ['sub/c.txt']],
    ['.', ['']],
    ['*.txt', ['a.txt', 'b.txt']],
    ['?.txt', ['a.txt', 'b.txt']],
    ['[^b]*', ['[x]', 'a.txt', 'other', 'sub']],
    ['*/*.txt', ['other/e.txt', 'sub/c.txt']],
    ['s*/d*/d.txt', ['sub/deep/d.txt']],
    ['[[]x]', ['[x]']],
    ['none*', []],
    ['none/*', []],
    ['a.txt/*', []],
  ])('finds %s', async (source, expected) => {
    expect(await find(source)).toEqual(expected)
  })

  it('follows links that stay inside, and keeps the name that was asked for', async () => {
    await symlink('sub', join(folder, 'to-folder'))
    await symlink('../a.txt', join(folder, 'sub/to-file'))
    expect(await find('to-folder/to-file')).toEqual(['a.txt'])
    const context = await BuildContext.open(folder, '')
    const [file] = await context.find('to-*')
    expect(file).toMatchObject({ name: 'to-folder', place: ['sub'] })
    expect(
      (await context.list({ place: ['sub'], path: join(folder, 'sub') })).map(({ name }) => name),
    ).toEqual(['c.txt', 'deep', 'to-file'])
  })

  it('finds nothing that is left out, but folders that hold an exception', async () => {
    const ignore = 'sub\n!sub/deep/d.txt\nother\n*.txt'
    expect(await find('*', ignore)).toEqual(['[x]', 'sub'])
    expect(await find('sub/*', ignore)).toEqual(['sub/deep'])
    expect(await find('sub/deep/*', 'sub\n!sub/deep/d.txt')).toEqual(['sub/deep/d.txt'])
    await expect(find('a.txt', ignore)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await expect(find('other/e.txt', ignore)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    await symlink('other', join(folder, 'alias'))
    await expect(find('alias/e.txt', ignore)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('reads .dockerignore by itself', async () => {
    await writeFile(join(folder, '.dockerignore'), '# all but b\n*\n!b.txt\n')
    const context = await BuildContext.open(folder)
    expect((await context.find('*')).map(({ name }) => name)).toEqual(['b.txt'])
  })

  it('says what is not there', async () => {
    await expect(find('gone')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: '"gone" is not in the context, or is left out of it.',
    })
    await expect(BuildContext.open(join(root, 'gone'))).rejects.toMatchObject({
      code: 'FILE',
      message: `${JSON.stringify(join(root, 'gone'))} cannot be read: no such file or folder.`,
    })
  })
})

describe('BuildContext reads nothing outside', () => {
  const leadsOut = (source: string): object => ({
    code: 'INVALID_IMAGE',
    message: `${JSON.stringify(source)} leads out of the context.`,
  })

  it.each([
    '../secret',
    '/../secret',
    'sub/../../secret',
    'a/../../secret',
    '..',
    '../context/a.txt',
    '../*',
  ])('by the path %s', async (source) => {
    await expect(find(source)).rejects.toMatchObject(leadsOut(source))
  })

  it.each<[string, string]>([
    ['a relative link', '../secret'],
    ['an absolute link', '/etc/passwd'],
    ['an absolute link to the context itself', ''],
    ['a link that leaves and comes back', '../context/a.txt'],
    ['a link through another', 'out-folder/secret'],
  ])('by %s', async (_name, target) => {
    await symlink('..', join(folder, 'out-folder'))
    await symlink(target === '' ? join(folder, 'a.txt') : target, join(folder, 'link'))
    await expect(find('link')).rejects.toMatchObject(leadsOut('link'))
    await expect(find('lin?')).rejects.toMatchObject(leadsOut('lin?'))
    await expect(find('out-folder/secret')).rejects.toMatchObject(leadsOut('out-folder/secret'))
  })

  it('by a link that leads in a circle', async () => {
    await symlink('two', join(folder, 'one'))
    await symlink('one', join(folder, 'two'))
    await expect(find('one')).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: '"one" has too many symbolic links.',
    })
  })

  it('by a pattern that goes through a link to a folder', async () => {
    await symlink('..', join(folder, 'out-folder'))
    expect(await find('*/secret')).toEqual([])
  })

  it('by a .dockerignore that is a link', async () => {
    await symlink('../secret', join(folder, '.dockerignore'))
    await expect(BuildContext.open(folder)).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: `${JSON.stringify(join(folder, '.dockerignore'))} is not a file.`,
    })
  })

  it('by a link that took the place of a file meanwhile', async () => {
    const context = await BuildContext.open(folder, '')
    const [file] = await context.find('a.txt')
    if (file === undefined) throw new Error('not found')
    await rm(file.path)
    await symlink('../secret', file.path)
    await expect(collectBytes(readSource(file.source), 100, 'It')).rejects.toMatchObject({ code: 'FILE' })
    await rm(file.path)
    await rename(join(root, 'secret'), file.path)
    await expect(collectBytes(readSource(file.source), 100, 'It')).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: `The file ${JSON.stringify(file.path)} changed while it was read.`,
    })
  })
})
