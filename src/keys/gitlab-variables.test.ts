import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type FakeGitLab, startFakeGitLab } from '../../test/fixtures/fake-gitlab.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { openGitLabVariables } from './gitlab-variables.ts'
import type { ReadableKeyStore } from './stores.ts'

const TOKEN = 'glpat-CANARYtoken'
const PAIR = {
  privateKey: encodeUtf8('-----BEGIN CANARY-----\n'),
  publicKey: encodeUtf8('-----BEGIN PUBLIC KEY-----\n'),
  password: encodeUtf8('CANARY pass $wörd'),
}
const NAMES = ['COSIGN_PASSWORD', 'COSIGN_PRIVATE_KEY', 'COSIGN_PUBLIC_KEY']
const VARIABLE = {
  variable_type: 'env_var',
  protected: false,
  masked: false,
  raw: true,
  environment_scope: '*',
}

let gitlab: FakeGitLab
let http: HttpClient
const trace: string[] = []

beforeEach(async () => {
  gitlab = await startFakeGitLab({ token: TOKEN, places: ['projects/g/s/p', 'groups/g', 'projects/42'] })
  http = new HttpClient({ trace: (line) => trace.push(line) })
})
afterEach(async () => {
  http.close()
  await gitlab.close()
  expect(trace.splice(0).join('\n')).not.toContain('CANARY')
})

function open(path: string, token = TOKEN, host = gitlab.url): ReadableKeyStore {
  return openGitLabVariables({ kind: 'gitlab', path }, { http, token, host })
}

function values(place: string): (string | null | undefined)[] {
  return NAMES.map((name) => gitlab.variables.get(`${place} ${name}`)?.value)
}

