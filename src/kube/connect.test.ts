import { X509Certificate } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type FakeKubernetes, startFakeKubernetes } from '../../test/fixtures/fake-kubernetes.ts'
import { CosignetError } from '../core/index.ts'
import { issueCertificates } from '../net/index.ts'
import { type ConnectOptions, connectToCluster } from './connect.ts'

const TOKEN = 'CANARY.token'
const VERSION = { method: 'GET', path: 'version', what: 'its version' } as const

const server = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
const person = await issueCertificates({ hosts: ['person'], now: new Date() })

let dir: string
let kubernetes: FakeKubernetes
let said: string[]
const trace: string[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'connect-'))
  const accounts = [
    `Bearer ${TOKEN}`,
    `Basic ${Buffer.from('user:CANARY').toString('base64')}`,
    new X509Certificate(person.cert).fingerprint256,
  ]
  kubernetes = await startFakeKubernetes({ accounts, tls: server })
})
afterAll(async () => {
  await kubernetes.close()
  await rm(dir, { recursive: true })
})
beforeEach(() => {
  said = []
})
afterEach(() => {
  expect([...trace.splice(0), ...said].join('\n')).not.toContain('CANARY')
})

interface Cluster {
  readonly [field: string]: unknown
}

/** Writes a kubeconfig of one context. */
async function kubeconfig(user: unknown, cluster: Cluster = {}, more: object = {}): Promise<string> {
  const path = join(dir, 'config')
  const ca = { 'certificate-authority-data': Buffer.from(server.ca).toString('base64') }
  const config = {
    'current-context': 'c',
    contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
    clusters: [{ name: 'k', cluster: { server: kubernetes.url, ...ca, ...cluster } }],
    users: [{ name: 'u', user }],
    ...more,
  }
  await writeFile(path, JSON.stringify(config))
  return path
}

async function version(KUBECONFIG: string | undefined, more: Partial<ConnectOptions> = {}): Promise<unknown> {
  const client = await connectToCluster({
    environment: KUBECONFIG === undefined ? {} : { KUBECONFIG },
    home: dir,
    http: { trace: (line) => trace.push(line) },
    warn: (message) => said.push(message),
    ...more,
  })
  try {
    return (await client.call(VERSION))['gitVersion']
  } finally {
    client.close()
  }
}

