import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { readBlobFile, writeBlobFile } from './blob-files.ts'
import { type Digest, parseDigest } from './digest.ts'

const WHAT = 'The blob of a test'
const MiB = 1024 * 1024

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-blobs-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

describe('readBlobFile', () => {
  it.each([0, 1, MiB - 1, MiB, 3 * MiB + 17])('reads %i bytes', async (size) => {
    const bytes = pattern(size)
    await writeFile(join(folder, 'blob'), bytes)
    const chunks = await all(readBlobFile(join(folder, 'blob'), describeBytes(bytes), WHAT))
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
    expect(chunks.length).toBe(Math.ceil(size / MiB))
  })

  it('leaves each chunk alone while it reads the next', async () => {
    const bytes = pattern(4 * MiB)
    await writeFile(join(folder, 'blob'), bytes)
    const kept = await all(readBlobFile(join(folder, 'blob'), describeBytes(bytes), WHAT))
    kept.forEach((chunk, i) => {
      expect(Buffer.compare(chunk, bytes.subarray(i * MiB, (i + 1) * MiB))).toBe(0)
    })
  })

  it.each([
    [0, 10],
    [5, 0],
    [MiB - 1, 2],
    [100, 2 * MiB],
  ])('reads a range from %i of %i bytes', async (offset, length) => {
    const bytes = pattern(3 * MiB)
    await writeFile(join(folder, 'blob'), bytes)
    const read = await all(readBlobFile(join(folder, 'blob'), describeBytes(bytes), WHAT, { offset, length }))
    expect(Buffer.concat(read).equals(bytes.subarray(offset, offset + length))).toBe(true)
  })

  it('gives the file back when its reader stops early', async () => {
    const bytes = pattern(3 * MiB)
    await writeFile(join(folder, 'blob'), bytes)
    for await (const _ of readBlobFile(join(folder, 'blob'), describeBytes(bytes), WHAT)) break
    const open = await readdir('/proc/self/fd').catch(() => [])
    const targets = await Promise.all(
      open.map((fd) => readFile(`/proc/self/fdinfo/${fd}`, 'utf8').catch(() => '')),
    )
    const { ino } = await stat(join(folder, 'blob'))
    expect(targets.filter((info) => new RegExp(`^ino:\\s*${ino}$`, 'm').test(info))).toEqual([])
  })

  it.each<[string, () => Promise<unknown>, string, string]>([
    ['is not there', async () => undefined, 'NOT_FOUND', `${WHAT} is not there.`],
    [
      'is a byte short',
      () => writeFile(join(folder, 'blob'), 'hell'),
      'DIGEST_MISMATCH',
      `${WHAT} has 4 bytes instead of 5.`,
    ],
    [
      'is a byte long',
      () => writeFile(join(folder, 'blob'), 'hello!'),
      'DIGEST_MISMATCH',
      `${WHAT} has 6 bytes instead of 5.`,
    ],
    [
      'has other bytes',
      () => writeFile(join(folder, 'blob'), 'jello'),
      'DIGEST_MISMATCH',
      `${WHAT} has the digest ${describeBytes('jello').digest}, not ${describeBytes('hello').digest}.`,
    ],
    [
      'is a pipe that nobody writes to',
      async () => execFileSync('mkfifo', [join(folder, 'blob')]),
      'FILE',
      `${WHAT} cannot be read: it is not a file.`,
    ],
  ])('refuses a file that %s', async (_case, prepare, code, message) => {
    await prepare()
    const read = all(readBlobFile(join(folder, 'blob'), describeBytes('hello'), WHAT))
    await expect(read).rejects.toMatchObject({ code, message })
  })

  it('refuses a folder', async () => {
    const read = all(readBlobFile(folder, describeBytes('hello'), WHAT))
    await expect(read).rejects.toMatchObject({ code: 'FILE' })
  })

  it('refuses a range of a file that is shorter than the blob', async () => {
    await writeFile(join(folder, 'blob'), 'hell')
    const range = { offset: 0, length: 2 }
    const read = all(readBlobFile(join(folder, 'blob'), describeBytes('hello'), WHAT, range))
    await expect(read).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })
})

