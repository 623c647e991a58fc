import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import {
  type AddressInfo,
  connect,
  createServer as createTcpServer,
  type Server as TcpServer,
} from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates, type TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { HttpClient, type HttpClientOptions, issueCertificates } from './index.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listen(server: TcpServer | Server, path?: string): Promise<number> {
  await new Promise<void>((resolve) => {
    if (path === undefined) server.listen(0, '127.0.0.1', resolve)
    else server.listen(path, resolve)
  })
  cleanups.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return path === undefined ? (server.address() as AddressInfo).port : 0
}

function client(options: HttpClientOptions): HttpClient {
  const made = new HttpClient(options)
  cleanups.push(() => made.close())
  return made
}

async function get(http: HttpClient, url: string): Promise<string> {
  const response = await http.request({ method: 'GET', url: new URL(url) })
  return `${response.status} ${Buffer.from(await response.bytes(1000))}`
}

async function failure(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}

const issued = issueCertificates({ hosts: ['registry.test', 'localhost', '127.0.0.1'], now: new Date() })

describe('a client certificate', () => {
  /** Serves over TLS and answers with the common name that the client shows. */
  async function serve(location?: string): Promise<number> {
    const { cert, key, ca } = await issued
    const server = createTlsServer(
      { cert, key, ca, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const name = (request.socket as TLSSocket).getPeerCertificate().subject?.CN ?? 'nobody'
        if (location !== undefined) response.writeHead(307, { location })
        response.end(`${name}`)
      },
    )
    return await listen(server)
  }

  it('is shown to who asks for it', async () => {
    const { ca, cert, key } = await issued
    const port = await serve()
    const http = client({ ca: [ca], clientCertificate: { cert, key } })
    expect(await get(http, `https://localhost:${port}/`)).toBe('200 Cosignet server')
    expect(await get(client({ ca: [ca] }), `https://localhost:${port}/`)).toBe('200 nobody')
  })

  it('is not shown after a redirect to another origin', async () => {
    const { ca, cert, key } = await issued
    const second = await serve()
    const first = await serve(`https://localhost:${second}/`)
    const http = client({ ca: [ca], clientCertificate: { cert, key } })
    expect(await get(http, `https://localhost:${first}/`)).toBe('200 nobody')
  })

  it.each([
    ['is not PEM', 'CANARY', 'CANARY'],
    ['has no key', undefined, 'CANARY'],
  ])('that %s is refused', async (_name, cert, key) => {
    const good = await issued
    const http = client({ clientCertificate: { cert: cert ?? good.cert, key } })
    const error = await failure(get(http, 'https://localhost:1/'))
    expect(error.code).toBe('INVALID_CONFIG')
    expect(error.message).toContain('The client certificate and its key cannot be used')
  })
})

describe('a Unix socket', () => {
  it('is asked whatever the host is, past any proxy, and kept open', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
    cleanups.push(() => rm(folder, { recursive: true }))
    const socketPath = join(folder, 'engine.sock')
    let connections = 0
    const server = createServer((request, response) => response.end(`${request.headers.host}${request.url}`))
    server.on('connection', () => {
      connections += 1
    })
    await listen(server, socketPath)
    const http = client({ socketPath, environment: { HTTP_PROXY: 'http://127.0.0.1:1' } })
    expect(await get(http, 'http://docker/v1.41/_ping')).toBe('200 docker/v1.41/_ping')
    expect(await get(http, 'http://docker/x')).toBe('200 docker/x')
    expect(connections).toBe(1)
  })

  it('that is not there is UNAVAILABLE', async () => {
    const error = await failure(get(client({ socketPath: '/nonexistent/engine.sock' }), 'http://docker/'))
    expect(error).toMatchObject({
      code: 'UNAVAILABLE',
      message: expect.stringContaining('there is no socket'),
    })
  })
})