describe('openGitLabVariables', () => {
  it.each([
    ['g/s/p', 'projects/g/s/p'],
    ['42', 'projects/42'],
    ['g', 'groups/g'],
  ])('keeps the three variables of gitlab://%s', async (path, place) => {
    const store = open(path)
    expect(await store.existing()).toEqual([])
    expect(await store.put(PAIR, { replace: false })).toEqual(NAMES)
    expect(gitlab.variables.get(`${place} COSIGN_PASSWORD`)).toEqual({
      ...VARIABLE,
      key: 'COSIGN_PASSWORD',
      value: 'CANARY pass $wörd',
    })
    expect(await store.existing()).toEqual(NAMES)
    expect(await store.readPublicKey()).toEqual(PAIR.publicKey)
    const { privateKey, password } = PAIR
    expect(await store.readPrivateKey()).toEqual({ privateKey, password })
  })

  it('updates what is there and leaves its settings', async () => {
    const key = 'COSIGN_PRIVATE_KEY'
    gitlab.variables.set(`projects/g/s/p ${key}`, { ...VARIABLE, key, value: 'old', protected: true })
    expect(await open('g/s/p').put(PAIR, { replace: true })).toEqual(NAMES)
    expect(gitlab.variables.get(`projects/g/s/p ${key}`)).toMatchObject({
      value: '-----BEGIN CANARY-----\n',
      protected: true,
    })
  })

  it('replaces nothing that it was not told to', async () => {
    const key = 'COSIGN_PUBLIC_KEY'
    gitlab.variables.set(`groups/g ${key}`, { ...VARIABLE, key, value: 'old' })
    const error = await failureOf(open('g').put(PAIR, { replace: false }))
    expect([error.code, error.message]).toEqual([
      'ALREADY_EXISTS',
      'The variable COSIGN_PUBLIC_KEY exists already at "gitlab://g".',
    ])
    expect(values('groups/g')).toEqual([undefined, undefined, 'old'])
  })

  it('puts back what was there when the rest fails', async () => {
    const key = 'COSIGN_PRIVATE_KEY'
    gitlab.variables.set(`groups/g ${key}`, { ...VARIABLE, key, value: 'old CANARY' })
    gitlab.faults.push(refuse('POST', 'COSIGN_PUBLIC_KEY'))
    const error = await failureOf(open('g').put(PAIR, { replace: true }))
    const { host } = new URL(gitlab.url)
    expect([error.code, error.message]).toEqual([
      'FORBIDDEN',
      `GitLab at ${host} refuses to set the variable COSIGN_PUBLIC_KEY with status 403: "403 Forbidden".`,
    ])
    expect(values('groups/g')).toEqual([undefined, 'old CANARY', undefined])
  })

  it('says what was set when not even that can be undone', async () => {
    gitlab.faults.push(refuse('POST', 'COSIGN_PRIVATE_KEY'), refuse('DELETE', undefined))
    const error = await failureOf(open('g').put(PAIR, { replace: true }))
    expect(error.message).toContain(
      'Written, and not to be undone: COSIGN_PASSWORD; they do not go with the rest.',
    )
  })

  it('undoes also what a person interrupts', async () => {
    const abort = new AbortController()
    gitlab.faults.push(({ method, body }) => {
      if (method === 'POST' && (body as { key: string }).key === 'COSIGN_PRIVATE_KEY') abort.abort()
      return undefined
    })
    const error = await failureOf(open('g').put(PAIR, { replace: true, signal: abort.signal }))
    expect(error.code).toBe('ABORTED')
    expect(values('groups/g')).toEqual([undefined, undefined, undefined])
  })

  it.each([
    ['a token that is not valid', 'g', 'glpat-other-CANARY', 'UNAUTHORIZED', '401 Unauthorized'],
    [
      'what is neither project nor group',
      'g/none',
      TOKEN,
      'NOT_FOUND',
      'has no project or group "g/none" that the token may see.',
    ],
  ])('says so of %s', async (_, path, token, code, message) => {
    const error = await failureOf(open(path, token).readPublicKey())
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  it('takes an error about a project for no group', async () => {
    gitlab.faults.push(() => ({ status: 503 }))
    expect((await failureOf(open('g').readPublicKey())).code).toBe('UNAVAILABLE')
    expect(gitlab.log).toHaveLength(1)
  })

  it.each([
    ['a variable that is not there', undefined, 'NOT_FOUND', 'There is no variable COSIGN_PUBLIC_KEY at'],
    ['a hidden variable', { value: null }, 'BAD_RESPONSE', 'is hidden: GitLab does not give it out.'],
    ['a value that is no text', { value: { CANARY: 1 } }, 'BAD_RESPONSE', 'is hidden'],
  ])('reads nothing out of %s', async (_, body, code, message) => {
    if (body !== undefined) {
      gitlab.faults.push(({ path }) => (path.includes('/variables/') ? { status: 200, body } : undefined))
    }
    const error = await failureOf(open('g').readPublicKey())
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  it('tells of variables for several environments', async () => {
    const message =
      "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'"
    gitlab.faults.push(({ path }) =>
      path.includes('/variables/') ? { status: 409, body: { message } } : undefined,
    )
    expect((await failureOf(open('g').readPublicKey())).code).toBe('CONFLICT')
  })

  it('sets no password that a variable cannot hold', async () => {
    const pair = { ...PAIR, password: Uint8Array.of(0xff, 0xfe) }
    const error = await failureOf(open('g').put(pair, { replace: false }))
    expect([error.code, error.message]).toEqual([
      'INVALID_PASSWORD',
      'What is to be the variable COSIGN_PASSWORD is not UTF-8 text.',
    ])
    expect(gitlab.variables.size).toBe(0)
  })

  it('quotes no secret that a server repeats', async () => {
    for (const message of [`token ${TOKEN} is not known`, { value: ['"BEGIN CANARY" is invalid'] }]) {
      const part = typeof message === 'string' ? 'COSIGN_PASSWORD' : 'COSIGN_PRIVATE_KEY'
      gitlab.faults.push(({ method, body }) => {
        const hit = method === 'POST' && (body as { key: string }).key === part
        return hit ? { status: 400, body: { message } } : undefined
      })
      const error = await failureOf(open('g').put(PAIR, { replace: false }))
      expect(error.message).toMatch(/ with status 400\.$/)
    }
  })

  it('sends no token over plain HTTP to another machine', () => {
    expect(() => open('g', TOKEN, 'http://gitlab.example')).toThrow(
      expect.objectContaining({
        code: 'INVALID_CONFIG',
        message:
          'GITLAB_HOST names "gitlab.example" over plain HTTP, where token and key could be read on the way.',
      }),
    )
  })
})

function refuse(method: string, key: string | undefined): FakeGitLab['faults'][number] {
  return (request) => {
    const asked = (request.body as { key?: string } | undefined)?.key
    const hit = request.method === method && (key === undefined || asked === key)
    return hit ? { status: 403, body: { message: '403 Forbidden' } } : undefined
  }
}

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint, error.stack])).not.toContain('CANARY')
  return error
}
