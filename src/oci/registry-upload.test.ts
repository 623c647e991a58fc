import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  cutRequest,
  type Fault,
  type FaultyRegistry,
  hang,
  loseAnswer,
  startFaultProxy,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { CosignetError, type ErrorCode } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { parseDigest } from './digest.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistryOptions } from './registry-transport.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const MiB = 1024 * 1024
const BLOB = Buffer.alloc(3 * MiB, 'the blob ')
const DESCRIPTOR = {
  digest: parseDigest(`sha256:${createHash('sha256').update(BLOB).digest('hex')}`),
  size: BLOB.byteLength,
}
const UPLOADS = /\/blobs\/uploads\//
const SESSION = /\/blobs\/uploads\/[0-9a-f]/

interface Bench {
  readonly proxy: FaultyRegistry
  readonly waits: number[]
  readonly opened: () => number
  readonly put: (signal?: AbortSignal) => Promise<string>
  readonly methods: () => string[]
  /** Whether the registry has the blob, and has all of it. */
  readonly stored: (repository?: string) => Promise<boolean>
}

async function bench(more: Partial<RegistryOptions> = {}, idleMs = 5000): Promise<Bench> {
  const proxy = await startFaultyRegistry()
  const http = new HttpClient({ patience: { connectMs: 5000, idleMs } })
  cleanups.push(() => proxy.close())
  cleanups.push(() => http.close())
  const waits: number[] = []
  let opened = 0
  const sleep = async (ms: number): Promise<void> => void waits.push(ms)
  const client = new RegistryClient({ registry: proxy.host, repository: 'a/b', http, sleep, ...more })
  async function* content(): AsyncGenerator<Uint8Array> {
    opened += 1
    for (let at = 0; at < BLOB.byteLength; at += 64 * 1024) yield BLOB.subarray(at, at + 64 * 1024)
  }
  return {
    proxy,
    waits,
    opened: () => opened,
    put: async (signal) => await client.putBlob(DESCRIPTOR, content, signal),
    methods: () => proxy.seen.map(({ method }) => method),
    stored: async (repository = 'a/b') => {
      const answered = await fetch(`http://${proxy.upstream}/v2/${repository}/blobs/${DESCRIPTOR.digest}`)
      return answered.status === 200 && Buffer.from(await answered.arrayBuffer()).equals(BLOB)
    },
  }
}

