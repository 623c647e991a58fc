import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { parseDigest } from '../oci/index.ts'
import { openLookaside } from './lookaside.ts'
import type { SignatureStore } from './signature-store.ts'

const HEX = 'ab'.repeat(32)
const DIGEST = parseDigest(`sha256:${HEX}`)
/** Where containers/image has them (docs/signature-protocols.md). */
const FOLDER = `team/app@sha256=${HEX}`
const [ONE, TWO, THREE] = ['one', 'two', 'three'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]

let root: string
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cosignet-lookaside-'))
})
afterEach(() => rm(root, { recursive: true }))

async function put(file: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(root, file)), { recursive: true })
  await writeFile(join(root, file), content)
}

function open(readUrl: string, writeUrl = readUrl): SignatureStore {
  return openLookaside({
    readUrl,
    writeUrl,
    repository: 'team/app',
    openHttp: async () => new HttpClient({ patience: { connectMs: 1000, idleMs: 1000 } }),
  })
}

describe('a lookaside store in a folder', () => {
  it('is read up to the first gap', async () => {
    for (const number of [1, 2, 4]) await put(`${FOLDER}/signature-${number}`, `${number}`)
    expect((await open(`file://${root}`).list(DIGEST)).map(String)).toEqual(['1', '2'])
  })

  it('is empty where there is no folder', async () => {
    expect(await open(`file://${root}`).list(DIGEST)).toEqual([])
    expect(await open(`file://${root}/not/there`).list(DIGEST)).toEqual([])
  })

  it('names files by other algorithms as well', async () => {
    const hex = 'cd'.repeat(64)
    await put(`team/app@sha512=${hex}/signature-1`, ONE)
    expect(await open(`file://${root}`).list(parseDigest(`sha512:${hex}`))).toEqual([ONE])
  })

  it('may have a space in its path, and two slashes at its end', async () => {
    await put(`a b/${FOLDER}/signature-1`, ONE)
    expect(await open(`file://${root}/a%20b/`).list(DIGEST)).toEqual([ONE])
  })

  it('gets what it lacks, in new files', async () => {
    await put(`${FOLDER}/signature-1`, ONE)
    const store = open(`file://${root}`)
    await store.checkWritable()
    await store.add(DIGEST, [TWO, ONE, TWO, THREE])
    expect(await store.list(DIGEST)).toEqual([ONE, TWO, THREE])
    expect((await readdir(join(root, FOLDER))).sort()).toEqual(['signature-1', 'signature-2', 'signature-3'])
  })

  it('loses nothing of many who add at once', async () => {
    const all = Array.from({ length: 20 }, (_, i) => Buffer.from(`signature ${i}`))
    await Promise.all(all.map((one) => open(`file://${root}`).add(DIGEST, [one, ONE])))
    const found = (await open(`file://${root}`).list(DIGEST)).map(String)
    expect(found.toSorted()).toEqual([...all, ONE].map(String).toSorted())
  })

  it('fills a gap and keeps what comes after it', async () => {
    await put(`${FOLDER}/signature-2`, TWO)
    await open(`file://${root}`).add(DIGEST, [ONE])
    expect(await open(`file://${root}`).list(DIGEST)).toEqual([ONE, TWO])
  })

  it.each([
    ['a folder', (path: string) => mkdir(path, { recursive: true })],
    ['a pipe without a writer', async (path: string) => execFileSync('mkfifo', [path])],
  ])('is not read where a signature is %s', async (_, make) => {
    await mkdir(join(root, FOLDER), { recursive: true })
    await make(join(root, FOLDER, 'signature-1'))
    await expect(open(`file://${root}`).list(DIGEST)).rejects.toMatchObject({
      code: 'FILE',
      message: expect.stringMatching(/ cannot be read: it is not a plain file\.$/),
    })
  })

  it('may hold links, as the machine wants it', async () => {
    await put('elsewhere', ONE)
    await mkdir(join(root, FOLDER), { recursive: true })
    await symlink(join(root, 'elsewhere'), join(root, FOLDER, 'signature-1'))
    expect(await open(`file://${root}`).list(DIGEST)).toEqual([ONE])
  })

  it('holds as many as containers/image reads, 127, and no more', async () => {
    for (let number = 1; number <= 127; number += 1) await put(`${FOLDER}/signature-${number}`, `${number}`)
    const store = open(`file://${root}`)
    expect(await store.list(DIGEST)).toHaveLength(127)
    await expect(store.add(DIGEST, [ONE])).rejects.toMatchObject({ code: 'TOO_LARGE' })
    await put(`${FOLDER}/signature-128`, ONE)
    await expect(store.list(DIGEST)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: `"file://${root}/${FOLDER}" has more than the limit of 127 signatures.`,
    })
  })

  it('is not read where its signatures are too large, each or together', async () => {
    await put(`${FOLDER}/signature-1`, Buffer.alloc(LIMITS.payloadBytes + 1))
    await expect(open(`file://${root}`).list(DIGEST)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    for (let number = 1; number <= 17; number += 1) {
      await put(`${FOLDER}/signature-${number}`, Buffer.alloc(LIMITS.payloadBytes))
    }
    await expect(open(`file://${root}`).list(DIGEST)).rejects.toMatchObject({
      code: 'TOO_LARGE',
      message: expect.stringMatching(/has more than the limit of 16777216 bytes of signatures\.$/),
    })
  })
})

