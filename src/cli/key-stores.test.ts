import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FakeGitHub, startFakeGitHub } from '../../test/fixtures/fake-github.ts'
import { type FakeGitLab, startFakeGitLab } from '../../test/fixtures/fake-gitlab.ts'
import { type FakeKubernetes, startFakeKubernetes } from '../../test/fixtures/fake-kubernetes.ts'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { decryptPrivateKey, formatPublicKey, generateKeyPair } from '../keys/index.ts'
import type { Cli } from './cli.ts'
import { parseStoreReference, putKeyPair } from './key-stores.ts'

const PASSWORD = 'CANARY password'
const TOKEN = 'CANARY-token'
const key = await generateKeyPair()

let dir: string
let publicKeyPath: string
let github: FakeGitHub
let gitlab: FakeGitLab
let kubernetes: FakeKubernetes
const trace: string[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'key-stores-'))
  publicKeyPath = join(dir, 'cosign.pub')
})
afterAll(() => rm(dir, { recursive: true }))
beforeEach(async () => {
  github = await startFakeGitHub({ token: TOKEN, places: ['repos/o/r'] })
  gitlab = await startFakeGitLab({ token: TOKEN, places: ['projects/g/p'] })
  kubernetes = await startFakeKubernetes({ accounts: [`Bearer ${TOKEN}`] })
  await writeFile(
    join(dir, 'kubeconfig'),
    JSON.stringify({
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: kubernetes.url } }],
      users: [{ name: 'u', user: { token: TOKEN } }],
    }),
  )
})
afterEach(async () => {
  await Promise.all([github, gitlab, kubernetes].map((server) => server.close()))
  await rm(publicKeyPath, { force: true })
  expect(trace.splice(0).join('\n')).not.toContain('CANARY')
})

function cli(environment: Cli['environment'] = {}): Cli {
  return quietCli({
    environment: {
      KUBECONFIG: join(dir, 'kubeconfig'),
      GITHUB_HOST: github.url,
      GITHUB_TOKEN: TOKEN,
      GITLAB_HOST: gitlab.url,
      GITLAB_TOKEN: TOKEN,
      ...environment,
    },
    trace: (line) => trace.push(line),
  })
}

async function putTo(ref: string, yes = false): ReturnType<typeof putKeyPair> {
  const task = { key, password: encodeUtf8(PASSWORD), yes, publicKeyPath }
  return await putKeyPair(cli(), parseStoreReference(ref), task)
}

/** What a store holds now: password, private key, public key. */
function stored(ref: string): (string | null | undefined)[] {
  if (ref === 'k8s://ns/cosign') {
    const data = kubernetes.secrets.get('ns/cosign')?.data ?? {}
    return ['cosign.password', 'cosign.key', 'cosign.pub'].map((name) =>
      data[name] === undefined ? undefined : Buffer.from(data[name], 'base64').toString(),
    )
  }
  const names = ['COSIGN_PASSWORD', 'COSIGN_PRIVATE_KEY', 'COSIGN_PUBLIC_KEY']
  if (ref === 'github://o/r') return names.map((name) => github.secrets.get(`repos/o/r ${name}`)?.value)
  return names.map((name) => gitlab.variables.get(`projects/g/p ${name}`)?.value)
}

describe.each(['k8s://ns/cosign', 'gitlab://g/p', 'github://o/r'])('putKeyPair to %s', (ref) => {
  it('puts the key pair there, and its public key into a file', async () => {
    const { store, written } = await putTo(ref)
    expect(store).toBe(ref)
    expect(written).toEqual(
      ref.startsWith('k8s')
        ? ['the Secret ns/cosign']
        : ['COSIGN_PASSWORD', 'COSIGN_PRIVATE_KEY', 'COSIGN_PUBLIC_KEY'],
    )
    const [password, privateKey, publicKey] = stored(ref)
    expect(password).toBe(PASSWORD)
    const opened = await decryptPrivateKey(encodeUtf8(privateKey ?? ''), encodeUtf8(PASSWORD))
    expect(opened.publicKey.fingerprint).toBe(key.publicKey.fingerprint)
    expect(publicKey).toBe(formatPublicKey(key.publicKey))
    expect(await readFile(publicKeyPath, 'utf8')).toBe(publicKey)
    expect((await stat(publicKeyPath)).mode & 0o777).toBe(0o644)
  })

  it('replaces what is there after a yes alone', async () => {
    await putTo(ref)
    const before = stored(ref)
    const error = await failureOf(putTo(ref))
    expect(error.code).toBe('ALREADY_EXISTS')
    expect(error.message).toMatch(/^There is already .* at \w+:\/\/.*, and the file ".*\/cosign\.pub"\.$/)
    expect(error.hint).toContain('--yes')
    expect(stored(ref)).toEqual(before)
    await putTo(ref, true)
    const after = stored(ref)
    expect(after[1]).not.toBe(before[1])
    expect([after[0], after[2]]).toEqual([before[0], before[2]])
  })

  it('leaves the file as it was when the store fails', async () => {
    const refuse = ({ method }: { method: string }) => (method === 'GET' ? undefined : { status: 403 })
    const old = ref === 'gitlab://g/p' ? undefined : 'old'
    if (old !== undefined) await writeFile(publicKeyPath, old)
    for (const server of [github, gitlab, kubernetes]) server.faults.push(refuse)
    expect((await failureOf(putTo(ref, true))).code).toBe('FORBIDDEN')
    expect(await readFile(publicKeyPath, 'utf8').catch(() => undefined)).toBe(old)
  })
})

describe('parseStoreReference', () => {
  it.each(['cosign.key', 'env://COSIGN_KEY', 'https://keys.example/cosign.pub'])(
    'says that %s is no place to put a key pair to',
    (ref) => {
      expect(() => parseStoreReference(ref)).toThrow(
        expect.objectContaining({
          code: 'USAGE',
          message: `"${ref}" is no place that a key pair can be put to.`,
        }),
      )
    },
  )
})

describe('putKeyPair', () => {
  it.each([
    ['github://o/r', 'GITHUB_TOKEN'],
    ['gitlab://g/p', 'GITLAB_TOKEN'],
  ])('to %s says so without %s', async (ref, variable) => {
    const task = { key, password: encodeUtf8(PASSWORD), yes: false, publicKeyPath }
    const error = await failureOf(putKeyPair(cli({ [variable]: undefined }), parseStoreReference(ref), task))
    expect([error.code, error.message]).toEqual(['INVALID_CONFIG', `${variable} is not set.`])
  })
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}
