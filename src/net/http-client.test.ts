import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { CosignetError, type ErrorCode } from '../core/index.ts'
import { HttpClient, type HttpClientOptions, type HttpRequest, isPlainHttpError } from './index.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

async function listen(server: TcpServer | Server, host = '127.0.0.1'): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, host, resolve))
  cleanups.push(() => {
    if ('closeAllConnections' in server) server.closeAllConnections()
    server.close()
  })
  return `http://${host}:${(server.address() as AddressInfo).port}`
}

async function serve(listener: RequestListener): Promise<string> {
  return await listen(createServer(listener))
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

function client(options: HttpClientOptions = {}): HttpClient {
  const made = new HttpClient(options)
  cleanups.push(() => made.close())
  return made
}

async function get(url: string, more: Partial<HttpRequest> = {}, http = client()): Promise<string> {
  const response = await http.request({ method: 'GET', url: new URL(url), ...more })
  return Buffer.from(await response.bytes(1024 * 1024)).toString()
}

async function failure(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  return error
}

describe('HttpClient', () => {
  it('sends method, headers and body and gives status, headers and body', async () => {
    const url = await serve((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk: Buffer) => chunks.push(chunk))
      request.on('end', () => {
        response.writeHead(201, { 'X-Method': request.method, 'Set-Cookie': ['a=1', 'b=2'] })
        response.end(`${request.headers['user-agent']} ${Buffer.concat(chunks)}`)
      })
    })
    const response = await client({ userAgent: 'test/1' }).request({
      method: 'POST',
      url: new URL(url),
      body: Buffer.from('hello'),
    })
    expect(response.status).toBe(201)
    expect(response.headers['x-method']).toBe('POST')
    expect(response.headers['set-cookie']).toBe('a=1, b=2')
    expect(Buffer.from(await response.bytes(100)).toString()).toBe('test/1 hello')
  })

  it('keeps the connection between requests', async () => {
    const ports = new Set<number | undefined>()
    const url = await serve((request, response) => {
      ports.add(request.socket.remotePort)
      response.end('x')
    })
    const http = client()
    await get(url, {}, http)
    const unread = await http.request({ method: 'GET', url: new URL(url) })
    unread.discard()
    await new Promise((resolve) => setTimeout(resolve, 20))
    await get(url, {}, http)
    expect(ports.size).toBe(1)
  })

  it('sends again what met a kept connection that the server had closed', async () => {
    let requests = 0
    const url = await serve((request, response) => {
      requests += 1
      if (requests === 2) request.socket.destroy()
      else response.end('answer')
    })
    const http = client()
    await get(url, {}, http)
    expect(await get(url, {}, http)).toBe('answer')
    expect(requests).toBe(3)
  })

  it('streams a body of unknown and of known length', async () => {
    const url = await serve((request, response) => {
      let size = 0
      request.on('data', (chunk: Buffer) => {
        size += chunk.byteLength
      })
      request.on('end', () => response.end(`${request.headers['content-length'] ?? 'chunked'} ${size}`))
    })
    async function* open(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 16; i += 1) yield Buffer.alloc(256 * 1024)
    }
    const size = 16 * 256 * 1024
    expect(await get(url, { method: 'PUT', body: { open } })).toBe(`chunked ${size}`)
    expect(await get(url, { method: 'PUT', body: { open, length: size } })).toBe(`${size} ${size}`)
    for (const length of [size - 1, size + 1]) {
      const error = await failure(get(url, { method: 'PUT', body: { open, length } }))
      expect(error.code).toBe('INVALID_REQUEST')
    }
  })

  it('passes on the error of a body that fails, as it is', async () => {
    const url = await serve((request, response) => request.resume().on('end', () => response.end()))
    async function* open(): AsyncGenerator<Uint8Array> {
      yield Buffer.alloc(10)
      throw new CosignetError('DIGEST_MISMATCH', 'The source is wrong.')
    }
    const error = await failure(get(url, { method: 'PUT', body: { open } }))
    expect(error).toMatchObject({ code: 'DIGEST_MISMATCH', message: 'The source is wrong.' })
  })

  it('gives an answer that comes before all of the body is sent', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(413).end('too big')
    })
    let opened = 0
    async function* open(): AsyncGenerator<Uint8Array> {
      for (; opened < 10_000; opened += 1) yield Buffer.alloc(256 * 1024)
    }
    const response = await client().request({ method: 'PUT', url: new URL(url), body: { open } })
    expect(response.status).toBe(413)
    expect(opened).toBeLessThan(1000)
    response.discard()
  })

  it('reads no more than the reader takes', async () => {
    let written = 0
    const url = await serve((_request, response) => {
      const chunk = Buffer.alloc(1024 * 1024)
      const more = (): void => {
        while (written < 256 && response.write(chunk)) written += 1
        written += 1
        if (written < 256) response.once('drain', more)
      }
      response.on('error', () => undefined)
      more()
    })
    const response = await client().request({ method: 'GET', url: new URL(url) })
    let size = 0
    for await (const chunk of response.body) {
      size = chunk.byteLength
      await new Promise((resolve) => setTimeout(resolve, 50))
      break
    }
    expect(size).toBeGreaterThan(0)
    expect(written).toBeLessThan(64)
  })

  it('shows the wire without secrets', async () => {
    const lines: string[] = []
    const url = await serve((_request, response) => response.end())
    await get(
      `${url}/v2/?token=CANARY&scope=pull`,
      { headers: { Authorization: 'Bearer CANARY', Cookie: 'CANARY' } },
      client({ trace: (line) => lines.push(line) }),
    )
    expect(lines[0]).toBe(`> GET ${url}/v2/?token=***&scope=pull (user-agent, authorization, cookie)`)
    expect(lines[1]).toMatch(/^< 200 GET http:.*\(date, /)
    expect(lines.join()).not.toContain('CANARY')
  })
})