describe('a staging store', () => {
  it('gets what is published along with what is new, so that nothing is lost when it is published', async () => {
    await put(`published/${FOLDER}/signature-1`, ONE)
    const store = open(`file://${root}/published`, `file://${root}/staging`)
    await store.add(DIGEST, [TWO])
    expect(await readFile(join(root, `staging/${FOLDER}/signature-1`))).toEqual(ONE)
    expect(await readFile(join(root, `staging/${FOLDER}/signature-2`))).toEqual(TWO)
    expect(await store.list(DIGEST)).toEqual([ONE])
  })
})

describe('a lookaside store at a URL', () => {
  let server: Server
  let host: string
  let answers: Readonly<Record<string, { status: number; body?: Uint8Array; location?: string }>>
  let seen: string[]
  beforeAll(async () => {
    server = createServer((request, response) => {
      seen.push(`${request.url} ${request.headers.authorization ?? '-'}`)
      const { status, body, location } = answers[request.url ?? ''] ?? { status: 404 }
      response.writeHead(status, location === undefined ? {} : { location }).end(body)
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => {
    server.close().closeAllConnections()
  })
  beforeEach(() => {
    seen = []
    answers = {
      [`/s/${FOLDER}/signature-1`]: { status: 200, body: ONE },
      [`/s/${FOLDER}/signature-2`]: { status: 200, body: TWO },
    }
  })

  it('is read until it answers 404, and told no credentials', async () => {
    expect(await open(`http://${host}/s`).list(DIGEST)).toEqual([ONE, TWO])
    expect(seen).toEqual([1, 2, 3].map((number) => `/s/${FOLDER}/signature-${number} -`))
  })

  it('keeps the query of its URL, and shows it to nobody', async () => {
    answers = { [`/s/${FOLDER}/signature-1?token=secret`]: { status: 500 } }
    const error = await open(`http://${host}/s?token=secret`)
      .list(DIGEST)
      .catch((cause: Error) => cause)
    expect(error).toMatchObject({
      code: 'UNAVAILABLE',
      message: `Reading the signature "http://${host}/s/${FOLDER}/signature-1" failed: the server answers 500.`,
    })
  })

  it.each([
    [403, 'BAD_RESPONSE'],
    [204, 'BAD_RESPONSE'],
    [503, 'UNAVAILABLE'],
  ])('is not taken for empty where it answers %i', async (status, code) => {
    answers = { [`/s/${FOLDER}/signature-1`]: { status } }
    await expect(open(`http://${host}/s`).list(DIGEST)).rejects.toMatchObject({ code })
  })

  it('is not read without end', async () => {
    answers = { [`/s/${FOLDER}/signature-1`]: { status: 200, body: Buffer.alloc(LIMITS.payloadBytes + 1) } }
    await expect(open(`http://${host}/s`).list(DIGEST)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    answers = new Proxy({}, { get: () => ({ status: 200, body: ONE }) })
    await expect(open(`http://${host}/s`).list(DIGEST)).rejects.toMatchObject({ code: 'TOO_LARGE' })
    expect(seen.length).toBeLessThan(140)
  })

  it('is unavailable where nobody listens', async () => {
    await expect(open('http://127.0.0.1:9/s').list(DIGEST)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('is not written, and says where to write', async () => {
    const store = open(`http://${host}/s`)
    const expected = {
      code: 'UNSUPPORTED',
      message: `Signatures cannot be written to the http lookaside "http://${host}/s".`,
      hint: expect.stringContaining('lookaside-staging'),
    }
    await expect(store.checkWritable()).rejects.toMatchObject(expected)
    await expect(store.add(DIGEST, [ONE])).rejects.toMatchObject(expected)
    expect(seen).toEqual([])
  })

  it('is read where a folder is written for it', async () => {
    const store = open(`http://${host}/s`, `file://${root}`)
    await store.add(DIGEST, [THREE])
    expect(await open(`file://${root}`).list(DIGEST)).toEqual([ONE, TWO, THREE])
  })
})

describe('openLookaside', () => {
  it.each([
    ['/var/lib/containers/sigstore', 'INVALID_CONFIG'],
    ['', 'INVALID_CONFIG'],
    ['file://host/share', 'INVALID_CONFIG'],
    ['ftp://host/sigstore', 'UNSUPPORTED'],
    ['http://', 'INVALID_CONFIG'],
  ])('refuses %j', (url, code) => {
    expect(() => open(url)).toThrow(expect.objectContaining({ code }))
    expect(() => open('file:///a', url)).toThrow(expect.objectContaining({ code }))
  })

  it('shows no password', () => {
    expect(open('https://me:secret@host/s').name).toBe('https://host/s')
    expect(() => open('https://me:secret@ho st/s')).toThrow(
      '"https://…@ho st/s" is not the URL of a signature store.',
    )
    expect(() => open('https://me:sec/ret@host/s')).toThrow('"https://…@host/s" is not the URL')
    expect(() => open('ftp://me:secret@host/s')).toThrow(
      'The signature store "ftp://host/s" has a scheme other than file:, http: and https:.',
    )
  })
})
