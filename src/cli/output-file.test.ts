import { execFile } from 'node:child_process'
import { lstat, mkdtemp, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { writeOutputFile } from './output-file.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-output-'))
})
afterEach(async () => {
  await rm(folder, { recursive: true })
})

const write = (path: string, text: string): Promise<void> =>
  writeOutputFile(path, Buffer.from(text), { mode: 0o644 })

describe('writeOutputFile', () => {
  it('makes a file, and replaces one', async () => {
    const path = join(folder, 'new', 'a')
    await write(path, 'one')
    await write(path, 'two')
    expect(await readFile(path, 'utf8')).toBe('two')
  })

  it('leaves a link where it is', async () => {
    const [path, link] = [join(folder, 'a'), join(folder, 'link')]
    await writeFile(path, 'old')
    await symlink(path, link)
    await write(link, 'new')
    expect(await readlink(link)).toBe(path)
    expect(await readFile(path, 'utf8')).toBe('new')
  })

  it('writes into a pipe and leaves it one', async () => {
    const path = join(folder, 'pipe')
    await promisify(execFile)('mkfifo', [path])
    const [read] = await Promise.all([readFile(path, 'utf8'), write(path, 'through')])
    expect(read).toBe('through')
    expect((await lstat(path)).isFIFO()).toBe(true)
  })

  it('says what is wrong with a folder', async () => {
    await expect(write(folder, 'x')).rejects.toMatchObject({
      code: 'FILE',
      message: `The file "${folder}" cannot be written: it is a folder.`,
    })
  })
})