describe('an upload that breaks', () => {
  it.each<[string, Fault, number[]]>([
    ['is cut', cutRequest(MiB), [500]],
    ['meets 503 with a word on when to come again', answer(503, { 'retry-after': '3' }), [3000]],
    ['meets 429', answer(429), [500]],
    ['meets 500', answer(500), [500]],
    ['lost its session', answer(404), [500]],
  ])('and %s starts again with a session and a stream of its own', async (_name, fault, expected) => {
    const { proxy, put, opened, waits, methods, stored } = await bench()
    proxy.on({ method: 'PUT', path: SESSION, calls: [1], fault })
    expect(await put()).toBe('written')
    expect(await stored()).toBe(true)
    expect(waits).toEqual(expected)
    expect(opened()).toBe(2)
    expect(methods()).toEqual(['HEAD', 'POST', 'PUT', 'DELETE', 'HEAD', 'POST', 'PUT'])
    const sessions = proxy.seen.filter(({ path }) => SESSION.test(path)).map(({ path }) => path.split('?')[0])
    expect(sessions[0]).toBe(sessions[1])
    expect(sessions[2]).not.toBe(sessions[0])
  })

  it('is not taken for there where something of another size is', async () => {
    const { proxy, put, stored } = await bench()
    proxy.on({
      method: 'HEAD',
      path: /\/blobs\//,
      fault: change({ status: 200, headers: { 'content-length': '17' } }),
    })
    expect(await put()).toBe('written')
    expect(await stored()).toBe(true)
  })

  it('is done where but the answer was lost', async () => {
    const { proxy, put, opened } = await bench()
    proxy.on({ method: 'PUT', path: SESSION, calls: [1], fault: loseAnswer() })
    expect(await put()).toBe('written')
    expect(opened()).toBe(1)
  })

  it('outlives a restart of the registry', async () => {
    const { proxy: first, stored } = await bench()
    let proxy = await startFaultProxy(first.upstream)
    cleanups.push(() => proxy.close())
    const { host } = proxy
    proxy.on({ method: 'PUT', path: SESSION, calls: [1], fault: cutRequest(MiB) })
    let waits = 0
    const sleep = async (): Promise<void> => {
      waits += 1
      if (waits === 1) await proxy.close()
      if (waits === 2) proxy = await startFaultProxy(first.upstream, Number(host.split(':')[1]))
    }
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const client = new RegistryClient({ registry: host, repository: 'a/b', http, sleep })
    expect(await client.putBlob(DESCRIPTOR, BLOB)).toBe('written')
    expect([await stored(), waits]).toEqual([true, 2])
  })

  it('waits for a busy registry before it starts, too', async () => {
    const { proxy, put, waits, opened } = await bench()
    proxy.on({ method: 'POST', path: UPLOADS, calls: [1], fault: answer(429, { 'retry-after': '2' }) })
    expect(await put()).toBe('written')
    expect([waits, opened()]).toEqual([[2000], 1])
  })

  it('is given up after so many tries, each session cancelled', async () => {
    const { proxy, put, waits, methods } = await bench({ retries: 2 })
    proxy.on({ method: 'PUT', path: SESSION, fault: cutRequest(MiB) })
    await expect(put()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(waits).toEqual([500, 1000])
    expect(methods().filter((method) => method === 'DELETE')).toHaveLength(3)
  })

  it.each<[number, ErrorCode]>([
    [413, 'TOO_LARGE'],
    [403, 'FORBIDDEN'],
    [401, 'UNAUTHORIZED'],
    [400, 'BAD_RESPONSE'],
  ])('by an early answer %i tells it and cancels', async (status, code) => {
    const { proxy, put, methods, stored } = await bench()
    const body = JSON.stringify({ errors: [{ code: 'WHY', message: 'because' }] })
    proxy.on({ method: 'PUT', path: SESSION, fault: answer(status, {}, body) })
    await expect(put()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(`answers ${status} (WHY: "because")`),
    })
    expect(methods().at(-1)).toBe('DELETE')
    expect(await stored()).toBe(false)
  })

  it('by its own content is told as it is, and not tried again', async () => {
    const { proxy, methods, stored } = await bench()
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const client = new RegistryClient({ registry: proxy.host, repository: 'a/b', http })
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield BLOB.subarray(0, MiB)
      throw new CosignetError('UNAVAILABLE', 'The source is gone.')
    }
    await expect(client.putBlob(DESCRIPTOR, broken)).rejects.toMatchObject({ message: 'The source is gone.' })
    const wrong = { ...DESCRIPTOR, digest: parseDigest(`sha256:${'0'.repeat(64)}`) }
    await expect(client.putBlob(wrong, BLOB)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    // Whether the PUT got as far as the proxy depends on when it was given up.
    const others = methods().filter((method) => method !== 'PUT')
    expect(others).toEqual(['HEAD', 'POST', 'DELETE', 'HEAD', 'POST', 'DELETE'])
    expect(await stored()).toBe(false)
  })

  it('by the signal cancels its session', async () => {
    const { proxy, put, methods } = await bench()
    const controller = new AbortController()
    proxy.on({
      method: 'PUT',
      path: SESSION,
      fault: ({ request }) => void request.once('data', () => controller.abort()),
    })
    await expect(put(controller.signal)).rejects.toMatchObject({ code: 'ABORTED' })
    expect(methods()).toEqual(['HEAD', 'POST', 'PUT', 'DELETE'])
  })

  it('leaves a registry time to store what it has got, beyond the idle time-out', async () => {
    const { proxy, put, stored } = await bench({}, 250)
    proxy.on({
      method: 'PUT',
      path: SESSION,
      fault: async ({ request, response, forward }) => {
        const answered = await forward()
        await new Promise((resolve) => setTimeout(resolve, 600))
        expect(request.complete).toBe(true)
        response.writeHead(answered.statusCode ?? 0).end()
      },
    })
    expect(await put()).toBe('written')
    expect(await stored()).toBe(true)
  })

  it('by a registry that takes no more of it is noticed by the idle time-out', async () => {
    const { proxy } = await bench()
    proxy.on({ method: 'PUT', path: SESSION, fault: ({ request }) => void request.pause() })
    const big = Buffer.alloc(64 * MiB)
    const descriptor = {
      digest: parseDigest(`sha256:${createHash('sha256').update(big).digest('hex')}`),
      size: big.byteLength,
    }
    const http = new HttpClient({ patience: { connectMs: 1000, idleMs: 100 } })
    cleanups.push(() => http.close())
    const client = new RegistryClient({ registry: proxy.host, repository: 'a/b', http, retries: 0 })
    async function* content(): AsyncGenerator<Uint8Array> {
      for (let at = 0; at < big.byteLength; at += MiB) yield big.subarray(at, at + MiB)
    }
    await expect(client.putBlob(descriptor, content)).rejects.toMatchObject({ code: 'TIMEOUT' })
  })
})