describe('redirects', () => {
  it('are followed by GET and keep credentials only at the same origin (CVE-2020-15157)', async () => {
    const seen: Record<string, unknown>[] = []
    const second = await serve((request, response) => {
      seen.push(request.headers)
      response.end('second')
    })
    const first = await serve((request, response) => {
      seen.push(request.headers)
      const location = request.url === '/' ? '/same' : second.replace('127.0.0.1', 'localhost')
      response.writeHead(307, { location }).end()
    })
    const headers = { Authorization: 'Bearer t', Cookie: 'c', Accept: 'a' }
    expect(await get(first, { headers })).toBe('second')
    expect(seen.map(({ authorization, cookie, accept }) => [authorization, cookie, accept])).toEqual([
      ['Bearer t', 'c', 'a'],
      ['Bearer t', 'c', 'a'],
      [undefined, undefined, 'a'],
    ])
  })

  it.each([
    ['a loop', '/', 'GET', undefined, 'redirects more than 5 times'],
    ['a body', '/', 'POST', undefined, 'this request is not followed elsewhere'],
    ['refuse', '/', 'GET', 'refuse' as const, 'this request is not followed elsewhere'],
    ['another scheme', 'file:///etc/passwd', 'GET', undefined, 'to no HTTP URL'],
    ['no URL', 'http://[', 'GET', undefined, 'to no HTTP URL'],
    ['a password', 'http://u:CANARY@x.test/', 'GET', undefined, 'with a user name or password'],
  ])('are refused for %s', async (_name, location, method, redirects, message) => {
    const url = await serve((_request, response) => response.writeHead(302, { location }).end())
    const error = await failure(get(url, { method, ...(redirects === undefined ? {} : { redirects }) }))
    expect(error.code).toBe('BAD_RESPONSE')
    expect(error.message).toContain(message)
    expect(error.message).not.toContain('CANARY')
  })
})

describe('a hostile or broken server', () => {
  it.each<[string, string, ErrorCode, string]>([
    [
      'lies about a longer body',
      'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort',
      'UNAVAILABLE',
      'closed',
    ],
    [
      'truncates chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nx',
      'UNAVAILABLE',
      'closed',
    ],
    ['closes without an answer', '', 'UNAVAILABLE', 'closed'],
    ['sends no HTTP', 'SSH-2.0-OpenSSH\r\n', 'BAD_RESPONSE', 'not valid HTTP'],
    [
      'sends endless headers',
      `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(100_000)}\r\n\r\n`,
      'BAD_RESPONSE',
      'not valid',
    ],
  ])('that %s is an error', async (_name, answer, code, message) => {
    const url = await serveBytes(answer)
    const error = await failure(get(url))
    expect(error.code).toBe(code)
    expect(error.message).toContain(`GET ${url} failed: `)
    expect(error.message).toContain(message)
  })

  it('that sends without end is cut off at the limit', async () => {
    const url = await serve((_request, response) => {
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65536)));
        response.once('drain', more)
      }
      response.on('error', () => undefined)
      more()
    })
    const error = await failure(get(url))
    expect(error.code).toBe('TOO_LARGE')
  })

  it.each(['never answers', 'stalls in the body'])('that %s runs into the total time-out', async (name) => {
    const url = await serve((_request, response) => {
      if (name === 'stalls in the body') response.write('x')
    })
    const error = await failure(get(url, { timeoutMs: 60 }))
    expect(error).toMatchObject({ code: 'TIMEOUT', retryable: true })
    expect(error.message).toBe(`GET ${url} took longer than 0.06 s and was given up.`)
  })

  it('does not keep a connection that nobody reads', async () => {
    const server = createServer((_request, response) => {
      response.writeHead(200, { 'content-length': 10 * 1024 * 1024 })
      response.write(Buffer.alloc(1024))
    })
    const url = await listen(server)
    const http = client()
    const response = await http.request({ method: 'GET', url: new URL(url) })
    response.discard()
    const forgotten = await http.request({ method: 'GET', url: new URL(url), timeoutMs: 50 })
    expect(forgotten.status).toBe(200)
    await new Promise((resolve) => setTimeout(resolve, 120))
    const open = await new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)))
    expect(open).toBe(0)
  })

  it('can be left by the signal, before and in the body', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/body') response.write('x')
    })
    for (const path of ['/', '/body']) {
      const error = await failure(get(url + path, { signal: AbortSignal.timeout(40) }))
      expect(error.code).toBe('ABORTED')
    }
    const error = await failure(get(url, { signal: AbortSignal.abort() }))
    expect(error.code).toBe('ABORTED')
  })

  it.each([
    ['http://127.0.0.1:1/', 'the connection was refused'],
    ['http://no-such-host.invalid/', 'the host name'],
  ])('that is not there is UNAVAILABLE: %s', async (url, reason) => {
    const error = await failure(get(url))
    expect(error.code).toBe('UNAVAILABLE')
    expect(error.message).toContain(`GET ${new URL(url).origin} failed: ${reason}`)
    expect(error.hint).toBeDefined()
  })

  it.each([
    ['ftp://x.test/', 'is not the scheme of an HTTP URL'],
    ['http://user:CANARY@x.test/', 'must not hold a user name or password'],
  ])('is not asked by a request that cannot be sent: %s', async (url, reason) => {
    const error = await failure(get(url))
    expect(error.code).toBe('INVALID_REQUEST')
    expect(error.message).toContain(reason)
    expect(error.message).not.toContain('CANARY')
  })
})

