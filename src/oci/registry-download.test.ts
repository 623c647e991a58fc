import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  cutAnswer,
  drip,
  endless,
  type Fault,
  type FaultyRegistry,
  flipByte,
  html,
  resize,
  startFaultProxy,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import type { ErrorCode } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { parseDigest } from './digest.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistryOptions } from './registry-transport.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const MiB = 1024 * 1024
const BLOB = Buffer.alloc(300_000, 'the blob ')
const BLOB_PATH = /\/blobs\/sha256:/

interface Bench {
  readonly proxy: FaultyRegistry
  readonly client: RegistryClient
  readonly waits: number[]
  readonly read: (size?: number) => Promise<Buffer>
  readonly ranges: () => unknown[]
}

async function bench(more: Partial<RegistryOptions> = {}, blob = BLOB, idleMs = 5000): Promise<Bench> {
  const proxy = await startFaultyRegistry()
  const http = new HttpClient({ patience: { connectMs: 5000, idleMs } })
  cleanups.push(() => proxy.close())
  cleanups.push(() => http.close())
  const waits: number[] = []
  const options = { repository: 'a/b', http, sleep: async (ms: number) => void waits.push(ms), ...more }
  const descriptor = {
    digest: parseDigest(`sha256:${createHash('sha256').update(blob).digest('hex')}`),
    size: blob.byteLength,
  }
  await new RegistryClient({ ...options, registry: proxy.upstream }).putBlob(descriptor, blob)
  const client = new RegistryClient({ ...options, registry: proxy.host })
  const read = async (size = descriptor.size): Promise<Buffer> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of client.getBlob({ ...descriptor, size })) chunks.push(chunk)
    return Buffer.concat(chunks)
  }
  const ranges = (): unknown[] => proxy.seen.map(({ headers }) => headers.range)
  return { proxy, client, waits, read, ranges }
}