describe('a mount', () => {
  const MOUNT = /\/uploads\/\?mount=/

  async function seeded(more: Partial<RegistryOptions> = {}): Promise<Bench> {
    const made = await bench({ mountFrom: 'other/place', ...more })
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const other = new RegistryClient({ registry: made.proxy.upstream, repository: 'other/place', http })
    await other.putBlob(DESCRIPTOR, BLOB)
    return made
  }

  it('takes one request after the question, and sends no byte', async () => {
    const { proxy, put, opened, stored } = await seeded()
    expect(await put()).toBe('mounted')
    expect(await stored()).toBe(true)
    expect(opened()).toBe(0)
    expect(proxy.seen.map(({ method, path }) => `${method} ${path}`)).toEqual([
      `HEAD /v2/a/b/blobs/${DESCRIPTOR.digest}`,
      `POST /v2/a/b/blobs/uploads/?mount=${encodeURIComponent(DESCRIPTOR.digest)}&from=other%2Fplace`,
    ])
    expect(await put()).toBe('present')
  })

  it('that is not possible has opened the session for the upload', async () => {
    const { put, methods, stored } = await bench({ mountFrom: 'other/place' })
    expect(await put()).toBe('written')
    expect(methods()).toEqual(['HEAD', 'POST', 'PUT'])
    expect(await stored()).toBe(true)
  })

  it.each<[string, Fault]>([
    ['403', answer(403)],
    ['401', answer(401)],
    ['401 with a challenge', answer(401, { 'www-authenticate': 'Basic realm="r"' })],
    ['404', answer(404)],
    ['405', answer(405)],
    ['500', answer(500)],
    ['200', answer(200)],
    ['202 without a place', answer(202)],
    ['a redirect', answer(307, { location: '/elsewhere' })],
    ['a cut connection', cutRequest(0)],
  ])('that is answered with %s is followed by a plain upload', async (_name, fault) => {
    const { proxy, put, stored } = await seeded()
    proxy.on({ method: 'POST', path: MOUNT, fault })
    expect(await put()).toBe('written')
    expect(await stored()).toBe(true)
    expect(proxy.seen.at(-1)?.method).toBe('PUT')
  })

  it('that was forbidden is not asked for again', async () => {
    const { proxy, put } = await seeded()
    proxy.on({ method: 'POST', path: MOUNT, fault: answer(403) })
    await put()
    const asked = (): number => proxy.seen.filter(({ path }) => MOUNT.test(path)).length
    expect(asked()).toBe(1)
    proxy.on({ method: 'HEAD', path: /blobs/, calls: [1], fault: answer(404) })
    await put()
    expect(asked()).toBe(1)
  })

  it('can be left by the signal', async () => {
    const { proxy, put, methods } = await seeded()
    proxy.on({ method: 'POST', path: MOUNT, fault: hang() })
    await expect(put(AbortSignal.timeout(60))).rejects.toMatchObject({ code: 'ABORTED' })
    expect(methods()).toEqual(['HEAD', 'POST'])
  })

  it('is from a repository', async () => {
    const http = new HttpClient()
    expect(
      () => new RegistryClient({ registry: 'a.test', repository: 'a', mountFrom: '../b', http }),
    ).toThrow(expect.objectContaining({ code: 'INVALID_REFERENCE' }))
  })
})
