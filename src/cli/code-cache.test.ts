import { spawnSync } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'code-cache-'))
  const loader = JSON.stringify(join(import.meta.dirname, 'code-cache.ts'))
  await writeFile(
    join(folder, 'main.mjs'),
    `import { createRequire } from 'node:module'
     import { readCodeBesideBundles } from ${loader}
     const keepCode = readCodeBesideBundles(import.meta.dirname)
     console.log(createRequire(import.meta.url)('./bundle.cjs').answer())
     keepCode()`,
  )
})

afterEach(async () => {
  await rm(folder, { recursive: true })
})

async function bundle(answer: string): Promise<void> {
  await writeFile(
    join(folder, 'bundle.cjs'),
    `const { basename } = require('node:path'); exports.answer = () => '${answer} ' + basename(__filename)`,
  )
}

function run(): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['main.mjs'], {
    cwd: folder,
    encoding: 'utf8',
  })
  expect(stderr).toBe('')
  expect(status).toBe(0)
  return stdout.trim()
}

async function kept(): Promise<readonly string[]> {
  return (await readdir(join(folder, '.cache'))).map((name) => join(folder, '.cache', name))
}

describe('readCodeBesideBundles', () => {
  it('keeps compiled code, and uses it again', async () => {
    await bundle('one')
    expect(run()).toBe('one bundle.cjs')
    const [first, ...others] = await kept()
    const bytes = await readFile(first ?? '')
    expect(others).toEqual([])
    expect(run()).toBe('one bundle.cjs')
    expect(await readFile(first ?? '')).toEqual(bytes)
  })

  it('takes no code of another source, not even of one as long', async () => {
    await bundle('one')
    run()
    await bundle('two')
    expect(run()).toBe('two bundle.cjs')
    expect(await kept()).toHaveLength(2)
  })

  it.each([
    { what: 'damaged', damage: (bytes: Buffer) => bytes.fill(0x55, bytes.length / 2, bytes.length / 2 + 8) },
    { what: 'cut short', damage: (bytes: Buffer) => bytes.subarray(0, bytes.length / 2) },
    { what: 'empty', damage: () => Buffer.alloc(0) },
  ])('compiles anew where the code is $what', async ({ damage }) => {
    await bundle('one')
    run()
    const [path = ''] = await kept()
    const damaged = damage(await readFile(path))
    await writeFile(path, damaged)
    expect(run()).toBe('one bundle.cjs')
    expect(await readFile(path)).not.toEqual(damaged)
  })

  it('does without where it cannot write', async () => {
    await bundle('one')
    await writeFile(join(folder, '.cache'), 'a file')
    expect(run()).toBe('one bundle.cjs')
  })
})
