import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeGitHub, startFakeGitHub } from '../../test/fixtures/fake-github.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { openGitHubSecrets } from './github-secrets.ts'
import { parseKeyReference } from './store-reference.ts'
import type { KeyStore } from './stores.ts'

const TOKEN = 'ghp_CANARYtoken'
const PAIR = {
  privateKey: encodeUtf8('-----BEGIN CANARY-----\n'),
  publicKey: encodeUtf8('-----BEGIN PUBLIC KEY-----\n'),
  password: encodeUtf8('CANARY pass $wörd'),
}
const NAMES = ['COSIGN_PASSWORD', 'COSIGN_PRIVATE_KEY', 'COSIGN_PUBLIC_KEY']

let github: FakeGitHub
let http: HttpClient
const trace: string[] = []

beforeEach(async () => {
  github = await startFakeGitHub({ token: TOKEN, places: ['repos/o/r', 'orgs/o'] })
  http = new HttpClient({ trace: (line) => trace.push(line) })
})
afterEach(async () => {
  http.close()
  await github.close()
  expect(trace.splice(0).join('\n')).not.toContain('CANARY')
})

function open(ref: string, token = TOKEN, host = github.url): KeyStore {
  const reference = parseKeyReference(ref)
  if (reference.kind !== 'github') throw new Error('not github')
  return openGitHubSecrets(reference, { http, token, host })
}

