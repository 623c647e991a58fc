import { createHash, createHmac, sign as cryptoSign, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { decodeProtectedHeader, jwtVerify, SignJWT } from 'jose'
import { describe, expect, it } from 'vitest'
import { decodeUtf8, encodeUtf8, type JsonValue } from '../core/index.ts'
import type { HttpRequest, HttpResponse } from '../net/index.ts'
import { generateAdminKeyPair, KbsClient, type KbsHttp, signAdminToken } from './client/index.ts'
import { decryptForTee } from './protocol/jwe.ts'
import { parseResourcePath } from './protocol/resource-path.ts'
import { generateTeeKey, type TeeKey, type TeeKeyKind } from './protocol/tee-key.ts'
import {
  createKbs,
  defaultResourcePolicy,
  fileStorage,
  type Kbs,
  type KbsEvent,
  type KbsOptions,
  type KbsStorage,
  memoryStorage,
} from './server/index.ts'

const ORIGIN = 'http://kbs.test'
const PATH = parseResourcePath('default/cosign-public-key/1')
const NOW = new Date('2026-08-01T12:00:00Z')
const ADMIN = generateAdminKeyPair()
const SECRET = 'CANARY-of-the-resource'
const ERRORS = 'https://github.com/confidential-containers/kbs/errors'
const ATTEST_FAILED = {
  type: `${ERRORS}/AttestationError`,
  detail: 'Attestation error: RCAR handshake Attest failed',
}

interface Bench {
  readonly kbs: Kbs
  readonly storage: KbsStorage
  readonly events: KbsEvent[]
  /** Milliseconds to add to the clock of the server. */
  advance(ms: number): void
  send(
    method: string,
    path: string,
    init?: { headers?: Record<string, string>; body?: unknown },
  ): Promise<Response>
}

function bench(options: Partial<KbsOptions> = {}): Bench {
  let now = NOW.getTime()
  const events: KbsEvent[] = []
  const storage = options.storage ?? memoryStorage()
  const kbs = createKbs({
    storage,
    adminPublicKeyPem: ADMIN.publicKeyPem,
    insecureAllowSampleTee: true,
    clock: () => new Date(now),
    log: (event) => events.push(event),
    ...options,
  })
  return {
    kbs,
    storage,
    events,
    advance: (ms) => {
      now += ms
    },
    send: (method, path, { headers = {}, body } = {}) => {
      const payload = body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body)
      return kbs.fetch(
        new Request(`${ORIGIN}${path}`, {
          method,
          headers,
          ...(body === undefined ? {} : { body: payload as string }),
        }),
      )
    },
  }
}

/** The KBS as the HTTP client would reach it. */
function httpTo(fetch: (request: Request) => Promise<Response>): KbsHttp {
  return {
    async request({ method, url, headers, body }: HttpRequest): Promise<HttpResponse> {
      const response = await fetch(
        new Request(url, {
          method,
          ...(headers && { headers }),
          ...(body && { body: body as unknown as string }),
        }),
      )
      const bytes = new Uint8Array(await response.arrayBuffer())
      return {
        status: response.status,
        headers: Object.fromEntries(response.headers),
        url,
        body: (async function* () {
          yield bytes
        })(),
        bytes: async () => bytes,
        discard: () => undefined,
      }
    },
  }
}

const clientOf = (kbs: Kbs, teeKey?: TeeKey) =>
  new KbsClient({ url: new URL(ORIGIN), http: httpTo(kbs.fetch), ...(teeKey && { teeKey }) })

const adminToken = () => signAdminToken({ privateKeyPem: ADMIN.privateKeyPem, role: 'admin', now: NOW })
const asAdmin = () => ({ authorization: `Bearer ${adminToken()}` })
const jsonOf = async (response: Response) => (await response.json()) as Record<string, JsonValue>
const cookieOf = (response: Response) => response.headers.get('set-cookie')?.split(';')[0] ?? ''

const REQUEST = { version: '0.4.0', tee: 'sample', 'extra-params': '' }

interface Message {
  readonly 'runtime-data': { readonly nonce: string; readonly 'tee-pubkey': unknown }
  readonly 'tee-evidence': {
    readonly primary_evidence: { readonly svn: string; readonly report_data: string }
    readonly additional_evidence: string
  }
}