describe('TLS', () => {
  it('trusts a given CA, tells an unknown one and another name apart', async () => {
    const { cert, key } = await certificate()
    const server = createTlsServer({ cert, key }, (_request, response) => response.end('secure'))
    const url = (await listen(server)).replace('http:', 'https:')
    expect(await get(url.replace('127.0.0.1', 'localhost'), {}, client({ ca: [cert] }))).toBe('secure')
    expect(await get(url, {}, client({ insecureSkipTlsVerify: true }))).toBe('secure')

    const unknown = await failure(get(url.replace('127.0.0.1', 'localhost')))
    expect(unknown.message).toContain('not signed by an authority that is trusted here')
    expect(unknown.hint).toContain('PEM certificate')
    expect(isPlainHttpError(unknown)).toBe(false)

    const name = await failure(get(url, {}, client({ ca: [cert] })))
    expect(name.message).toContain('its certificate is for another host name')
  })

  it('tells a server that speaks plain HTTP', async () => {
    const url = await serve((_request, response) => response.end())
    const error = await failure(get(url.replace('http:', 'https:')))
    expect(error.code).toBe('UNAVAILABLE')
    expect(isPlainHttpError(error)).toBe(true)
    // Go's answer to a handshake on a plain port.
    const go = await serveBytes('HTTP/1.0 400 Bad Request\r\n\r\n')
    expect(isPlainHttpError(await failure(get(go.replace('http:', 'https:'))))).toBe(true)
  })

  it('refuses a redirect to plain http', async () => {
    const { cert, key } = await certificate()
    const server = createTlsServer({ cert, key }, (_request, response) =>
      response.writeHead(307, { location: 'http://localhost/x' }).end(),
    )
    const url = (await listen(server)).replace('http://127.0.0.1', 'https://localhost')
    const error = await failure(get(url, {}, client({ ca: [cert] })))
    expect(error.code).toBe('BAD_RESPONSE')
    expect(error.message).toContain('from https to plain http')
  })

  it('refuses a CA that is not a certificate', async () => {
    const error = await failure(get('https://localhost/', {}, client({ ca: ['not PEM'] })))
    expect(error.code).toBe('INVALID_CONFIG')
  })
})

describe('a proxy', () => {
  it('is asked for http and https, but not for NO_PROXY and loopback', async () => {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`)
      response.end('by proxy')
    })
    server.on('connect', (request, socket) => {
      asked.push(`CONNECT ${request.url}`)
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
    })
    const proxy = (await listen(server)).replace('//', '//user:CANARY@')
    const environment = { HTTP_PROXY: proxy, https_proxy: proxy, NO_PROXY: 'direct.invalid' }
    const http = client({ environment })
    expect(await get('http://registry.invalid/v2/', {}, http)).toBe('by proxy')
    const refused = await failure(get('https://registry.invalid/v2/', {}, http))
    expect(refused.code).toBe('UNAVAILABLE')
    expect(refused.message).not.toContain('CANARY')
    expect((await failure(get('http://direct.invalid/', {}, http))).message).toContain('the host name')
    const local = await serve((_request, response) => response.end('local'))
    expect(await get(local, {}, http)).toBe('local')
    expect(asked).toEqual(['GET http://registry.invalid/v2/', 'CONNECT registry.invalid:443'])
  })
})

/** A self-signed certificate for `localhost` alone. */
async function certificate(): Promise<{ cert: string; key: string }> {
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(Date.now() - 3_600_000),
    notAfter: new Date(Date.now() + 3_600_000),
    extensions: [new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'localhost' }])],
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return {
    cert: cert.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
  }
}