describe('a download that breaks', () => {
  it.each<[string, Fault]>([
    ['is cut', cutAnswer(100_000)],
    ['ends before its announced length', resize(-200_000, false)],
    [
      'falls silent',
      change({
        body: async function* (body) {
          for await (const chunk of body) {
            yield chunk.subarray(0, 100_000)
            await new Promise((resolve) => setTimeout(resolve, 400))
            return
          }
        },
      }),
    ],
  ])('and %s goes on where it stopped, bound to the entity', async (name, fault) => {
    const { proxy, read, ranges } = await bench({}, BLOB, name === 'falls silent' ? 100 : 5000)
    proxy.on({ path: BLOB_PATH, calls: [1], fault })
    expect((await read()).equals(BLOB)).toBe(true)
    const resumed = ranges().slice(1)
    expect(resumed).toHaveLength(1)
    expect(resumed[0]).toMatch(/^bytes=[1-9][0-9]{2,5}-$/)
    expect(proxy.seen[1]?.headers['if-range']).toMatch(/^"sha256:[0-9a-f]{64}"$/)
  })

  it.each<[string, Fault, number[]]>([
    ['503 and Retry-After', answer(503, { 'retry-after': '7' }), [500, 7000]],
    ['429 and no word', answer(429), [500, 1000]],
    ['429 and a date', answer(429, { 'retry-after': 'Sun, 22 Nov 2026 10:00:09 GMT' }), [500, 9000]],
    ['429 and a date gone by', answer(429, { 'retry-after': 'Sun, 22 Nov 2020 10:00:09 GMT' }), [500, 0]],
    ['429 and a day to wait', answer(429, { 'retry-after': '86400' }), [500, 60_000]],
    ['429 and nonsense', answer(429, { 'retry-after': '-1; x' }), [500, 1000]],
  ])('waits on %s in the middle', async (_name, fault, expected) => {
    const clock = (): Date => new Date('2026-11-22T10:00:00Z')
    const { proxy, read, waits } = await bench({ clock })
    proxy.on({ path: BLOB_PATH, calls: [1], fault: cutAnswer(100_000) })
    proxy.on({ path: BLOB_PATH, calls: [1], fault })
    expect((await read()).equals(BLOB)).toBe(true)
    expect(waits).toEqual(expected)
  })

  it.each<[string, Fault]>([
    ['a registry that ignores ranges', change({ status: 200, headers: { 'content-range': undefined } })],
    ['another range than was asked for', change({ headers: { 'content-range': 'bytes 5-299999/300000' } })],
    ['a range of another size', change({ headers: { 'content-range': 'bytes 100000-299999/300001' } })],
    ['a range without a word', change({ headers: { 'content-range': undefined } })],
    [
      'a range of several parts',
      change({ headers: { 'content-type': 'multipart/byteranges', 'content-range': undefined } }),
    ],
    ['416', answer(416, { 'content-range': 'bytes */5' })],
  ])('starts again on %s, and gives no byte twice', async (name, fault) => {
    const { proxy, read, ranges } = await bench()
    proxy.on({ path: BLOB_PATH, calls: [1], fault: cutAnswer(100_000) })
    const ignored: Fault = async ({ request, ...exchange }) => {
      delete request.headers.range
      await change({})({ request, ...exchange })
    }
    proxy.on({ path: BLOB_PATH, calls: [1], fault: name.includes('ignores') ? ignored : fault })
    expect((await read()).equals(BLOB)).toBe(true)
    expect(ranges().at(name.includes('ignores') ? 0 : 2)).toBeUndefined()
  })

  it('has a full budget again after each MiB, and not before', async () => {
    const blob = Buffer.alloc(5 * MiB, 'x')
    const fine = await bench({ retries: 1 }, blob)
    fine.proxy.on({ path: BLOB_PATH, calls: [1, 2, 3], fault: cutAnswer(1.4 * MiB) })
    expect((await fine.read()).equals(blob)).toBe(true)
    expect(fine.waits).toEqual([500, 500, 500])

    const slow = await bench({ retries: 2 }, blob)
    slow.proxy.on({ path: BLOB_PATH, fault: cutAnswer(300_000) })
    await expect(slow.read()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(slow.waits).toEqual([500, 1000])
  })

  it('is not tried again with no retries, and leaves when it is told to', async () => {
    const { proxy, read, waits } = await bench({ retries: 0 })
    proxy.on({ path: BLOB_PATH, fault: cutAnswer(10) })
    await expect(read()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(waits).toEqual([])

    const aborted = await bench({
      sleep: async () => {
        throw new Error('aborted')
      },
    })
    aborted.proxy.on({ path: BLOB_PATH, fault: cutAnswer(10) })
    await expect(aborted.read()).rejects.toMatchObject({ code: 'ABORTED' })
  })

  it('outlives a restart of the registry', async () => {
    const { proxy: first } = await bench()
    let proxy = await startFaultProxy(first.upstream)
    cleanups.push(() => proxy.close())
    const { host } = proxy
    proxy.on({ path: BLOB_PATH, calls: [1], fault: cutAnswer(100_000) })
    let waits = 0
    const sleep = async (): Promise<void> => {
      waits += 1
      if (waits === 1) await proxy.close()
      if (waits === 2) proxy = await startFaultProxy(first.upstream, Number(host.split(':')[1]))
    }
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const client = new RegistryClient({ registry: host, repository: 'a/b', http, sleep })
    const digest = parseDigest(`sha256:${createHash('sha256').update(BLOB).digest('hex')}`)
    const chunks: Uint8Array[] = []
    for await (const chunk of client.getBlob({ digest, size: BLOB.byteLength })) chunks.push(chunk)
    expect(Buffer.concat(chunks).equals(BLOB)).toBe(true)
    expect(waits).toBe(2)
  })

  it('of no known size is the right blob or none', async () => {
    const { proxy, read } = await bench()
    const unknown = Number.MAX_SAFE_INTEGER
    proxy.on({ path: BLOB_PATH, calls: [1], fault: cutAnswer(100_000) })
    expect((await read(unknown)).equals(BLOB)).toBe(true)
    proxy.on({ path: BLOB_PATH, calls: [1], fault: flipByte(5) })
    await expect(read(unknown)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('is the right blob where all bytes came before the connection broke', async () => {
    const { proxy, read, waits } = await bench()
    proxy.on({
      path: BLOB_PATH,
      calls: [1],
      fault: change({ headers: { 'content-length': undefined }, cut: true }),
    })
    expect((await read()).equals(BLOB)).toBe(true)
    expect(waits).toEqual([])
  })

  it.each([-1, 1.5, 101, Number.NaN])('refuses %d retries', (retries) => {
    const http = new HttpClient()
    expect(() => new RegistryClient({ registry: 'a.test', repository: 'a', http, retries })).toThrow(
      expect.objectContaining({ code: 'USAGE' }),
    )
  })
})

describe('a hostile registry', () => {
  it.each<[string, Fault, ErrorCode]>([
    ['turns a byte', flipByte(150_000), 'DIGEST_MISMATCH'],
    ['sends fewer bytes and says so', resize(-1, true), 'DIGEST_MISMATCH'],
    ['sends more bytes and says so', resize(1, true), 'DIGEST_MISMATCH'],
    ['sends HTML', html(), 'DIGEST_MISMATCH'],
    ['sends part of it unasked', change({ status: 206 }), 'BAD_RESPONSE'],
    ['sends bytes without end', endless(), 'DIGEST_MISMATCH'],
    ['asks for a login for ever', answer(401, { 'www-authenticate': 'Basic realm="r"' }), 'UNAUTHORIZED'],
    ['redirects in a circle', answer(307, { location: '/v2/a/b/blobs/sha256:0' }), 'BAD_RESPONSE'],
    ['redirects to a file', answer(307, { location: 'file:///etc/passwd' }), 'BAD_RESPONSE'],
    ['says 404', answer(404), 'NOT_FOUND'],
    ['says 503 for ever', answer(503), 'UNAVAILABLE'],
  ])('that %s gives an error', async (_name, fault, code) => {
    const { proxy, read } = await bench()
    proxy.on({ path: BLOB_PATH, fault })
    await expect(read()).rejects.toMatchObject({ code })
    expect(proxy.sentBytes).toBeLessThan(8 * MiB)
  })

  it('that sends more than it announced gives the blob or an error', async () => {
    const { proxy, read } = await bench()
    proxy.on({ path: BLOB_PATH, fault: resize(10, false) })
    const outcome = await read().catch((error: unknown) => error)
    if (Buffer.isBuffer(outcome)) expect(outcome.equals(BLOB)).toBe(true)
    else expect(outcome).toMatchObject({ name: 'CosignetError' })
  })

  it('that turns a byte after a break gives an error, whatever the parts say', async () => {
    const { proxy, read } = await bench()
    proxy.on({ path: BLOB_PATH, calls: [1], fault: cutAnswer(100_000) })
    proxy.on({ path: BLOB_PATH, fault: flipByte(10) })
    await expect(read()).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
  })

  it('that is slow, but not silent, gives the blob', async () => {
    const { proxy, read } = await bench({}, Buffer.alloc(100, 'x'), 300)
    proxy.on({ path: BLOB_PATH, fault: drip(10, 50) })
    expect(await read()).toHaveLength(100)
  })
})