/** Message 3 by hand, as the protocol describes it, not as the client builds it. */
function attestation(nonce: string, { publicKey }: TeeKey, additional = ''): Message {
  const key = publicKey as unknown as Record<string, string>
  const sorted = Object.keys(key).sort()
  const jwk = `{${sorted.map((name) => `"${name}":"${key[name]}"`).join(',')}}`
  const bound = `{"additional-evidence":${JSON.stringify(additional)},"nonce":"${nonce}","tee-pubkey":${jwk}}`
  return {
    'runtime-data': { nonce, 'tee-pubkey': key },
    'tee-evidence': {
      primary_evidence: { svn: '1', report_data: createHash('sha384').update(bound).digest('base64') },
      additional_evidence: additional,
    },
  }
}

async function openSession(target: Bench): Promise<{ nonce: string; cookie: string }> {
  const response = await target.send('POST', '/kbs/v0/auth', { body: REQUEST })
  return { nonce: String((await jsonOf(response))['nonce']), cookie: cookieOf(response) }
}

async function attested(target: Bench, key: TeeKey): Promise<{ cookie: string; token: string }> {
  const { nonce, cookie } = await openSession(target)
  const body = attestation(nonce, key)
  const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
  return { cookie, token: String((await jsonOf(response))['token']) }
}

describe.each(['P-256', 'P-521', 'RSA'] as readonly TeeKeyKind[])('a guest with a key %s', (kind) => {
  it('gets what an administrator stored', async () => {
    const { kbs, events } = bench()
    const teeKey = await generateTeeKey(kind)
    const client = clientOf(kbs, teeKey)
    await client.setResource(PATH, encodeUtf8(SECRET), { adminToken: adminToken() })
    expect(decodeUtf8(await client.getResource(PATH))).toBe(SECRET)
    expect(events.map(({ kind: event, path, admin }) => [event, path, admin])).toEqual([
      ['stored', PATH, 'admin:admin'],
      ['attested', undefined, undefined],
      ['released', PATH, undefined],
    ])
    const [, one, two] = events
    expect(one?.teeKey).toMatch(/^sha256:[A-Za-z0-9_-]{43}$/)
    expect(two?.teeKey).toBe(one?.teeKey)
    expect(JSON.stringify(events)).not.toContain('CANARY')
  })

  it('attests with a handshake that is written by hand', async () => {
    const target = bench()
    const key = await generateTeeKey(kind)
    await target.send('POST', `/kbs/v0/resource/${PATH}`, { headers: asAdmin(), body: SECRET })
    const { token } = await attested(target, key)
    const response = await target.send('GET', `/kbs/v0/resource/${PATH}`, {
      headers: { authorization: `Bearer ${token}` },
    })
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(decodeUtf8(decryptForTee(key, await jsonOf(response)))).toBe(SECRET)
  })
})

