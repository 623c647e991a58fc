import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { jwtVerify } from 'jose'
import { beforeAll, describe, expect, it } from 'vitest'
import { CosignetError, encodeUtf8 } from '../../core/index.ts'
import type { HttpRequest, HttpResponse } from '../../net/index.ts'
import { encryptForTee } from '../protocol/jwe.ts'
import { parseResourcePath } from '../protocol/resource-path.ts'
import { generateTeeKey, type TeeKey } from '../protocol/tee-key.ts'
import { generateAdminKeyPair, signAdminToken } from './admin-token.ts'
import { KbsClient } from './kbs-client.ts'

const PATH = parseResourcePath('default/key/1')
const WHAT = 'The resource kbs:///default/key/1 of the KBS at https://kbs.test'
const TOKEN = { adminToken: 'CANARY.admin.token' }
const TYPE = 'https://github.com/confidential-containers/kbs/errors'

interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly cookie?: string
}

const refusal = (status: number, name: string, detail = 'why') => ({
  status,
  body: { type: `${TYPE}/${name}`, detail },
})
const CHALLENGE: Answer = {
  status: 200,
  body: { nonce: 'bm9uY2U=', 'extra-params': '' },
  cookie: 'kbs-session-id=5e55',
}
const RESULT: Answer = { status: 200, body: { token: 'a.b.c' } }

let teeKey: TeeKey

beforeAll(async () => {
  teeKey = await generateTeeKey()
})

/** A client of a KBS that gives the answers in turn; and what it was sent. */
function clientOf(...answers: readonly Answer[]): { client: KbsClient; sent: HttpRequest[] } {
  const sent: HttpRequest[] = []
  const request = async (message: HttpRequest): Promise<HttpResponse> => {
    const answer = answers[sent.length]
    if (answer === undefined) throw new Error(`no answer to ${message.method} ${message.url.href}`)
    sent.push(message)
    const body = typeof answer.body === 'string' ? answer.body : JSON.stringify(answer.body ?? '')
    return {
      status: answer.status,
      headers: answer.cookie === undefined ? {} : { 'set-cookie': answer.cookie },
      url: message.url,
      body: (async function* () {
        yield encodeUtf8(body)
      })(),
      bytes: async (limit) => {
        if (body.length > limit) throw new CosignetError('TOO_LARGE', 'The answer is too large.')
        return encodeUtf8(body)
      },
      discard: () => undefined,
    }
  }
  return {
    client: new KbsClient({ url: new URL('https://kbs.test/base/'), http: { request }, teeKey }),
    sent,
  }
}

const released = (): Answer => ({ status: 200, body: encryptForTee(teeKey.publicKey, encodeUtf8('secret')) })

describe('the handshake', () => {
  it('sends what a guest sends', async () => {
    const { client, sent } = clientOf(CHALLENGE, RESULT)
    const initData = { format: 'toml', body: 'version = "0.1.0"' } as const
    expect(await client.attest({ tee: 'sample', initData })).toEqual({
      token: 'a.b.c',
      teeKey,
      sessionId: '5e55',
    })
    const [auth, attest] = sent
    expect(sent.map(({ method, url, redirects }) => [method, url.href, redirects])).toEqual([
      ['POST', 'https://kbs.test/base/kbs/v0/auth', 'refuse'],
      ['POST', 'https://kbs.test/base/kbs/v0/attest', 'refuse'],
    ])
    expect(JSON.parse(Buffer.from(auth?.body as Uint8Array).toString())).toEqual({
      version: '0.4.0',
      tee: 'sample',
      'extra-params': { 'supported-hash-algorithms': ['sha256', 'sha384', 'sha512', 'sm3'] },
    })
    expect(attest?.headers).toEqual({ 'content-type': 'application/json', cookie: 'kbs-session-id=5e55' })
    expect(JSON.parse(Buffer.from(attest?.body as Uint8Array).toString())).toEqual({
      'init-data': initData,
      'runtime-data': { nonce: 'bm9uY2U=', 'tee-pubkey': teeKey.publicKey },
      'tee-evidence': {
        primary_evidence: { svn: '1', report_data: expect.stringMatching(/^[A-Za-z0-9+/]{64}$/) },
        additional_evidence: '',
      },
    })
  })

  it.each([
    ['kbs-session-id=ab12; Expires=Sat, 01 Aug 2026 12:05:00 GMT', 'ab12'],
    ['a=b; Expires=Sat, 01 Aug 2026 12:05:00 GMT, kbs-session-id=ab12; Path=/', 'ab12'],
  ])('takes of the cookies %j the session alone', async (cookie, id) => {
    const { client, sent } = clientOf({ ...CHALLENGE, cookie }, RESULT)
    await client.attest({ tee: 'sample' })
    expect(sent[1]?.headers?.['cookie']).toBe(`kbs-session-id=${id}`)
  })

  it.each<[string, readonly Answer[], string, string]>([
    [
      'refuses the request',
      [refusal(401, 'AttestationError', 'no')],
      'FORBIDDEN',
      'The KBS at https://kbs.test refuses to attest this machine: "no".',
    ],
    [
      'refuses the evidence',
      [CHALLENGE, refusal(401, 'AttestationError', 'no')],
      'FORBIDDEN',
      'The KBS at https://kbs.test refuses to attest this machine: "no".',
    ],
    [
      'sends no cookie',
      [{ status: 200, body: CHALLENGE.body }],
      'BAD_RESPONSE',
      'The KBS at https://kbs.test sent no cookie kbs-session-id.',
    ],
    [
      'sends a cookie that would add a header',
      [{ ...CHALLENGE, cookie: 'kbs-session-id=\r\nx: y' }],
      'BAD_RESPONSE',
      'The KBS at https://kbs.test sent no cookie kbs-session-id.',
    ],
    ['sends no nonce', [{ ...CHALLENGE, body: {} }], 'BAD_RESPONSE', 'The challenge has no "nonce".'],
    ['sends a list', [{ ...CHALLENGE, body: [] }], 'BAD_RESPONSE', 'The challenge has no "nonce".'],
    [
      'sends no JSON',
      [{ ...CHALLENGE, body: '<html>' }],
      'BAD_RESPONSE',
      'The answer of the KBS at https://kbs.test is not JSON: line 1, column 1: a value expected.',
    ],
    [
      'asks for a hash that nobody has',
      [{ ...CHALLENGE, body: { nonce: '', 'extra-params': { 'selected-hash-algorithm': 'md5' } } }],
      'BAD_RESPONSE',
      'The KBS selected the hash algorithm "md5", which is not one of sha256, sha384, sha512, sm3.',
    ],
    [
      'sends no token',
      [CHALLENGE, { status: 200, body: { token: 1 } }],
      'BAD_RESPONSE',
      'The attestation result has no "token".',
    ],
  ])('fails if the KBS %s', async (_, answers, code, message) => {
    const { client } = clientOf(...answers)
    await expect(client.attest({ tee: 'sample' })).rejects.toMatchObject({ code, message })
  })
})