describe('a proxy', () => {
  interface Proxy {
    readonly port: number
    readonly asked: string[]
    readonly credentials: (string | undefined)[]
  }

  /** Passes plain requests and tunnels on to this machine, whatever the name that is asked for. */
  async function startProxy(refuse?: string): Promise<Proxy> {
    const asked: string[] = []
    const credentials: (string | undefined)[] = []
    const note = ({ method, url, headers }: IncomingMessage): void => {
      asked.push(`${method} ${url}`)
      credentials.push(headers['proxy-authorization'])
    }
    const server = createServer((request, response) => {
      note(request)
      response.end('by proxy')
    })
    server.on('connect', (request, socket) => {
      note(request)
      socket.on('error', () => undefined)
      if (refuse !== undefined) return void socket.end(`HTTP/1.1 ${refuse}\r\n\r\n`)
      const target = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        target.pipe(socket).pipe(target)
      })
      target.on('error', () => socket.destroy())
    })
    return { port: await listen(server), asked, credentials }
  }

  it('is asked for plain http by the whole URL, with its password', async () => {
    const { port, asked, credentials } = await startProxy()
    const http = client({ environment: { HTTP_PROXY: `http://user:CANARY@127.0.0.1:${port}` } })
    expect(await get(http, 'http://registry.test/v2/?n=1')).toBe('200 by proxy')
    expect(asked).toEqual(['GET http://registry.test/v2/?n=1'])
    expect(credentials).toEqual([`Basic ${Buffer.from('user:CANARY').toString('base64')}`])
  })

  it('is asked for a tunnel for https, in which the server is authenticated, once for all', async () => {
    const { ca, cert, key } = await issued
    const server = createTlsServer({ cert, key }, (request, response) =>
      response.end(`${request.headers['proxy-authorization'] ?? 'no password'}`),
    )
    const port = await listen(server)
    const proxy = await startProxy()
    const environment = { https_proxy: `http://user:CANARY@127.0.0.1:${proxy.port}` }
    const http = client({ ca: [ca], environment })
    for (const _ of [1, 2]) expect(await get(http, `https://registry.test:${port}/`)).toBe('200 no password')
    expect(proxy.asked).toEqual([`CONNECT registry.test:${port}`])
    expect(proxy.credentials).toEqual([`Basic ${Buffer.from('user:CANARY').toString('base64')}`])
    const stranger = client({ environment })
    const error = await failure(get(stranger, `https://registry.test:${port}/`))
    expect(error.message).toContain('not signed by an authority that is trusted here')
  })

  it.each(['403 Forbidden', '407 Proxy Authentication Required', '502 Bad Gateway'])(
    'that answers %s is told, without its password',
    async (refuse) => {
      const { port } = await startProxy(refuse)
      const http = client({ environment: { HTTPS_PROXY: `http://user:CANARY@127.0.0.1:${port}` } })
      const error = await failure(get(http, 'https://registry.test/'))
      expect(error.code).toBe('UNAVAILABLE')
      expect(error.message).toContain('GET https://registry.test failed')
      expect(error.message).toContain(refuse.slice(0, 3))
      expect(error.hint).toContain(`The proxy 127.0.0.1:${port} was asked for it`)
    },
  )

  it('that is not there is told, without its password', async () => {
    for (const scheme of ['http', 'https']) {
      const environment = {
        HTTP_PROXY: 'http://u:CANARY@127.0.0.1:1',
        HTTPS_PROXY: 'http://u:CANARY@127.0.0.1:1',
      }
      const error = await failure(get(client({ environment }), `${scheme}://registry.test/`))
      expect(error.code).toBe('UNAVAILABLE')
      expect(error.hint).toContain('The proxy 127.0.0.1:1 was asked for it')
    }
  })
})

describe('patience', () => {
  it('ends a connection that does not come about, and a handshake that does not end', async () => {
    const silent = createTcpServer((socket) => socket.on('error', () => undefined))
    const port = await listen(silent)
    const http = client({ patience: { connectMs: 60, idleMs: 10_000 } })
    const error = await failure(get(http, `https://127.0.0.1:${port}/`))
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      message: `GET https://127.0.0.1:${port} failed: no connection within 0.06 s.`,
    })
  })

  it.each(['head', 'body'])('ends an exchange that is silent in its %s', async (place) => {
    const server = createServer((_request, response) => {
      if (place === 'body') response.write('x')
    })
    const port = await listen(server)
    const http = client({ patience: { connectMs: 1000, idleMs: 60 } })
    const error = await failure(get(http, `http://127.0.0.1:${port}/`))
    expect(error).toMatchObject({
      code: 'TIMEOUT',
      message: `GET http://127.0.0.1:${port} failed: the server was silent for 0.06 s.`,
    })
  })

  it('lets a server be slow that is not silent', async () => {
    const server = createServer((_request, response) => {
      let left = 10
      const timer = setInterval(() => {
        response.write('x')
        left -= 1
        if (left > 0) return
        clearInterval(timer)
        response.end()
      }, 30)
    })
    const port = await listen(server)
    const http = client({ patience: { connectMs: 1000, idleMs: 200 } })
    expect(await get(http, `http://127.0.0.1:${port}/`)).toBe('200 xxxxxxxxxx')
  })

  it('is longer for the answer to a body, where the request says so, and for nothing else', async () => {
    const server = createServer((request, response) => {
      request.resume()
      setTimeout(() => response.writeHead(200).write('x'), 250)
    })
    const port = await listen(server)
    const http = client({ patience: { connectMs: 1000, idleMs: 80 } })
    async function* open(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('body')
    }
    const request = { method: 'PUT', url: new URL(`http://127.0.0.1:${port}/`), body: { open } }
    expect((await failure(http.request(request))).code).toBe('TIMEOUT')
    const response = await http.request({ ...request, answerMs: 5000 })
    expect(response.status).toBe(200)
    expect((await failure(response.bytes(100))).message).toContain('silent for 0.08 s')
  })
})

describe('the authorities that are trusted', () => {
  it('are those given and no other, where that is asked for', async () => {
    const [{ cert, key, ca }, other] = await Promise.all([
      issued,
      issueCertificates({ hosts: ['localhost'], now: new Date() }),
    ])
    const port = await listen(createTlsServer({ cert, key }, (_request, response) => response.end('there')))
    const url = `https://localhost:${port}/`
    const roots = getCACertificates('default')
    cleanups.push(() => setDefaultCACertificates(roots))
    setDefaultCACertificates([...roots, ca])

    expect(await get(client({ ca: [other.ca] }), url)).toBe('200 there')
    expect(await get(client({ ca: [ca], roots: 'given' }), url)).toBe('200 there')
    const refused = await failure(get(client({ ca: [other.ca], roots: 'given' }), url))
    expect(refused.code).toBe('UNAVAILABLE')
    expect(refused.message).toMatch(/certificate/)
  })
})