describe('POST /auth', () => {
  it('answers with 32 random bytes and the cookie of Trustee', async () => {
    const target = bench()
    const response = await target.send('POST', '/kbs/v0/auth', { body: REQUEST })
    expect(response.status).toBe(200)
    expect(response.headers.get('set-cookie')).toMatch(
      /^kbs-session-id=[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}; Expires=Sat, 01 Aug 2026 12:05:00 GMT$/,
    )
    const { nonce, ...rest } = await jsonOf(response)
    expect(Buffer.from(String(nonce), 'base64')).toHaveLength(32)
    expect(rest).toEqual({ 'extra-params': '' })
    expect((await openSession(target)).nonce).not.toBe(nonce)
  })

  it.each<[string, unknown, string]>([
    ['no JSON', '{', 'deserialize Request'],
    ['no TEE', { version: '0.4.0', 'extra-params': '' }, 'deserialize Request'],
    ['an unknown TEE', { ...REQUEST, tee: 'enclave' }, 'deserialize Request'],
    ['no extra-params', { version: '0.4.0', tee: 'sample' }, 'deserialize Request'],
    [
      'a key twice',
      '{"version":"0.4.0","version":"0.4.0","tee":"sample","extra-params":""}',
      'deserialize Request',
    ],
    [
      'an old version',
      { ...REQUEST, version: '0.1.1' },
      'KBS Client Protocol Version Mismatch: expect =0.4.0 while the request is "0.1.1"',
    ],
    ['SNP', { ...REQUEST, tee: 'snp' }, 'evidence of the TEE snp is not supported yet'],
    [
      'a sample device',
      { ...REQUEST, tee: 'sampledevice' },
      'evidence of the TEE sampledevice is not supported yet',
    ],
  ])('refuses %s', async (_, body, reason) => {
    const response = await bench().send('POST', '/kbs/v0/auth', { body })
    expect([response.status, await response.json()]).toEqual([
      401,
      {
        type: `${ERRORS}/AttestationError`,
        detail: `Attestation error: RCAR handshake Auth failed: ${reason}`,
      },
    ])
  })

  it('refuses the sample TEE unless it was let in', async () => {
    const { kbs } = bench({ insecureAllowSampleTee: false })
    await expect(clientOf(kbs).attest({ tee: 'sample' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message:
        'The KBS at http://kbs.test refuses to attest this machine: "Attestation error: RCAR handshake Auth failed: evidence of the TEE sample is not supported yet".',
    })
  })

  it('bounds the sessions that are open, and makes room for new ones', async () => {
    const listed = Array.from({ length: 10_000 }, (_, i) => i.toString(16).padStart(32, '0'))
    const inner = memoryStorage()
    let expires = NOW.getTime() + 1000
    const target = bench({
      storage: {
        ...inner,
        list: async () => listed,
        get: async (_, id) => ({
          value: encodeUtf8(JSON.stringify({ id, tee: 'sample', nonce: '', expires })),
          version: '1',
        }),
      },
    })
    const full = await target.send('POST', '/kbs/v0/auth', { body: REQUEST })
    expect([full.status, (await jsonOf(full))['detail']]).toEqual([503, 'Too many sessions are open'])
    expires = 0
    target.advance(60_000)
    expect((await target.send('POST', '/kbs/v0/auth', { body: REQUEST })).status).toBe(200)
  })
})

describe('POST /attest', () => {
  it.each<[string, (message: Message) => unknown, string]>([
    ['no JSON', () => '{', 'is not JSON'],
    ['an empty object', () => ({}), 'The attestation is not valid: runtime-data'],
    [
      'another nonce',
      (message) => ({ ...message, 'runtime-data': { ...message['runtime-data'], nonce: 'bm9uY2U=' } }),
      'the nonce is not the one of the session',
    ],
    [
      'other report data',
      (message) => withEvidence(message, { svn: '1', report_data: Buffer.alloc(48).toString('base64') }),
      'REPORT_DATA is different',
    ],
    [
      'report data with a tail',
      (message) => {
        const { report_data } = message['tee-evidence'].primary_evidence
        const longer = Buffer.concat([Buffer.from(report_data, 'base64'), Buffer.alloc(16)]).toString(
          'base64',
        )
        return withEvidence(message, { svn: '1', report_data: longer })
      },
      'REPORT_DATA is different',
    ],
    ['no report data', (message) => withEvidence(message, { svn: '1' }), 'The sample evidence is not valid'],
    ['no evidence', (message) => withEvidence(message, null), 'The sample evidence is not valid'],
    [
      'init data of another format',
      (message) => ({ ...message, 'init-data': { format: 'json', body: '{}' } }),
      'The attestation is not valid: init-data.format',
    ],
    [
      'init data that is no TOML',
      (message) => ({ ...message, 'init-data': { format: 'toml', body: 'CANARY = [' } }),
      'The init data is not TOML: line 1',
    ],
    [
      'init data without an algorithm',
      (message) => ({ ...message, 'init-data': { format: 'toml', body: 'version = "0.1.0"\n[data]\n' } }),
      'The init data is not valid: algorithm',
    ],
  ])('refuses %s, and tells the log alone why', async (_, change, reason) => {
    const target = bench()
    const { nonce, cookie } = await openSession(target)
    const body = change(attestation(nonce, await generateTeeKey()))
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect([response.status, await response.json()]).toEqual([401, ATTEST_FAILED])
    expect(target.events).toMatchObject([
      { kind: 'attestation-refused', reason: expect.stringContaining(reason) },
    ])
    expect(JSON.stringify(target.events)).not.toContain('CANARY')
  })

  it('refuses a key that the evidence does not vouch for', async () => {
    const target = bench()
    const { nonce, cookie } = await openSession(target)
    const [own, other] = [await generateTeeKey(), await generateTeeKey()]
    const body = { ...attestation(nonce, own), 'runtime-data': { nonce, 'tee-pubkey': other.publicKey } }
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect([response.status, await response.json()]).toEqual([401, ATTEST_FAILED])
  })

  it('refuses a key that nothing could be encrypted for', async () => {
    const target = bench()
    const { nonce, cookie } = await openSession(target)
    const key = await generateTeeKey()
    const offCurve = { ...key, publicKey: { ...key.publicKey, x: 'A'.repeat(43) } } as TeeKey
    const body = attestation(nonce, offCurve)
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect(await response.json()).toEqual(ATTEST_FAILED)
    expect(target.events[0]?.reason).toContain('The TEE public key cannot be used')
  })

  it('refuses devices that it cannot verify, takes an empty list of them', async () => {
    const target = bench()
    const key = await generateTeeKey()
    const one = await openSession(target)
    const device = attestation(one.nonce, key, '{"sampledevice":{"svn":"2"}}')
    const refused = await target.send('POST', '/kbs/v0/attest', {
      headers: { cookie: one.cookie },
      body: device,
    })
    expect(await refused.json()).toEqual(ATTEST_FAILED)
    const body = attestation(one.nonce, key, '{}')
    const taken = await target.send('POST', '/kbs/v0/attest', { headers: { cookie: one.cookie }, body })
    expect(taken.status).toBe(200)
  })

  it('refuses a message that is replayed in another session', async () => {
    const target = bench()
    const [one, two] = [await openSession(target), await openSession(target)]
    const body = attestation(one.nonce, await generateTeeKey())
    const send = (cookie: string) => target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect((await send(one.cookie)).status).toBe(200)
    expect((await send(two.cookie)).status).toBe(401)
  })

  it('gives an attested session its old token, whatever it sends', async () => {
    const target = bench()
    const { cookie, token } = await attested(target, await generateTeeKey())
    target.advance(1000)
    for (const body of [{}, '{', attestation('bm9uY2U=', await generateTeeKey())]) {
      const again = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
      expect(await again.json()).toEqual({ token })
    }
    expect(target.events.filter(({ kind }) => kind === 'attested')).toHaveLength(1)
  })

  it('gives parallel requests of one session the same token', async () => {
    const target = bench()
    const { nonce, cookie } = await openSession(target)
    const keys = await Promise.all(Array.from({ length: 8 }, () => generateTeeKey()))
    const tokens = await Promise.all(
      keys.map(async (key) => {
        const body = attestation(nonce, key)
        const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
        return (await jsonOf(response))['token']
      }),
    )
    expect(new Set(tokens).size).toBe(1)
    expect(target.events.filter(({ kind }) => kind === 'attested')).toHaveLength(1)
  })

  it.each([
    '',
    'kbs-session-id=',
    'kbs-session-id=../repository',
    `kbs-session-id=${'0'.repeat(32)}`,
    'other=1',
  ])('refuses the cookie %j', async (cookie) => {
    const target = bench()
    const body = attestation('bm9uY2U=', await generateTeeKey())
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect([response.status, await response.json()]).toEqual([401, ATTEST_FAILED])
  })

  it('refuses a session of five minutes', async () => {
    const target = bench()
    const { nonce, cookie } = await openSession(target)
    target.advance(5 * 60_000)
    const body = attestation(nonce, await generateTeeKey())
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body })
    expect(await response.json()).toEqual(ATTEST_FAILED)
    await openSession(target)
    expect(await target.storage.list('kbs_protocol_session')).toHaveLength(1)
  })
})

