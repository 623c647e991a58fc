import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import {
  answer,
  change,
  type Fault,
  type FaultyRegistry,
  startFaultyRegistry,
} from '../../test/fixtures/fault-proxy.ts'
import { type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { HttpClient, issueCertificates } from '../net/index.ts'
import type { Credentials } from './credentials.ts'
import { digestOf } from './digest.ts'
import { RegistryClient } from './registry-client.ts'
import type { RegistryOptions } from './registry-transport.ts'

const cleanups: (() => unknown)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const BLOB = encodeUtf8('blob')
const DESCRIPTOR = { digest: digestOf(BLOB), size: 4 }
const certificates = issueCertificates({ hosts: ['127.0.0.1', 'localhost'], now: new Date() })

interface TokenAsk {
  readonly method: string
  readonly authorization: string | undefined
  /** From the query of a GET or the form of a POST. */
  readonly parameters: URLSearchParams
}

interface Bench {
  readonly proxy: FaultyRegistry
  readonly asked: TokenAsk[]
  readonly waits: number[]
  /** Authorizations that are good no more. */
  readonly refused: Set<string>
  /** What comes only after a token. */
  guarded(fault: Fault): Fault
  open(credentials?: Credentials, more?: Partial<RegistryOptions>): Promise<RegistryClient>
}

type TokenServer = (ask: TokenAsk, count: number, response: ServerResponse) => void

const token: TokenServer = (_ask, count, response) =>
  void response.end(JSON.stringify({ token: `t${count}`, expires_in: 300 }))

/**
 * A registry that wants a token from a server over TLS.
 * @param realmHost by which name the server is given.
 */
async function bench(serve: TokenServer = token, realmHost = '127.0.0.1'): Promise<Bench> {
  const { ca, cert, key } = await certificates
  const asked: TokenAsk[] = []
  const server = createTlsServer({ cert, key }, (request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const { method = '', headers, url = '' } = request
      const text = method === 'POST' ? Buffer.concat(chunks).toString() : (url.split('?')[1] ?? '')
      const ask = { method, authorization: headers.authorization, parameters: new URLSearchParams(text) }
      asked.push(ask)
      serve(ask, asked.length, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  const proxy = await startFaultyRegistry()
  cleanups.push(() => proxy.close())
  const realm = `https://${realmHost}:${(server.address() as AddressInfo).port}/token`
  const challenge = { 'www-authenticate': `Bearer realm="${realm}",service="registry.test"` }
  const refused = new Set<string>()
  const guarded =
    (fault: Fault): Fault =>
    (exchange) => {
      const { authorization = '' } = exchange.request.headers
      const known = authorization.startsWith('Bearer ') && !refused.has(authorization)
      return known ? fault(exchange) : answer(401, challenge)(exchange)
    }
  const waits: number[] = []
  return {
    proxy,
    asked,
    waits,
    refused,
    guarded,
    open: async (credentials, more = {}) => {
      proxy.on({ path: /./, fault: guarded(change({})) })
      const http = new HttpClient({ ca: [ca] })
      cleanups.push(() => http.close())
      return new RegistryClient({
        registry: proxy.host,
        repository: 'a/b',
        http,
        sleep: async (ms) => void waits.push(ms),
        ...(credentials === undefined ? {} : { credentials: async () => credentials }),
        ...more,
      })
    },
  }
}

const PASSWORD: Credentials = { kind: 'basic', username: 'user', password: 'CANARY' }
const IDENTITY: Credentials = { kind: 'identity-token', token: 'CANARY' }

describe('a token', () => {
  it('is had for user and password', async () => {
    const { open, asked } = await bench()
    expect(await (await open(PASSWORD)).putBlob(DESCRIPTOR, BLOB)).toBe('written')
    expect(asked).toHaveLength(1)
    expect(asked[0]?.authorization).toBe(`Basic ${Buffer.from('user:CANARY').toString('base64')}`)
    expect(Object.fromEntries(asked[0]?.parameters ?? [])).toEqual({
      account: 'user',
      service: 'registry.test',
      scope: 'repository:a/b:pull,push',
    })
  })

  it('is had for an identity token, by a form', async () => {
    const { open, asked } = await bench()
    expect(await (await open(IDENTITY)).putBlob(DESCRIPTOR, BLOB)).toBe('written')
    expect(asked.map(({ method, authorization }) => [method, authorization])).toEqual([['POST', undefined]])
    expect(Object.fromEntries(asked[0]?.parameters ?? [])).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'CANARY',
      client_id: 'cosignet',
      service: 'registry.test',
      scope: 'repository:a/b:pull,push',
    })
  })

  it.each<[string, Credentials]>([
    ['GET', PASSWORD],
    ['POST', IDENTITY],
  ])('for a mount has a second scope, by %s', async (method, credentials) => {
    const { open, asked } = await bench()
    const client = await open(credentials, { mountFrom: 'other/place' })
    expect(await client.putBlob(DESCRIPTOR, BLOB)).toBe('written')
    const scopes = asked.map(({ parameters }) => parameters.getAll('scope').join(' '))
    expect(scopes).toEqual([
      'repository:a/b:pull,push',
      'repository:a/b:pull,push repository:other/place:pull',
    ])
    // It serves for the rest as well, and the first is kept.
    await client.listTags()
    expect(asked).toHaveLength(2)
    expect(asked[1]?.method).toBe(method)
  })

  it('for a mount that is refused leaves the upload its own', async () => {
    const { open, asked } = await bench((ask, count, response) =>
      ask.parameters.getAll('scope').length > 1
        ? void response.writeHead(403).end()
        : token(ask, count, response),
    )
    const client = await open(PASSWORD, { mountFrom: 'other/place' })
    expect(await client.putBlob(DESCRIPTOR, BLOB)).toBe('written')
    expect(asked).toHaveLength(2)
  })

  it('that runs out during an upload is followed by another, with a new session', async () => {
    const { open, asked, proxy, waits, refused, guarded } = await bench()
    const expiring: Fault = (exchange) => {
      refused.add('Bearer t1')
      return guarded(change({}))(exchange)
    }
    proxy.on({ method: 'PUT', path: /uploads/, calls: [1], fault: expiring })
    const client = await open(PASSWORD, { retries: 0 })
    expect(await client.putBlob(DESCRIPTOR, BLOB)).toBe('written')
    expect([waits, asked.length > 1]).toEqual([[], true])
    const puts = proxy.seen.filter(({ method }) => method === 'PUT')
    expect(puts.map(({ headers }) => headers.authorization)).toEqual([
      'Bearer t1',
      expect.stringMatching(/t[23]/),
    ])
    expect(new Set(puts.map(({ path }) => path)).size).toBe(2)
  })

  it('is asked for again where its server is busy', async () => {
    const { open, waits } = await bench((ask, count, response) =>
      count === 1 ? void response.writeHead(429, { 'retry-after': '4' }).end() : token(ask, count, response),
    )
    await (await open()).putBlob(DESCRIPTOR, BLOB)
    expect(waits).toEqual([4000])
  })
})

describe('credentials', () => {
  it.each([PASSWORD, IDENTITY])(
    'never follow to a realm off the host; the error tells it (CVE-2026-48978)',
    async (credentials) => {
      const { open, asked, proxy } = await bench(token, 'localhost')
      const client = await open(credentials)
      await client.putBlob(DESCRIPTOR, BLOB)
      expect(asked.map(({ method, authorization }) => [method, authorization])).toEqual([['GET', undefined]])
      expect(asked[0]?.parameters.toString()).not.toMatch(/CANARY|user/)

      const refusing = await bench(token, 'localhost')
      refusing.proxy.on({ method: 'GET', path: /tags/, fault: refusing.guarded(answer(403)) })
      const error = await (await refusing.open(credentials)).listTags().catch((reason: unknown) => reason)
      expect(error).toMatchObject({
        code: 'FORBIDDEN',
        hint: expect.stringMatching(
          /^The token server localhost:\d+ is on another domain, so it was not sent/,
        ),
      })
      expect(proxy.seen.every(({ headers }) => headers.authorization?.startsWith('Basic') !== true)).toBe(
        true,
      )
    },
  )

  it('never follow the challenge of a host that was redirected to (CVE-2020-15157)', async () => {
    const seen: (string | undefined)[] = []
    const storage = createServer((request: IncomingMessage, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="give"' }).end()
    })
    await new Promise<void>((resolve) => storage.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => storage.close())
    const { open, asked, proxy } = await bench()
    const elsewhere = `http://127.0.0.1:${(storage.address() as AddressInfo).port}/blob`
    proxy.on({ method: 'GET', path: /blobs/, fault: answer(307, { location: elsewhere }) })
    const client = await open(PASSWORD)
    await expect(read(client.getBlob(DESCRIPTOR))).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    expect(seen).toEqual([undefined])
    expect(asked).toEqual([])
    expect(proxy.seen.map(({ headers }) => headers.authorization)).toEqual([undefined])
  })

  it('and blobs are never taken to or from the URLs of a descriptor (CVE-2020-15157)', async () => {
    const { open, proxy } = await bench()
    const client = await open(PASSWORD)
    const foreign = { ...DESCRIPTOR, urls: ['http://127.0.0.1:1/stolen'], mediaType: 'foreign' }
    await expect(read(client.getBlob(foreign))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await client.putBlob(foreign, BLOB)).toBe('written')
    expect(proxy.seen.every(({ path }) => path.startsWith('/v2/a/b/blobs/'))).toBe(true)
  })
})

describe('a hostile token server', () => {
  it.each<[string, TokenServer, ErrorCode]>([
    ['asks for a login', (_a, _c, response) => void response.writeHead(401).end(), 'UNAUTHORIZED'],
    [
      'redirects',
      (_a, _c, r) => void r.writeHead(307, { location: 'https://evil.test' }).end(),
      'BAD_RESPONSE',
    ],
    ['is down', (_a, _c, response) => void response.writeHead(503).end(), 'UNAVAILABLE'],
    ['sends HTML', (_a, _c, response) => void response.end('<html>CANARY'), 'BAD_RESPONSE'],
    ['sends no token', (_a, _c, response) => void response.end('{"token":7}'), 'BAD_RESPONSE'],
    ['cuts the connection', (_a, _c, response) => void response.socket?.destroy(), 'UNAVAILABLE'],
    ['sends without end', (_a, _c, response) => pour(response), 'TOO_LARGE'],
  ])('that %s gives an error without a secret', async (_name, serve, code) => {
    const { open } = await bench(serve)
    const error = await (await open(IDENTITY)).listTags().catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code })
    expect(JSON.stringify([String(error), (error as { hint?: string }).hint])).not.toContain('CANARY')
  })
})

async function read(stream: AsyncIterable<Uint8Array>): Promise<void> {
  for await (const _ of stream);
}

function pour(response: ServerResponse): void {
  const more = (): void => {
    while (!response.destroyed && response.write(Buffer.alloc(65536, 'x')));
    response.once('drain', more)
  }
  response.on('error', () => undefined)
  more()
}