describe('writeBlobFile', () => {
  it.each([
    ['in one piece', (bytes: Buffer) => bytes],
    ['as a stream of one chunk', (bytes: Buffer) => () => stream([bytes])],
    ['as a stream of many small chunks', (bytes: Buffer) => () => stream(split(bytes, 1000))],
    ['as a stream of large chunks', (bytes: Buffer) => () => stream(split(bytes, 2 * MiB + 3))],
    ['as a stream with empty chunks', (bytes: Buffer) => () => stream([Buffer.of(), bytes, Buffer.of()])],
  ])('writes bytes that come %s', async (_case, contentOf) => {
    const bytes = pattern(3 * MiB + 17)
    const path = join(folder, 'blobs', 'sha256', 'blob')
    await writeBlobFile(path, describeBytes(bytes), contentOf(bytes), WHAT)
    expect((await readFile(path)).equals(bytes)).toBe(true)
    expect(await readdir(join(folder, 'blobs', 'sha256'))).toEqual(['blob'])
  })

  it('writes an empty blob', async () => {
    await writeBlobFile(join(folder, 'blob'), describeBytes(''), () => stream([]), WHAT)
    expect((await stat(join(folder, 'blob'))).size).toBe(0)
  })

  it('lets others read the file, as other tools do', async () => {
    await writeBlobFile(join(folder, 'blob'), describeBytes('a'), Buffer.from('a'), WHAT)
    expect((await stat(join(folder, 'blob'))).mode & 0o777).toBe(0o644 & ~process.umask())
  })

  it('replaces a file that is there', async () => {
    await writeFile(join(folder, 'blob'), 'something damaged')
    await writeBlobFile(join(folder, 'blob'), describeBytes('hello'), Buffer.from('hello'), WHAT)
    expect(await readFile(join(folder, 'blob'), 'utf8')).toBe('hello')
  })

  it.each<[string, () => AsyncIterable<Uint8Array>, string, string]>([
    [
      'is too short',
      () => stream([Buffer.from('hell')]),
      'DIGEST_MISMATCH',
      `${WHAT} has 4 bytes instead of 5.`,
    ],
    [
      'does not end',
      () => endless(Buffer.from('hello')),
      'DIGEST_MISMATCH',
      `${WHAT} is longer than its 5 bytes.`,
    ],
    [
      'has another digest',
      () => stream([Buffer.from('jello')]),
      'DIGEST_MISMATCH',
      `${WHAT} has the digest ${describeBytes('jello').digest}, not ${describeBytes('hello').digest}.`,
    ],
    [
      'breaks off',
      () => broken(Buffer.from('hel'), new CosignetError('UNAVAILABLE', 'The connection is lost.')),
      'UNAVAILABLE',
      'The connection is lost.',
    ],
  ])('keeps what was there if the content %s', async (_case, content, code, message) => {
    await writeFile(join(folder, 'blob'), 'before')
    const written = writeBlobFile(join(folder, 'blob'), describeBytes('hello'), content, WHAT)
    await expect(written).rejects.toMatchObject({ code, message })
    expect(await readdir(folder)).toEqual(['blob'])
    expect(await readFile(join(folder, 'blob'), 'utf8')).toBe('before')
  })

  it('refuses bytes of another digest', async () => {
    const written = writeBlobFile(join(folder, 'blob'), describeBytes('hello'), Buffer.from('jello'), WHAT)
    await expect(written).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(await readdir(folder)).toEqual([])
  })

  it('says why a folder cannot be written to', async () => {
    await writeFile(join(folder, 'file'), '')
    const path = join(folder, 'file', 'blob')
    await expect(writeBlobFile(path, describeBytes('a'), Buffer.from('a'), WHAT)).rejects.toMatchObject({
      code: 'FILE',
      message: `${WHAT} cannot be written: a part of its path is a file and not a folder.`,
    })
  })

  it.skipIf(process.getuid?.() === 0)('says that it may not write', async () => {
    await chmod(folder, 0o500)
    const written = writeBlobFile(join(folder, 'blob'), describeBytes('a'), Buffer.from('a'), WHAT)
    await expect(written).rejects.toMatchObject({
      code: 'FILE',
      message: `${WHAT} cannot be written: permission denied.`,
    })
    await chmod(folder, 0o700)
  })

  it('does not open the content before it can be written', async () => {
    await writeFile(join(folder, 'file'), '')
    let opened = 0
    const content = (): AsyncIterable<Uint8Array> => {
      opened += 1
      return stream([])
    }
    const written = writeBlobFile(join(folder, 'file', 'blob'), describeBytes(''), content, WHAT)
    await expect(written).rejects.toMatchObject({ code: 'FILE' })
    expect(opened).toBe(0)
  })
})

function describeBytes(bytes: string | Uint8Array): { digest: Digest; size: number } {
  const digest = parseDigest(`sha256:${createHash('sha256').update(bytes).digest('hex')}`)
  return { digest, size: Buffer.byteLength(bytes) }
}

function pattern(size: number): Buffer {
  const bytes = Buffer.alloc(size)
  for (let i = 0; i < size; i += 1) bytes[i] = (i ^ (i >> 8) ^ (i >> 16)) & 0xff
  return bytes
}

function split(bytes: Buffer, size: number): Buffer[] {
  const count = Math.ceil(bytes.byteLength / size)
  return Array.from({ length: count }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

async function* stream(chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks
}

async function* endless(chunk: Uint8Array): AsyncGenerator<Uint8Array> {
  for (;;) yield chunk
}

async function* broken(chunk: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield chunk
  throw error
}

async function all(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const read: Uint8Array[] = []
  for await (const chunk of chunks) read.push(chunk)
  return read
}
