import { request } from 'node:http'
import { request as requestTls } from 'node:https'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { LIMITS } from '../../core/index.ts'
import { issueCertificates } from '../certificates.ts'
import { type RunningServer, type ServeOptions, type ServerApp, serve } from './serve.ts'

let running: RunningServer | undefined

afterEach(async () => {
  await running?.close()
  running = undefined
})

async function start(fetch: ServerApp['fetch'], options: Partial<ServeOptions> = {}): Promise<RunningServer> {
  running = await serve({ fetch }, { port: 0, ...options })
  return running
}

describe('serve', () => {
  it('listens on the loopback address unless told otherwise, and answers', async () => {
    const { url } = await start(
      async (incoming) => new Response(`${incoming.method} ${await incoming.text()}`),
    )
    expect(url.hostname).toBe('127.0.0.1')
    const response = await fetch(url, { method: 'POST', body: 'hello' })
    expect(await response.text()).toBe('POST hello')
  })

  it('speaks TLS that a client trusts by the CA alone', async () => {
    const tls = await issueCertificates({ hosts: ['localhost', '127.0.0.1'], now: new Date() })
    const { port } = await start(() => new Response('secret'), { tls })
    const body = await new Promise<string>((resolve, reject) => {
      requestTls({ host: 'localhost', port, ca: tls.ca, agent: false }, (response) => {
        response.setEncoding('utf8').on('data', resolve)
      })
        .on('error', reject)
        .end()
    })
    expect(body).toBe('secret')
  })

  it.each<[string, ServerApp['fetch']]>([
    [
      'throws',
      () => {
        throw new Error('canary /etc/passwd')
      },
    ],
    ['rejects', () => Promise.reject(new Error('canary /etc/passwd'))],
  ])('answers 500 without the reason where the app %s', async (_case, handler) => {
    const { url } = await start(handler)
    const response = await fetch(url)
    expect(response.status).toBe(500)
    expect(await response.json()).toEqual({
      error: { code: 'INTERNAL', message: 'The server failed to answer this request.' },
    })
  })

  it('lets the app shape the answer to an error', async () => {
    const { url } = await start(() => Promise.reject(new Error('busy')), {
      onError: (error) => new Response(`shaped: ${(error as Error).message}`, { status: 503 }),
    })
    const response = await fetch(url)
    expect([response.status, await response.text()]).toEqual([503, 'shaped: busy'])
  })

  it('cuts the connection where a body fails on the way, so that no part passes for the whole', async () => {
    const { url } = await start(() => {
      const chunks = (async function* () {
        yield Buffer.from('first')
        await new Promise((resolve) => setTimeout(resolve, 20))
        throw new Error('canary')
      })()
      return new Response(ReadableStream.from(chunks))
    })
    const raw = await rawExchange(Number(url.port), 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    expect(raw).toContain('first')
    expect(raw).not.toContain('canary')
    expect(raw).not.toMatch(/\r\n0\r\n\r\n$/)
  })

  it('answers 400 to a request without a valid URL', async () => {
    const { url } = await start(() => new Response('never'))
    const raw = await rawExchange(
      Number(url.port),
      'GET / HTTP/1.1\r\nHost: a b/c\r\nConnection: close\r\n\r\n',
    )
    expect(raw).toMatch(/^HTTP\/1\.1 400 /)
    expect(raw).toContain('INVALID_REQUEST')
  })

  it('refuses header lines beyond the limit with 431', async () => {
    const { url } = await start(() => new Response('never'))
    const header = 'a'.repeat(LIMITS.serverHeaderBytes)
    const raw = await rawExchange(Number(url.port), `GET / HTTP/1.1\r\nHost: x\r\nX: ${header}\r\n\r\n`)
    expect(raw).toMatch(/^HTTP\/1\.1 431 /)
  })

  it('says in one line that an address is taken', async () => {
    const { port } = await start(() => new Response())
    await expect(serve({ fetch: () => new Response() }, { port })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `The server cannot listen on "127.0.0.1:${port}": listen EADDRINUSE: address already in use 127.0.0.1:${port}.`,
    })
  })

  it('refuses a certificate that cannot be used', async () => {
    const tls = { cert: 'no certificate', key: 'no key' }
    await expect(serve({ fetch: () => new Response() }, { port: 0, tls })).rejects.toMatchObject({
      code: 'INVALID_CONFIG',
    })
  })

  it('does not wait for a connection that has sent no request when it closes', async () => {
    const server = await start(() => new Response('ok'))
    const socket = connect(server.port, '127.0.0.1')
    const cut = new Promise((resolve) => socket.on('error', () => undefined).once('close', resolve))
    // An answer to another one shows that the server has accepted both.
    await (await fetch(server.url)).text()
    const before = performance.now()
    await server.close()
    await cut
    expect(performance.now() - before).toBeLessThan(LIMITS.drainMs / 2)
  })

  it('finishes running requests when it closes, and takes no new ones', async () => {
    let release: () => void = () => undefined
    let entered: () => void = () => undefined
    const inside = new Promise<void>((resolve) => {
      entered = resolve
    })
    const server = await start(async () => {
      await new Promise<void>((resolve) => {
        release = resolve
        entered()
      })
      return new Response('done')
    })
    const answer = new Promise<string>((resolve, reject) => {
      request(server.url, (response) => response.setEncoding('utf8').on('data', resolve))
        .on('error', reject)
        .end()
    })
    await inside
    const before = performance.now()
    const closed = server.close()
    await expect(fetch(server.url)).rejects.toThrow()
    release()
    expect(await answer).toBe('done')
    await closed
    expect(performance.now() - before).toBeLessThan(LIMITS.drainMs / 2)
  })
})

/** Sends bytes and reads until the server ends the connection. */
function rawExchange(port: number, bytes: string): Promise<string> {
  return new Promise((resolve) => {
    let received = ''
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    socket.setEncoding('latin1').on('data', (chunk) => {
      received += chunk.toString()
    })
    socket.on('error', () => undefined).on('close', () => resolve(received))
  })
}
