import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { appendFiles, type NumberedFiles } from './signature-store-files.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-files-'))
})
afterEach(() => rm(folder, { recursive: true }))

/** @param there how many files the folder shows. */
function files(there: number, reads: number[] = []): NumberedFiles {
  return {
    name: 'the store',
    limit: 3,
    pathOf: (number) => join(folder, `signature-${number}`),
    read: async (number) => {
      reads.push(number)
      return number <= there ? encodeUtf8(String(number)) : undefined
    },
  }
}

describe('appendFiles', () => {
  it('takes the next free number, and none for what is there', async () => {
    await appendFiles(files(2), [encodeUtf8('2'), encodeUtf8('new')])
    expect(await readdir(folder)).toEqual(['signature-3'])
  })

  it('reads no file beyond the limit, and writes none', async () => {
    const reads: number[] = []
    await expect(
      appendFiles(files(Number.POSITIVE_INFINITY, reads), [encodeUtf8('new')]),
    ).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: 'the store cannot hold more than 3 signatures.',
    })
    expect(reads).toEqual([1, 2, 3])
    expect(await readdir(folder)).toEqual([])
  })
})