describe('openGitHubSecrets', () => {
  it('sets the three secrets of a repository, which libsodium opens', async () => {
    const store = open('github://o/r')
    expect(await store.existing()).toEqual([])
    expect(await store.put(PAIR, { replace: false })).toEqual(NAMES)
    expect(Object.fromEntries(github.secrets)).toEqual({
      'repos/o/r COSIGN_PASSWORD': { value: 'CANARY pass $wörd' },
      'repos/o/r COSIGN_PRIVATE_KEY': { value: '-----BEGIN CANARY-----\n' },
      'repos/o/r COSIGN_PUBLIC_KEY': { value: '-----BEGIN PUBLIC KEY-----\n' },
    })
    expect(await store.existing()).toEqual(NAMES)
  })

  it('sets new secrets of an organization for its private repositories', async () => {
    await open('github://o').put(PAIR, { replace: false })
    expect(github.secrets.get('orgs/o COSIGN_PASSWORD')).toEqual({
      value: 'CANARY pass $wörd',
      visibility: 'private',
    })
  })

  it('leaves secrets of an organization to those who could use them', async () => {
    github.secrets.set('orgs/o COSIGN_PASSWORD', { value: 'old', visibility: 'all' })
    github.secrets.set('orgs/o COSIGN_PRIVATE_KEY', {
      value: 'old',
      visibility: 'selected',
      repositories: [7, 8],
    })
    await open('github://o').put(PAIR, { replace: true })
    expect(github.secrets.get('orgs/o COSIGN_PASSWORD')?.visibility).toBe('all')
    expect(github.secrets.get('orgs/o COSIGN_PRIVATE_KEY')).toMatchObject({
      visibility: 'selected',
      repositories: [7, 8],
    })
  })

  it('replaces nothing that it was not told to', async () => {
    github.secrets.set('repos/o/r COSIGN_PUBLIC_KEY', { value: 'old' })
    const error = await failureOf(open('github://o/r').put(PAIR, { replace: false }))
    expect([error.code, error.message]).toEqual([
      'ALREADY_EXISTS',
      'The secret COSIGN_PUBLIC_KEY exists already at "github://o/r".',
    ])
    expect(github.secrets.size).toBe(1)
  })

  it('says what was set when the rest fails', async () => {
    github.faults.push(({ method, path }) =>
      method === 'PUT' && path.endsWith('COSIGN_PRIVATE_KEY')
        ? { status: 502, body: { message: 'Server Error' } }
        : undefined,
    )
    const error = await failureOf(open('github://o/r').put(PAIR, { replace: false }))
    const { host } = new URL(github.url)
    expect([error.code, error.message, error.hint]).toEqual([
      'UNAVAILABLE',
      `GitHub at ${host} refuses to set the secret COSIGN_PRIVATE_KEY with status 502: "Server Error". Written so far: COSIGN_PASSWORD; they do not go with the rest.`,
      'Run the command again: it sets all three.',
    ])
  })

  it.each([
    ['a token that is not valid', 'github://o/r', 'ghp_other_CANARY', 'UNAUTHORIZED', /Bad credentials/],
    [
      'a repository that is not there',
      'github://o/other',
      TOKEN,
      'NOT_FOUND',
      /has no "github:\/\/o\/other"/,
    ],
    ['a user, who has no secrets', 'github://someone', TOKEN, 'NOT_FOUND', /has no "github:\/\/someone"/],
  ])('says so of %s', async (_, ref, token, code, message) => {
    const error = await failureOf(open(ref, token).put(PAIR, { replace: false }))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
    expect(github.secrets.size).toBe(0)
  })

  it.each([
    ['no key', { key_id: '1' }],
    ['a key that is too short', { key_id: '1', key: 'AAAA' }],
    ['a key that is not base64', { key_id: '1', key: '*'.repeat(44) }],
    ['a key without its number', { key: Buffer.alloc(32, 9).toString('base64') }],
  ])('encrypts nothing for %s', async (_, body) => {
    github.faults.push(() => ({ status: 200, body }))
    expect((await failureOf(open('github://o/r').put(PAIR, { replace: false }))).code).toBe('BAD_RESPONSE')
  })

  it.each([
    ['redirects', { status: 307, headers: { location: 'http://127.0.0.1:1/' } }, 'BAD_RESPONSE'],
    ['answers no JSON', { status: 200, body: '<html>CANARY</html>' }, 'INVALID_JSON'],
    ['answers a list', { status: 200, body: [] }, 'BAD_RESPONSE'],
    ['answers without end', { status: 200, body: `{"a":"${'x'.repeat(5 * 1024 * 1024)}"}` }, 'TOO_LARGE'],
    ['is rate limited', { status: 429 }, 'UNAVAILABLE'],
  ])('fails where the server %s', async (_, answer, code) => {
    github.faults.push(() => answer)
    expect((await failureOf(open('github://o/r').put(PAIR, { replace: false }))).code).toBe(code)
  })

  it.each([
    ['https://api.ghe.example', 'https://api.ghe.example/repos/'],
    ['https://ghe.example/', 'https://ghe.example/api/v3/repos/'],
    ['https://ghe.example/api/v3', 'https://ghe.example/api/v3/repos/'],
    ['ghe.example', 'https://ghe.example/api/v3/repos/'],
    ['https://a.api.ghe.example', 'https://a.api.ghe.example/repos/'],
    [undefined, 'https://api.github.com/repos/'],
  ])('asks the host %s as go-github does', async (host, prefix) => {
    const urls: string[] = []
    const reference = { kind: 'github', owner: 'o', repository: 'r' } as const
    const store = openGitHubSecrets(reference, {
      http: {
        request: ({ url }) => {
          urls.push(url.href)
          throw new CosignetError('UNAVAILABLE', 'There is no network.')
        },
      },
      token: TOKEN,
      ...(host === undefined ? {} : { host }),
    })
    await failureOf(store.put(PAIR, { replace: true }))
    expect(urls[0]).toBe(`${prefix}o/r/actions/secrets/public-key`)
  })

  it.each(['http://ghe.example', 'ftp://ghe.example', 'https://u:CANARY@ghe.example', ''])(
    'sends no token to %j',
    (host) => {
      expect(() => open('github://o/r', TOKEN, host)).toThrow(
        expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.not.stringContaining('CANARY') }),
      )
    },
  )
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint, error.stack])).not.toContain('CANARY')
  return error
}