describe('the attestation token', () => {
  it('has the header and the claims of Trustee', async () => {
    const target = bench()
    const key = await generateTeeKey()
    const { nonce, cookie } = await openSession(target)
    const body =
      'version = "0.1.0"\nalgorithm = "sha256"\n[data]\n"aa.toml" = "[token_configs]\\nn = 1"\n"policy.rego" = \'\'\'package p\npolicy_data := {"containers": []}\'\'\'\n'
    const message = { ...attestation(nonce, key), 'init-data': { format: 'toml', body } }
    const response = await target.send('POST', '/kbs/v0/attest', { headers: { cookie }, body: message })
    const token = String((await jsonOf(response))['token'])
    const header = decodeProtectedHeader(token)
    expect(header).toEqual({
      typ: 'JWT',
      alg: 'ES256',
      jwk: { kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String), alg: 'ES256' },
    })
    const { payload } = await jwtVerify(token, header.jwk ?? {}, { currentDate: NOW })
    const seconds = NOW.getTime() / 1000
    const evidence = message['tee-evidence'].primary_evidence
    expect(payload).toEqual({
      eat_profile: 'tag:github.com,2024:confidential-containers/Trustee',
      iss: 'CoCo-Attestation-Service',
      iat: seconds,
      exp: seconds + 300,
      'ear.verifier-id': { developer: 'Cosignet', build: 'cosignet' },
      submods: {
        cpu0: {
          'ear.status': 'contraindicated',
          'ear.trustworthiness-vector': {
            'instance-identity': 0,
            configuration: 2,
            executables: 33,
            'file-system': 0,
            hardware: 97,
            'runtime-opaque': 0,
            'storage-opaque': 0,
            'sourced-data': 0,
          },
          'ear.appraisal-policy-id': 'default',
          'ear.veraison.annotated-evidence': {
            init_data: createHash('sha256').update(body).digest('base64'),
            init_data_claims: {
              'aa.toml': { token_configs: { n: 1 } },
              agent_policy_claims: { containers: [] },
            },
            report_data: evidence.report_data,
            runtime_data_claims: { nonce, 'tee-pubkey': key.publicKey, 'additional-evidence': '' },
            sample: {
              svn: '1',
              launch_digest: 'abcde',
              platform_version: { major: 1, minor: 4 },
              debug: false,
            },
          },
        },
      },
    })
  })

  it('outlives a restart, and is taken by a second replica that started at the same time', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'cosignet-kbs-'))
    try {
      const replicas = [
        bench({ storage: fileStorage(directory) }),
        bench({ storage: fileStorage(directory) }),
      ]
      const [first, second] = replicas as [Bench, Bench]
      await first.send('POST', `/kbs/v0/resource/${PATH}`, { headers: asAdmin(), body: SECRET })
      const key = await generateTeeKey()
      const earned = await Promise.all(replicas.map((replica) => attested(replica, key)))
      for (const { token, cookie } of earned) {
        for (const replica of [first, second, bench({ storage: fileStorage(directory) })]) {
          for (const headers of [{ authorization: `Bearer ${token}` }, { cookie }] as Record<
            string,
            string
          >[]) {
            const response = await replica.send('GET', `/kbs/v0/resource/${PATH}`, { headers })
            expect(response.status).toBe(200)
          }
        }
      }
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

describe('GET /resource', () => {
  const get = (target: Bench, headers: Record<string, string>) =>
    target.send('GET', `/kbs/v0/resource/${PATH}`, { headers })

  it('refuses a guest without a token', async () => {
    const response = await get(bench(), {})
    expect([response.status, await response.json()]).toEqual([
      401,
      { type: `${ERRORS}/TokenNotFound`, detail: 'Attestation Token not found' },
    ])
  })

  it('refuses tokens that it did not sign, or that are over', async () => {
    const target = bench()
    const { token } = await attested(target, await generateTeeKey())
    const [header = '', payload = '', signature = ''] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const jwk = { ...publicKey.export({ format: 'jwk' }), alg: 'ES256' } as { kty: string }
    const forged = await new SignJWT(claims).setProtectedHeader({ alg: 'ES256', jwk }).sign(privateKey)
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${payload}.`
    const flipped = Buffer.from(signature, 'base64url')
    flipped[10] = (flipped[10] ?? 0) ^ 1
    const changed = Buffer.from(JSON.stringify({ ...claims, exp: 9e9 })).toString('base64url')
    const bad = [forged, none, 'x', 'a.b.c', `${header}.${payload}.${flipped.toString('base64url')}`]
    for (const one of [...bad, `${header}.${changed}.${signature}`]) {
      const response = await get(target, { authorization: `Bearer ${one}` })
      expect([response.status, await response.json()]).toEqual([
        401,
        { type: `${ERRORS}/TokenVerifierError`, detail: 'Token Verifier error' },
      ])
    }
    const good = { authorization: `Bearer ${token}` }
    expect((await jsonOf(await get(target, good)))['type']).toBe(`${ERRORS}/PluginInternalError`)
    target.advance(300_000)
    expect((await jsonOf(await get(target, good)))['type']).toBe(`${ERRORS}/TokenVerifierError`)
  })

  it('does not take an administrator for a guest', async () => {
    const response = await get(bench(), asAdmin())
    expect((await jsonOf(response))['type']).toBe(`${ERRORS}/TokenVerifierError`)
  })

  it('takes the cookie before the header, and the header where the session has no token', async () => {
    const target = bench()
    await target.send('POST', `/kbs/v0/resource/${PATH}`, { headers: asAdmin(), body: SECRET })
    const { cookie, token } = await attested(target, await generateTeeKey())
    const pending = await openSession(target)
    expect((await get(target, { cookie, authorization: 'Bearer x' })).status).toBe(200)
    expect((await get(target, { cookie: pending.cookie, authorization: `Bearer ${token}` })).status).toBe(200)
    expect((await get(target, { cookie: `a=b; ${cookie}` })).status).toBe(200)
    expect((await get(target, { cookie: pending.cookie })).status).toBe(401)
  })

  it('asks the policy, which refuses the sample TEE by default', async () => {
    const target = bench({ policy: defaultResourcePolicy })
    const client = clientOf(target.kbs)
    await client.setResource(PATH, encodeUtf8(SECRET), { adminToken: adminToken() })
    await expect(client.getResource(PATH)).rejects.toMatchObject({
      code: 'FORBIDDEN',
      message: `The resource kbs:///${PATH} of the KBS at http://kbs.test is denied by its resource policy.`,
    })
    expect(target.events.at(-1)).toMatchObject({
      kind: 'denied',
      path: `/kbs/v0/resource/${PATH}`,
      reason: 'Access denied by policy',
      teeKey: expect.stringMatching(/^sha256:/),
    })
  })

  it('tells the policy the claims, the path and the query', async () => {
    const asked: unknown[] = []
    const target = bench({
      policy: async ({ claims, ...rest }) => {
        asked.push(rest, claims['iss'])
        return 'yes' as unknown as boolean
      },
    })
    const { cookie } = await attested(target, await generateTeeKey())
    const response = await target.send('GET', '/kbs/v0/resource/a/b/c?x=0&x=1&y=%20', { headers: { cookie } })
    expect(asked).toEqual([
      { plugin: 'resource', path: ['a', 'b', 'c'], query: { x: '1', y: ' ' } },
      'CoCo-Attestation-Service',
    ])
    expect(await response.json()).toEqual({ type: `${ERRORS}/PolicyDeny`, detail: 'Access denied by policy' })
  })

  it('releases nothing when the policy or the storage fails, and says so with another status', async () => {
    const policy = async () => {
      throw new Error('CANARY of the cause')
    }
    for (const options of [{ policy }, { storage: failing() }]) {
      const target = bench(options)
      const { cookie } = await attested(target, await generateTeeKey())
      const response = await get(target, { cookie })
      expect(response.status).toBe(500)
      const body = await response.text()
      expect(body).not.toContain('CANARY')
      expect(target.events.at(-1)).toMatchObject({ kind: 'failed' })
    }
  })

  it('answers 401 where there is no such resource', async () => {
    const { kbs } = bench()
    await expect(clientOf(kbs).getResource(PATH)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: `The resource kbs:///${PATH} of the KBS at http://kbs.test does not exist, or cannot be read there.`,
    })
  })

  it('does not release to HEAD', async () => {
    const target = bench()
    await target.send('POST', `/kbs/v0/resource/${PATH}`, { headers: asAdmin(), body: SECRET })
    const { cookie } = await attested(target, await generateTeeKey())
    expect((await target.send('HEAD', `/kbs/v0/resource/${PATH}`, { headers: { cookie } })).status).toBe(401)
    expect(target.events.filter(({ kind }) => kind === 'released')).toEqual([])
  })

  it('lists for administrators alone', async () => {
    const target = bench()
    for (const path of ['b/c/d', 'a/b/c']) {
      await target.send('POST', `/kbs/v0/resource/${path}`, { headers: asAdmin(), body: SECRET })
    }
    const { cookie } = await attested(target, await generateTeeKey())
    expect(await (await target.send('GET', '/kbs/v0/resource', { headers: asAdmin() })).json()).toEqual([
      'a/b/c',
      'b/c/d',
    ])
    expect((await target.send('GET', '/kbs/v0/resource', { headers: { cookie } })).status).toBe(401)
  })
})