describe('connectToCluster', () => {
  it('shows a token, from the kubeconfig or a file', async () => {
    expect(await version(await kubeconfig({ token: TOKEN }))).toBe('v1.31.0')
    await writeFile(join(dir, 'token'), `${TOKEN}\n`)
    expect(await version(await kubeconfig({ token: 'old', tokenFile: 'token' }))).toBe('v1.31.0')
    expect(await version(await kubeconfig({ token: TOKEN, tokenFile: 'missing' }))).toBe('v1.31.0')
  })

  it('shows a client certificate, from the kubeconfig or files', async () => {
    const base64 = (text: string): string => Buffer.from(text).toString('base64')
    const inside = {
      'client-certificate-data': base64(person.cert),
      'client-key-data': base64(person.key),
    }
    expect(await version(await kubeconfig(inside))).toBe('v1.31.0')
    await writeFile(join(dir, 'person.crt'), person.cert)
    await writeFile(join(dir, 'person.key'), person.key)
    const files = { 'client-certificate': 'person.crt', 'client-key': 'person.key' }
    expect(await version(await kubeconfig(files))).toBe('v1.31.0')
  })

  it('shows a user and password', async () => {
    expect(await version(await kubeconfig({ username: 'user', password: 'CANARY' }))).toBe('v1.31.0')
  })

  it('shows what a program prints', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1'
    const credential = (status: object): string =>
      JSON.stringify({ apiVersion, kind: 'ExecCredential', status })
    for (const status of [
      { token: TOKEN },
      { clientCertificateData: person.cert, clientKeyData: person.key },
    ]) {
      const exec = {
        apiVersion,
        command: process.execPath,
        args: ['-e', `process.stdout.write(${JSON.stringify(credential(status))})`],
        interactiveMode: 'Never',
      }
      expect(await version(await kubeconfig({ exec }))).toBe('v1.31.0')
    }
  })

  it('takes the account of the Pod that it runs in, where there is no kubeconfig', async () => {
    const serviceAccount = join(dir, 'account')
    await mkdir(serviceAccount, { recursive: true })
    await writeFile(join(serviceAccount, 'token'), TOKEN)
    await writeFile(join(serviceAccount, 'ca.crt'), server.ca)
    const environment = {
      KUBERNETES_SERVICE_HOST: '127.0.0.1',
      KUBERNETES_SERVICE_PORT: new URL(kubernetes.url).port,
    }
    expect(await version(undefined, { environment, serviceAccount })).toBe('v1.31.0')
    const KUBECONFIG = await kubeconfig({}, {}, { 'current-context': '' })
    const withEmpty = { environment: { ...environment, KUBECONFIG }, serviceAccount }
    expect(await version(undefined, withEmpty)).toBe('v1.31.0')
  })

  it('says so when nothing shows that a server is the cluster', async () => {
    const cluster = { 'insecure-skip-tls-verify': true, 'certificate-authority-data': '' }
    expect(await version(await kubeconfig({ token: TOKEN }, cluster))).toBe('v1.31.0')
    const { host } = new URL(kubernetes.url)
    expect(said).toEqual([
      `WARN The kubeconfig says insecure-skip-tls-verify: nothing shows that ${host} is the cluster.`,
    ])
  })

  it('trusts no server that another authority vouches for', async () => {
    const cluster = { 'certificate-authority-data': Buffer.from(person.ca).toString('base64') }
    const error = await failureOf(version(await kubeconfig({ token: TOKEN }, cluster)))
    expect(error.code).toBe('UNAVAILABLE')
    expect(error.message).toContain('is not signed by an authority that is trusted here')
  })

  it.each([
    ['no current context', {}, { 'current-context': '' }, 'The kubeconfig names no current context.'],
    [
      'a context that is not there',
      {},
      { 'current-context': 'x' },
      'The kubeconfig has the current context "x" and not a context of that name.',
    ],
    [
      'a cluster that is not there',
      {},
      { clusters: [] },
      'The kubeconfig has the current context "c" and not its cluster "k".',
    ],
    [
      'a user that is not there',
      {},
      { users: [] },
      'The kubeconfig has the current context "c" and not its user "u".',
    ],
    [
      'two ways to log in',
      { token: 'CANARY', username: 'u' },
      {},
      'The user of the kubeconfig has more than one way to log in.',
    ],
    [
      'half a certificate',
      { 'client-key-data': 'Q0FOQVJZ' },
      {},
      'The user of the kubeconfig has a client certificate or its key alone.',
    ],
    [
      'a certificate that is none',
      { 'client-certificate-data': 'Q0FOQVJZ', 'client-key-data': 'Q0FOQVJZ' },
      {},
      /^The client certificate and its key cannot be used/,
    ],
  ])('refuses a kubeconfig with %s', async (_, user, more, message) => {
    const error = await failureOf(version(await kubeconfig(user, {}, more)))
    expect(error.code).toBe('INVALID_CONFIG')
    expect(error.message).toMatch(message)
  })

  it.each([
    ['INVALID_CONFIG', { server: '' }, 'The kubeconfig has a cluster whose server is not an HTTP URL.'],
    [
      'INVALID_CONFIG',
      { server: 'https://u:CANARY@k' },
      'The kubeconfig has a cluster whose server is not an HTTP URL.',
    ],
    [
      'INVALID_CONFIG',
      { server: 'http://192.0.2.1' },
      /^The cluster at 192\.0\.2\.1 is not spoken to over plain/,
    ],
    [
      'UNSUPPORTED',
      { 'tls-server-name': 'k' },
      'The kubeconfig says tls-server-name, which is not supported.',
    ],
    [
      'UNSUPPORTED',
      { 'proxy-url': 'socks5://u:CANARY@p' },
      'The kubeconfig has a proxy-url of the kind "socks5:"; only http and https proxies are supported.',
    ],
  ])('refuses with %s the cluster %j', async (code, cluster, message) => {
    const error = await failureOf(version(await kubeconfig({ token: 'CANARY' }, cluster)))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })

  it.each(['as', 'auth-provider', 'as-groups'])('says that %s is not supported', async (field) => {
    const error = await failureOf(version(await kubeconfig({ token: 'CANARY', [field]: 'x' })))
    expect([error.code, error.message]).toEqual([
      'UNSUPPORTED',
      `The user of the kubeconfig has ${field}, which is not supported.`,
    ])
  })

  it('says where to find a cluster when there is none', async () => {
    const error = await failureOf(version(undefined))
    expect([error.code, error.message]).toEqual([
      'INVALID_CONFIG',
      'There is no kubeconfig, and this is no Pod of a cluster.',
    ])
  })
})

describe('KubeClient', () => {
  it.each([
    [401, 'UNAUTHORIZED'],
    [403, 'FORBIDDEN'],
    [404, 'NOT_FOUND'],
    [409, 'CONFLICT'],
    [422, 'INVALID_REQUEST'],
    [429, 'UNAVAILABLE'],
    [500, 'UNAVAILABLE'],
    [418, 'BAD_RESPONSE'],
  ])('says with status %i why a cluster refuses', async (status, code) => {
    kubernetes.faults.push(() => ({ status, body: { kind: 'Status', message: 'Because\nit is so.' } }))
    const error = await failureOf(version(await kubeconfig({ token: TOKEN })))
    const { host } = new URL(kubernetes.url)
    expect([error.code, error.message]).toEqual([
      code,
      `The cluster at ${host} refuses its version: "Because\\nit is so.".`,
    ])
  })

  it('quotes no token that a cluster repeats', async () => {
    const message = `cannot read "Authorization: Bearer ${TOKEN}"`
    kubernetes.faults.push(() => ({ status: 400, body: { kind: 'Status', message } }))
    const error = await failureOf(version(await kubeconfig({ token: TOKEN })))
    expect(error.message).toMatch(/refuses its version: status 400\.$/)
  })

  it.each([
    ['a page', { status: 502, body: '<html>CANARY</html>' }, 'UNAVAILABLE', 'status 502'],
    ['an error without end', { status: 500, body: `"${'x'.repeat(20_000)}"` }, 'UNAVAILABLE', 'status 500'],
    ['a list', { status: 200, body: [] }, 'BAD_RESPONSE', 'answered with no object'],
    ['no JSON', { status: 200, body: 'CANARY' }, 'INVALID_JSON', 'is not JSON'],
    ['a redirect', { status: 302, headers: { location: 'https://192.0.2.1/' } }, 'BAD_RESPONSE', 'redirects'],
  ])('fails for %s', async (_, answer, code, message) => {
    kubernetes.faults.push(() => answer)
    const error = await failureOf(version(await kubeconfig({ token: TOKEN })))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}