describe('getResource', () => {
  it('attests once for several resources', async () => {
    const { client, sent } = clientOf(CHALLENGE, RESULT, released(), released())
    expect(Buffer.from(await client.getResource(PATH)).toString()).toBe('secret')
    await client.getResource(PATH)
    expect(sent.map(({ method, url }) => `${method} ${url.pathname}`)).toEqual([
      'POST /base/kbs/v0/auth',
      'POST /base/kbs/v0/attest',
      'GET /base/kbs/v0/resource/default/key/1',
      'GET /base/kbs/v0/resource/default/key/1',
    ])
    expect(sent[2]?.headers).toEqual({ cookie: 'kbs-session-id=5e55' })
  })

  it('attests again, in the same way, where the session is over', async () => {
    const initData = { format: 'toml', body: 'x' } as const
    const over = refusal(401, 'TokenNotFound')
    const { client, sent } = clientOf(CHALLENGE, RESULT, over, CHALLENGE, RESULT, released())
    await client.attest({ tee: 'sample', initData })
    await client.getResource(PATH)
    const second = JSON.parse(Buffer.from(sent[4]?.body as Uint8Array).toString()) as Record<string, unknown>
    expect(second['init-data']).toEqual(initData)
  })

  it('gives up after three times', async () => {
    const round = [CHALLENGE, RESULT, refusal(401, 'TokenVerifierError')]
    const { client, sent } = clientOf(...round, ...round, ...round, ...round)
    await expect(client.getResource(PATH)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: `The KBS does not honour its own attestation for ${WHAT}: "why".`,
    })
    expect(sent).toHaveLength(9)
  })

  it.each<[string, Answer, string, string]>([
    ['a denial', refusal(401, 'PolicyDeny'), 'FORBIDDEN', `${WHAT} is denied by its resource policy.`],
    [
      'a missing resource',
      refusal(401, 'PluginInternalError'),
      'NOT_FOUND',
      `${WHAT} does not exist, or cannot be read there.`,
    ],
    ['a wrong path', refusal(404, 'InvalidRequestPath'), 'NOT_FOUND', `${WHAT} cannot exist there: "why".`],
    [
      'another error',
      refusal(401, 'JweError', 'JWE\nfailed'),
      'BAD_RESPONSE',
      `${WHAT} was refused with status 401: "JWE\\nfailed".`,
    ],
    [
      'a page',
      { status: 404, body: '<html>' },
      'BAD_RESPONSE',
      'The KBS at https://kbs.test answered GET /base/kbs/v0/resource/default/key/1 with status 404 and no KBS error.',
    ],
    [
      'an endless page',
      { status: 500, body: 'x'.repeat(9000) },
      'BAD_RESPONSE',
      'The KBS at https://kbs.test answered GET /base/kbs/v0/resource/default/key/1 with status 500 and no KBS error.',
    ],
    [
      'a gateway',
      { status: 502, body: '<html>' },
      'UNAVAILABLE',
      'The KBS at https://kbs.test cannot answer now (status 502).',
    ],
    [
      'the resource as it is',
      { status: 200, body: '"secret"' },
      'BAD_RESPONSE',
      'The KBS answered with a JWE that is not valid: the message is not an object.',
    ],
    [
      'no JSON',
      { status: 200, body: 'secret' },
      'BAD_RESPONSE',
      `The answer for ${WHAT} is not JSON: line 1, column 1: a value expected.`,
    ],
  ])('tells %s', async (_, answer, code, message) => {
    const { client } = clientOf(CHALLENGE, RESULT, answer)
    await expect(client.getResource(PATH)).rejects.toMatchObject({ code, message })
  })
})