describe('administration', () => {
  const post = (target: Bench, authorization?: string) =>
    target.send('POST', `/kbs/v0/resource/${PATH}`, {
      headers: authorization === undefined ? {} : { authorization },
      body: SECRET,
    })
  const seconds = NOW.getTime() / 1000
  const other = generateKeyPairSync('ed25519').privateKey
  const sign = (claims: Record<string, unknown>, key: KeyObject | string = ADMIN.privateKeyPem) =>
    jws({ alg: 'EdDSA' }, claims, key)
  const CANNOT_VERIFY = 'Admin access denied: Cannot verify token with any of the issuers'

  it.each<[string, string | undefined, string]>([
    ['no token', undefined, 'Failed to parse HTTP Auth Bearer header'],
    ['another scheme', `Basic ${adminToken()}`, 'Failed to parse HTTP Auth Bearer header'],
    ['no JWT', 'Bearer x', CANNOT_VERIFY],
    [
      'no role',
      `Bearer ${sign({ exp: seconds + 60 })}`,
      'Admin access denied: Failed to parse claims from token: AdminAccessDenied { reason: "Missing required `role` claim in JWT" }',
    ],
    [
      'a role that is a list',
      `Bearer ${sign({ role: ['admin'], exp: seconds + 60 })}`,
      'Admin access denied: Failed to parse claims from token: AdminAccessDenied { reason: "Missing required `role` claim in JWT" }',
    ],
    [
      'another role',
      `Bearer ${sign({ role: 'guest', exp: seconds + 60 })}`,
      `Admin access denied: Role guest not allowed for path /kbs/v0/resource/${PATH}`,
    ],
    ['no exp', `Bearer ${sign({ role: 'admin' })}`, CANNOT_VERIFY],
    ['an exp that is text', `Bearer ${sign({ role: 'admin', exp: '9e9' })}`, CANNOT_VERIFY],
    ['a token that is over', `Bearer ${sign({ role: 'admin', exp: seconds - 61 })}`, CANNOT_VERIFY],
    [
      'a token to come',
      `Bearer ${sign({ role: 'admin', exp: seconds + 600, nbf: seconds + 300 })}`,
      CANNOT_VERIFY,
    ],
    ['another key', `Bearer ${sign({ role: 'admin', exp: seconds + 60 }, other)}`, CANNOT_VERIFY],
    [
      'the algorithm none',
      `Bearer ${jws({ alg: 'none' }, { role: 'admin', exp: seconds + 60 }, undefined)}`,
      CANNOT_VERIFY,
    ],
    [
      'an HMAC with the public key as its secret',
      `Bearer ${hs256({ role: 'admin', exp: seconds + 60 }, ADMIN.publicKeyPem)}`,
      CANNOT_VERIFY,
    ],
  ])('refuses %s', async (_, authorization, reason) => {
    const target = bench()
    const detail = `failed to initialize [admin] configuration: ${reason}`
    const refused = { type: `${ERRORS}/AdminAuthInitialization`, detail }
    const response = await post(target, authorization)
    expect([response.status, await response.json()]).toEqual([401, refused])
    const headers = authorization === undefined ? {} : { authorization }
    expect((await target.send('DELETE', `/kbs/v0/resource/${PATH}`, { headers })).status).toBe(401)
    expect((await target.send('GET', '/kbs/v0/resource', { headers })).status).toBe(401)
    expect(await target.storage.list('repository')).toEqual([])
    expect(target.events.map(({ kind }) => kind)).toEqual(['admin-refused', 'admin-refused', 'admin-refused'])
  })

  it('takes what is over by less than a minute', async () => {
    expect((await post(bench(), `Bearer ${sign({ role: 'admin', exp: seconds - 59 })}`)).status).toBe(200)
  })

  it.each([
    ['P-256', 'ES256', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['RSA', 'RS256', generateKeyPairSync('rsa', { modulusLength: 2048 })],
  ])('takes a key %s', async (_, alg, { publicKey, privateKey }) => {
    const adminPublicKeyPem = publicKey.export({ format: 'pem', type: 'spki' }).toString()
    const token = await new SignJWT({ role: 'admin' })
      .setProtectedHeader({ alg })
      .setExpirationTime(seconds + 60)
      .sign(privateKey)
    expect((await post(bench({ adminPublicKeyPem }), `Bearer ${token}`)).status).toBe(200)
  })

  it('refuses everyone without a key', async () => {
    const { storage } = bench()
    const kbs = createKbs({ storage })
    const response = await kbs.fetch(
      new Request(`${ORIGIN}/kbs/v0/resource/${PATH}`, { method: 'DELETE', headers: asAdmin() }),
    )
    expect((await jsonOf(response))['detail']).toBe(
      'failed to initialize [admin] configuration: Admin access denied: Admin access denied as DenyAll authorization_mode is enabled',
    )
  })

  it.each([
    ['text', 'key', 'is not a public key PEM'],
    ['a private key', ADMIN.privateKeyPem, 'is not a public key PEM'],
    [
      'a broken key',
      '-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n',
      'is not a public key PEM',
    ],
    [
      'a key on P-384',
      pem(generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey),
      'must be an Ed25519',
    ],
    ['a key for X25519', pem(generateKeyPairSync('x25519').publicKey), 'must be an Ed25519'],
    [
      'a short RSA key',
      pem(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey),
      'must be an Ed25519',
    ],
  ])('does not start with %s as the key of the administrators', (_, adminPublicKeyPem, reason) => {
    expect(() => createKbs({ storage: memoryStorage(), adminPublicKeyPem })).toThrow(
      expect.objectContaining({ code: 'INVALID_KEY', message: expect.stringContaining(reason) }),
    )
  })

  it('stores only where there is nothing, if asked to', async () => {
    const { kbs } = bench()
    const client = clientOf(kbs)
    const options = { adminToken: adminToken(), ifAbsent: true }
    await client.setResource(PATH, encodeUtf8('one'), options)
    await expect(client.setResource(PATH, encodeUtf8('two'), options)).rejects.toMatchObject({
      code: 'ALREADY_EXISTS',
      message: `The resource kbs:///${PATH} of the KBS at http://kbs.test exists already.`,
    })
    expect(decodeUtf8(await client.getResource(PATH))).toBe('one')
    await client.setResource(PATH, encodeUtf8('two'), { adminToken: adminToken() })
    expect(decodeUtf8(await client.getResource(PATH))).toBe('two')
  })

  it('deletes what there is', async () => {
    const client = clientOf(bench().kbs)
    await client.setResource(PATH, encodeUtf8('one'), { adminToken: adminToken() })
    await client.deleteResource(PATH, { adminToken: adminToken() })
    await expect(client.deleteResource(PATH, { adminToken: adminToken() })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })

  it('takes two megabytes and no more', async () => {
    const target = bench()
    const limit = 2 * 1024 * 1024
    const store = (size: number) =>
      target.send('POST', `/kbs/v0/resource/${PATH}`, { headers: asAdmin(), body: new Uint8Array(size) })
    expect((await store(limit)).status).toBe(200)
    const response = await store(limit + 1)
    expect([response.status, (await jsonOf(response))['type']]).toEqual([413, `${ERRORS}/PayloadTooLarge`])
    expect((await target.storage.get('repository', PATH))?.value).toHaveLength(limit)
  })
})

describe('paths', () => {
  it.each([
    '/kbs/v0/resource/a/b',
    '/kbs/v0/resource/a/b/c/d',
    '/kbs/v0/resource/a/b/c/',
    '/kbs/v0/resource//b/c',
    '/kbs/v0/resource/a/.b/c',
    '/kbs/v0/resource/a%2Fb/c/d',
    '/kbs/v0/resource/a/b/..%2f..%2fc',
    '/kbs/v0/resource/a/b/%2e%2e%2fc',
    '/kbs/v0/resource/a/b/c%00',
    '/kbs/v0/resource/a/b/c\\x2Fd',
  ])('refuses %j', async (path) => {
    const target = bench()
    const { cookie } = await attested(target, await generateTeeKey())
    for (const [method, headers] of [
      ['GET', { cookie }],
      ['POST', asAdmin()],
      ['DELETE', asAdmin()],
    ] as const) {
      const response = await target.send(method, path, {
        headers,
        ...(method === 'POST' && { body: SECRET }),
      })
      expect([response.status, await response.json()]).toEqual([
        401,
        { type: `${ERRORS}/PluginInternalError`, detail: 'Plugin internal error' },
      ])
    }
    expect(await target.storage.list('repository')).toEqual([])
  })

  it.each([
    ['GET', '/kbs/v0/auth', 404, 'Plugin auth not found'],
    ['POST', '/kbs/v0/pkcs11/resource/a', 404, 'Plugin pkcs11 not found'],
    ['GET', '/kbs/v0/resource/../resource-policy', 404, 'Plugin resource-policy not found'],
    ['PUT', `/kbs/v0/resource/${PATH}`, 401, 'Plugin internal error'],
  ])('answers %s %s with %i', async (method, path, status, detail) => {
    const response = await bench().send(method, path, method === 'GET' ? {} : { body: '' })
    expect([response.status, (await jsonOf(response))['detail']]).toEqual([status, detail])
  })

  it('says that it is healthy, and nothing elsewhere', async () => {
    const target = bench()
    for (const [path, status] of [
      ['/healthz', 200],
      ['/', 404],
      ['/kbs/v1/auth', 404],
    ] as const) {
      const response = await target.send('GET', path)
      expect([response.status, await response.text()]).toEqual([status, ''])
    }
  })
})

function withEvidence(message: Message, evidence: unknown): unknown {
  return { ...message, 'tee-evidence': { ...message['tee-evidence'], primary_evidence: evidence } }
}

/** A storage that cannot read resources. */
function failing(): KbsStorage {
  const storage = memoryStorage()
  return {
    ...storage,
    get: async (namespace, key) => {
      if (namespace === 'repository') throw new Error('CANARY of the cause')
      return await storage.get(namespace, key)
    },
  }
}

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A JWS by hand, with an Ed25519 key or without a signature. */
function jws(header: unknown, claims: unknown, key: KeyObject | string | undefined): string {
  const signed = `${part(header)}.${part(claims)}`
  return `${signed}.${key === undefined ? '' : cryptoSign(null, Buffer.from(signed), key).toString('base64url')}`
}

function hs256(claims: unknown, secret: string): string {
  const signed = `${part({ alg: 'HS256' })}.${part(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

function pem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'spki' }).toString()
}
