import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type RequestListener, type Server } from 'node:http'
import {
  type AddressInfo,
  createServer as createTcpServer,
  type Socket,
  type Server as TcpServer,
} from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { HttpClient, type HttpResponse } from './index.ts'

const MiB = 1024 * 1024
const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

describe('the body of an answer', () => {
  it('comes whole, in its order', async () => {
    const bytes = pattern(20 * MiB)
    const url = await serve((_request, response) => response.end(bytes))
    const hash = createHash('sha256')
    for await (const chunk of (await get(url)).body) hash.update(chunk)
    expect(hash.digest('hex')).toBe(sha256(bytes))
  })

  it('comes whole to a reader who is slower than the wire', async () => {
    const bytes = pattern(5 * MiB)
    const url = await serve((_request, response) => response.end(bytes))
    const hash = createHash('sha256')
    let chunks = 0
    for await (const chunk of (await get(url)).body) {
      hash.update(chunk)
      if (chunks++ % 10 === 0) await wait(2)
    }
    expect(hash.digest('hex')).toBe(sha256(bytes))
  })

  it('leaves each chunk alone while more arrives', async () => {
    const bytes = pattern(3 * MiB)
    const url = await serve((_request, response) => response.end(bytes))
    const kept: Uint8Array[] = []
    for await (const chunk of (await get(url)).body) kept.push(chunk)
    expect(Buffer.concat(kept).equals(bytes)).toBe(true)
  })

  it('is not mixed with what other connections receive meanwhile', async () => {
    const url = await serve(({ url: path = '' }, response) => response.end(Buffer.alloc(4 * MiB, path)))
    const paths = ['/a', '/bc', '/def', '/ghij']
    const bodies = await Promise.all(paths.map(async (path) => (await get(`${url}${path}`)).bytes(4 * MiB)))
    bodies.forEach((body, i) => {
      expect(Buffer.compare(body, Buffer.alloc(4 * MiB, paths[i]))).toBe(0)
    })
  })

  it('is given as far as it came, and then fails', async () => {
    const url = await serveBytes('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello')
    const response = await get(url)
    const read: Uint8Array[] = []
    const reading = (async () => {
      for await (const chunk of response.body) read.push(chunk)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(Buffer.concat(read).toString()).toBe('hello')
  })

  it('that broke off before it was read fails when it is read', async () => {
    const url = await serveBytes('HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello')
    const response = await get(url)
    await wait(20)
    await expect(response.bytes(100)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it.each([
    ['while more comes', 20 * MiB, 1],
    ['when all has arrived', 100_000, 20],
  ])('holds nothing any more when its reader stops %s', async (_case, size, pause) => {
    const sockets = new Set<Socket>()
    const url = await serve(({ socket }, response) => {
      sockets.add(socket)
      response.end(pattern(size))
    })
    const http = client()
    for (let i = 0; i < 3; i += 1) {
      const { body } = await http.request({ method: 'GET', url: new URL(url) })
      for await (const _ of body) {
        await wait(pause)
        break
      }
    }
    await wait(20)
    expect([...sockets].filter((socket) => !socket.destroyed).length).toBeLessThanOrEqual(1)
  })
})

describe('the body of a request', () => {
  it.each([
    ['many small chunks', 1000],
    ['chunks of a socket', 65_536],
    ['large chunks', 3 * MiB],
  ])('arrives whole from %s', async (_case, size) => {
    const bytes = pattern(8 * MiB + 5)
    const url = await serve(async (request, response) => response.end(await hashOf(request)))
    const open = (): AsyncIterable<Uint8Array> => parts(bytes, size)
    const response = await put(url, { length: bytes.byteLength, open })
    expect(Buffer.from(await response.bytes(100)).toString()).toBe(sha256(bytes))
  })

  it('arrives whole at a server that is slower than its source', async () => {
    const bytes = pattern(8 * MiB)
    const url = await serve(async (request, response) => {
      const hash = createHash('sha256')
      let chunks = 0
      for await (const chunk of request) {
        hash.update(chunk)
        if (chunks++ % 20 === 0) await wait(2)
      }
      response.end(hash.digest('hex'))
    })
    const response = await put(url, { length: bytes.byteLength, open: () => parts(bytes, 65_536) })
    expect(Buffer.from(await response.bytes(100)).toString()).toBe(sha256(bytes))
  })

  it('is not read from its source faster than the server takes it', async () => {
    const url = await serve(() => undefined)
    let read = 0
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (const chunk = pattern(65_536); ; read += chunk.byteLength) yield chunk
    }
    put(url, { open: endless }).catch(() => undefined)
    let before = -1
    while (read !== before) {
      before = read
      await wait(50)
    }
    // What the two sockets hold, and little more.
    expect(read).toBeLessThan(16 * MiB)
  })

  it('does not wait for more of its source before it sends what there is', async () => {
    let more: (() => void) | undefined
    const url = await serve((request, response) => {
      request.once('data', () => more?.())
      request.on('end', () => response.end('done'))
    })
    async function* source(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('hello')
      await new Promise<void>((resolve) => {
        more = resolve
      })
      yield Buffer.from('world')
    }
    const response = await put(url, { length: 10, open: source })
    expect(Buffer.from(await response.bytes(100)).toString()).toBe('done')
  })
})

async function get(url: string): Promise<HttpResponse> {
  return await client().request({ method: 'GET', url: new URL(url) })
}

async function put(
  url: string,
  body: { readonly length?: number; open(): AsyncIterable<Uint8Array> },
): Promise<HttpResponse> {
  return await client().request({ method: 'PUT', url: new URL(url), body })
}

function client(): HttpClient {
  const made = new HttpClient()
  cleanups.push(() => made.close())
  return made
}

async function serve(listener: (...exchange: Parameters<RequestListener>) => unknown): Promise<string> {
  return await listen(createServer((request, response) => void listener(request, response)))
}

/** A server that answers every connection with these bytes and closes it. */
async function serveBytes(answer: string): Promise<string> {
  return await listen(
    createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.end(answer))
    }),
  )
}

async function listen(server: TcpServer | Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function hashOf(request: IncomingMessage): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of request) hash.update(chunk)
  return hash.digest('hex')
}

function pattern(size: number): Buffer {
  const bytes = Buffer.allocUnsafe(size)
  for (let i = 0; i < size; i += 1) bytes[i] = (i ^ (i >> 8) ^ (i >> 16)) & 0xff
  return bytes
}

async function* parts(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  for (let i = 0; i < bytes.byteLength; i += size) yield bytes.subarray(i, i + size)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