describe('administration', () => {
  it('sends the bytes, the token, and the condition', async () => {
    const { client, sent } = clientOf({ status: 200 }, { status: 200 }, { status: 200 })
    await client.setResource(PATH, encodeUtf8('secret'), TOKEN)
    await client.setResource(PATH, encodeUtf8('secret'), { ...TOKEN, ifAbsent: true })
    await client.deleteResource(PATH, TOKEN)
    const authorization = 'Bearer CANARY.admin.token'
    const stored = { 'content-type': 'application/octet-stream', authorization }
    expect(sent.map(({ method, headers }) => [method, headers])).toEqual([
      ['POST', stored],
      ['POST', { ...stored, 'if-none-match': '*' }],
      ['DELETE', { authorization }],
    ])
    expect(sent[0]?.body).toEqual(encodeUtf8('secret'))
  })

  it.each([
    ['AdminAuthInitialization', 401, 'UNAUTHORIZED', `${WHAT} cannot be changed: "why".`],
    ['AdminAuthAccess', 401, 'UNAUTHORIZED', `${WHAT} cannot be changed: "why".`],
    ['PreconditionFailed', 412, 'ALREADY_EXISTS', `${WHAT} exists already.`],
    ['PayloadTooLarge', 413, 'TOO_LARGE', `${WHAT} is larger than the limit of 2097152 bytes.`],
  ])('tells %s', async (name, status, code, message) => {
    const { client } = clientOf(refusal(status, name))
    const failure = expect(client.setResource(PATH, encodeUtf8('secret'), TOKEN)).rejects
    await failure.toMatchObject({ code, message })
  })

  it('sends nothing that is too large, and no token that would break the header', async () => {
    const { client, sent } = clientOf()
    await expect(client.setResource(PATH, Buffer.alloc(2 * 1024 * 1024 + 1), TOKEN)).rejects.toMatchObject({
      code: 'TOO_LARGE',
    })
    for (const adminToken of ['', 'CANARY\r\nx: y', 'CANARY token', 'x'.repeat(65 * 1024)]) {
      const refused = client.deleteResource(PATH, { adminToken })
      await expect(refused).rejects.toMatchObject({
        code: 'INVALID_REQUEST',
        message: 'The administrator token is not one line of printable ASCII.',
      })
    }
    expect(sent).toEqual([])
  })
})

describe('signAdminToken', () => {
  const { privateKeyPem, publicKeyPem } = generateAdminKeyPair()
  const now = new Date('2026-08-01T12:00:00.900Z')

  it('writes a JWT that jose and node:crypto verify', async () => {
    const token = signAdminToken({ privateKeyPem, role: 'admin', now })
    const key = createPublicKey(publicKeyPem)
    const { payload, protectedHeader } = await jwtVerify(token, key, { currentDate: now })
    expect(protectedHeader).toEqual({ typ: 'JWT', alg: 'EdDSA' })
    expect(payload).toEqual({ role: 'admin', sub: 'admin', iat: 1785585600, exp: 1785585900 })
    const [header, claims, signature] = token.split('.')
    expect(
      verify(null, Buffer.from(`${header}.${claims}`), key, Buffer.from(signature ?? '', 'base64url')),
    ).toBe(true)
  })

  it('lasts as long as it is told', async () => {
    const token = signAdminToken({ privateKeyPem, role: 'admin', now, lifetimeSeconds: 1 })
    const { payload } = await jwtVerify(token, createPublicKey(publicKeyPem), { currentDate: now })
    expect(payload.exp).toBe(1785585601)
  })

  it.each([0, -1, 1.5, Number.NaN])('refuses a lifetime of %d', (lifetimeSeconds) => {
    expect(() => signAdminToken({ privateKeyPem, role: 'admin', now, lifetimeSeconds })).toThrow(
      expect.objectContaining({ code: 'INVALID_REQUEST' }),
    )
  })

  it.each([
    ['text', 'CANARY'],
    ['a public key', publicKeyPem],
    [
      'an EC key',
      generateKeyPairSync('ec', { namedCurve: 'P-256' })
        .privateKey.export({ format: 'pem', type: 'pkcs8' })
        .toString(),
    ],
  ])('refuses %s', (_, pem) => {
    expect(() => signAdminToken({ privateKeyPem: pem, role: 'admin', now })).toThrow(
      expect.objectContaining({
        code: 'INVALID_KEY',
        message: 'The private key of the KBS administrator is not an Ed25519 key in PKCS#8 PEM.',
      }),
    )
  })
})
