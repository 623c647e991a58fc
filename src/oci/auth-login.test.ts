import { once } from 'node:events'
import {
  createServer as createPlain,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { HttpClient, issueCertificates } from '../net/index.ts'
import { tryLogin } from './auth-login.ts'

const PASSWORD = 'canary-password'
const BASIC = `Basic ${Buffer.from(`alice:${PASSWORD}`).toString('base64')}`

type Handler = (request: IncomingMessage, response: ServerResponse) => void

let secure: Server
let plain: Server
let http: HttpClient
let handler: Handler
/** Method, path with query, and Authorization header of each request. */
const seen: string[] = []
const traced: string[] = []

beforeAll(async () => {
  const { ca, cert, key } = await issueCertificates({ hosts: ['127.0.0.1', 'localhost'], now: new Date() })
  const listener: Handler = (request, response) => {
    seen.push(`${request.method} ${request.url} ${request.headers.authorization ?? '-'}`)
    handler(request, response)
  }
  secure = createServer({ cert, key }, listener).listen(0, '127.0.0.1')
  plain = createPlain(listener).listen(0, '127.0.0.1')
  await Promise.all([once(secure, 'listening'), once(plain, 'listening')])
  http = new HttpClient({ ca: [ca], trace: (line) => traced.push(line) })
})
afterAll(() => {
  http.close()
  for (const server of [secure, plain]) server.close().closeAllConnections()
})
afterEach(() => {
  seen.length = 0
})

function hostOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

function login(server: Server, password = PASSWORD) {
  return tryLogin({ registry: hostOf(server), username: 'alice', password, http })
}

/** A registry that wants `authorization`, and says so by `challenge`. */
function wants(authorization: string, challenge: string, token?: object): Handler {
  return (request, response) => {
    if (request.url?.startsWith('/token') === true) {
      const ok = token !== undefined && request.headers.authorization === BASIC
      response.writeHead(ok ? 200 : 401).end(ok ? JSON.stringify(token) : '{}')
    } else if (request.headers.authorization === authorization) response.writeHead(200).end('{}')
    else response.writeHead(401, { 'www-authenticate': challenge }).end()
  }
}

function bearerChallenge(server: Server): string {
  return `Bearer realm="https://${hostOf(server)}/token",service="registry.test"`
}

describe('a login', () => {
  it('is tried by Basic authentication', async () => {
    handler = wants(BASIC, 'Basic realm="x"')
    expect(await login(plain)).toEqual({ wanted: true })
    expect(seen).toEqual(['GET /v2/ -', `GET /v2/ ${BASIC}`])
  })

  it('is tried at the token server, and then with its token', async () => {
    handler = wants('Bearer t0ken', bearerChallenge(secure), { token: 't0ken' })
    expect(await login(secure)).toEqual({ wanted: true })
    const query = 'service=registry.test&account=alice&offline_token=true&client_id=cosignet'
    expect(seen).toEqual(['GET /v2/ -', `GET /token?${query} ${BASIC}`, 'GET /v2/ Bearer t0ken'])
  })

  it('may come to an identity token', async () => {
    handler = wants('Bearer t', bearerChallenge(secure), { access_token: 't', refresh_token: 'refresh' })
    expect(await login(secure)).toEqual({ wanted: true, identityToken: 'refresh' })
  })

  it('may not be wanted', async () => {
    handler = (_request, response) => response.writeHead(200).end('{}')
    expect(await login(plain)).toEqual({ wanted: false })
    expect(seen).toEqual(['GET /v2/ -'])
  })

  it.each([
    ['Basic', () => 'Basic realm="x"'],
    ['Bearer', () => bearerChallenge(secure)],
  ])('is refused for a wrong password by %s', async (_name, challenge) => {
    handler = wants(BASIC, challenge(), { token: 't' })
    const error = await login(secure, 'canary-wrong').catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'UNAUTHORIZED',
      message: `${hostOf(secure)} does not accept this user name and password.`,
    })
  })

  it('is refused where the token does not open the registry', async () => {
    handler = wants('Bearer other', bearerChallenge(secure), { token: 't' })
    await expect(login(secure)).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it.each([
    [
      'Bearer realm="https://evil.example/token"',
      'BAD_RESPONSE',
      'https://evil.example, which is not trusted',
    ],
    ['Bearer realm="http://evil.example/token"', 'BAD_RESPONSE', 'is not trusted'],
    ['Bearer realm="x"', 'BAD_RESPONSE', 'is not trusted'],
    ['Negotiate', 'UNSUPPORTED', 'neither by user name and password nor by a token'],
    ['', 'UNSUPPORTED', 'neither by user name and password nor by a token'],
  ])('is not sent for %j', async (challenge, code, message) => {
    handler = wants('Bearer t', challenge)
    await expect(login(secure)).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
    expect(seen.filter((line) => !line.endsWith(' -'))).toEqual([])
  })

  it('is not sent where the registry redirects to', async () => {
    const elsewhere = `http://localhost:${(plain.address() as AddressInfo).port}/v2/`
    handler = (request, response) => {
      if (request.headers.host?.startsWith('localhost') === true)
        wants(BASIC, 'Basic realm="x"')(request, response)
      else response.writeHead(302, { location: elsewhere }).end()
    }
    await expect(login(plain)).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: expect.stringContaining('which is not trusted with a login'),
    })
    expect(seen).toEqual(['GET /v2/ -', 'GET /v2/ -'])
  })

  it('fails as the registry fails', async () => {
    handler = (_request, response) => response.writeHead(503).end()
    await expect(login(plain)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    handler = (_request, response) => response.writeHead(302, { location: '/elsewhere' }).end()
    await expect(login(plain)).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
  })

  it('is in no line of the trace', () => {
    expect(traced.length).toBeGreaterThan(0)
    expect(traced.join('\n')).not.toMatch(/canary|t0ken|refresh|YWxpY2U6/)
  })
})
