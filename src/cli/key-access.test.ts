import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type FakeGitLab, startFakeGitLab } from '../../test/fixtures/fake-gitlab.ts'
import { type FakeKubernetes, startFakeKubernetes } from '../../test/fixtures/fake-kubernetes.ts'
import { type JsonServer, serveJson } from '../../test/fixtures/json-server.ts'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import {
  encryptPrivateKey,
  formatPublicKey,
  generateKeyPair,
  generateOpenPgpKey,
  verifySignature,
} from '../keys/index.ts'
import { issueCertificates } from '../net/index.ts'
import type { Cli } from './cli.ts'
import { readPublicKeys, readSigningKey } from './key-access.ts'

const PASSWORD = 'CANARY password'
const TOKEN = 'CANARY-token'

const key = await generateKeyPair()
const publicPem = formatPublicKey(key.publicKey)
const other = formatPublicKey((await generateKeyPair()).publicKey)
const privatePem = await encryptPrivateKey(key, encodeUtf8(PASSWORD))
const tls = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })

let dir: string
let files: Readonly<Record<'pub' | 'key' | 'ca' | 'kubeconfig', string>>
let kubernetes: FakeKubernetes
let gitlab: FakeGitLab
let web: JsonServer
let plain: JsonServer
const trace: string[] = []
const said: string[] = []

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'key-access-'))
  kubernetes = await startFakeKubernetes({ accounts: [`Bearer ${TOKEN}`], tls })
  gitlab = await startFakeGitLab({ token: TOKEN, places: ['projects/g/p'] })
  const pages = {
    '/cosign.pub': { status: 200, body: publicPem },
    '/cosign.pub?token=CANARY': { status: 200, body: 'CANARY' },
    '/away': { status: 302, headers: { location: '/cosign.pub' } },
    '/page': { status: 200, body: '<!doctype html><p>CANARY' },
    '/big': { status: 200, body: 'x'.repeat(2 * 1024 * 1024) },
    '/broken': { status: 500 },
  }
  const answer = ({ path }: { path: string }) => pages[path as keyof typeof pages] ?? { status: 404 }
  web = await serveJson(answer, tls)
  plain = await serveJson(answer)
  files = {
    pub: await write('cosign.pub', publicPem),
    key: await write('cosign.key', privatePem),
    ca: await write('ca.pem', tls.ca),
    kubeconfig: await write(
      'kubeconfig',
      JSON.stringify({
        'current-context': 'c',
        contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
        clusters: [{ name: 'k', cluster: { server: kubernetes.url, 'certificate-authority': 'ca.pem' } }],
        users: [{ name: 'u', user: { token: TOKEN } }],
      }),
    ),
  }
  const base64 = (text: string): string => Buffer.from(text).toString('base64')
  kubernetes.secrets.set('ns/cosign', {
    metadata: { name: 'cosign', namespace: 'ns', uid: 'u', resourceVersion: '1' },
    type: 'Opaque',
    data: {
      'cosign.key': base64(privatePem),
      'cosign.pub': base64(publicPem),
      'cosign.password': base64(PASSWORD),
    },
  })
  const values = { COSIGN_PASSWORD: PASSWORD, COSIGN_PRIVATE_KEY: privatePem, COSIGN_PUBLIC_KEY: publicPem }
  for (const [name, value] of Object.entries(values)) {
    const settings = {
      variable_type: 'env_var',
      protected: false,
      masked: false,
      raw: true,
      environment_scope: '*',
    }
    gitlab.variables.set(`projects/g/p ${name}`, { key: name, value, ...settings })
  }
})
afterAll(async () => {
  await Promise.all([kubernetes, gitlab, web, plain].map((server) => server.close()))
  await rm(dir, { recursive: true })
})
afterEach(() => {
  expect([...trace.splice(0), ...said.splice(0)].join('\n')).not.toContain('CANARY')
})

async function write(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(dir, name), content)
  return join(dir, name)
}

function cli(environment: Cli['environment'] = {}): Cli {
  return quietCli({
    environment: {
      KUBECONFIG: files.kubeconfig,
      GITLAB_HOST: gitlab.url,
      GITLAB_TOKEN: TOKEN,
      MY_KEY: publicPem,
      ...environment,
    },
    trace: (line) => trace.push(line),
    say: (line) => said.push(line),
  })
}

describe('readPublicKeys', () => {
  it('reads a key from every place, in order', async () => {
    const refs = [
      files.pub,
      'env://MY_KEY',
      `${web.url}/cosign.pub`,
      `${web.url}/away`,
      `${plain.url}/cosign.pub`,
      'k8s://ns/cosign',
      'gitlab://g/p',
    ]
    const keys = await readPublicKeys(cli(), refs, { ca: files.ca })
    expect(keys.map(({ name }) => name)).toEqual(refs)
    for (const found of keys) {
      expect(found.kind === 'cosign' && found.key.fingerprint).toBe(key.publicKey.fingerprint)
    }
  })

  it('knows an OpenPGP key by its content, armored or not', async () => {
    const made = await generateOpenPgpKey({ userId: 'Test <test@example.org>', password: new Uint8Array() })
    const armored = await write('any.name', made.publicKey)
    const body = made.publicKey.replace(/^-.*$|^=.*$|^\w+: .*$/gm, '').replace(/\s/g, '')
    const binary = await write('binary', Buffer.from(body, 'base64'))
    for (const found of await readPublicKeys(cli(), [armored, binary])) {
      expect(found).toMatchObject({ kind: 'openpgp', keys: [{ fingerprint: made.key.fingerprint }] })
    }
  })

  it('takes the first of several keys, and says so', async () => {
    const several = await write('several.pub', publicPem + other)
    const [found] = await readPublicKeys(cli(), [several])
    expect(found?.kind === 'cosign' && found.key.fingerprint).toBe(key.publicKey.fingerprint)
    expect(said.splice(0)).toEqual([
      `WARN The public key "${several}" holds 2 keys; the first alone counts, as for cosign. Give each in a file of its own.`,
    ])
  })

  it.each([
    [
      'a variable that is not set',
      'env://MISSING',
      'INVALID_CONFIG',
      'The environment has no variable "MISSING".',
    ],
    [
      'GitHub',
      'github://o/r',
      'UNSUPPORTED',
      'The key "github://o/r" cannot be read: GitHub gives no secret out.',
    ],
    [
      'plain HTTP of another machine',
      'http://192.0.2.1/cosign.pub?CANARY',
      'USAGE',
      'The key "http://192.0.2.1/cosign.pub" would come over plain HTTP: anyone could change it.',
    ],
    [
      'a Secret that is not there',
      'k8s://ns/none',
      'NOT_FOUND',
      /^The cluster at .* has no Secret "ns\/none"\.$/,
    ],
    ['a project that is not there', 'gitlab://g/none', 'NOT_FOUND', /^GitLab at .* has no project or group/],
    ['a scheme that is none', 'oci://a/b', 'USAGE', '"oci://a/b" does not say where a key is.'],
  ])('fails for %s', async (_, ref, code, message) => {
    const error = await failureOf(readPublicKeys(cli(), [ref]))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })

  it.each([
    ['/none', 'NOT_FOUND', 'status 404'],
    ['/broken', 'UNAVAILABLE', 'status 500'],
    ['/page', 'INVALID_KEY', 'it is a web page, not a PEM file'],
    ['/cosign.pub?token=CANARY', 'INVALID_KEY', '/cosign.pub" is not valid'],
    ['/big', 'TOO_LARGE', 'larger than the limit'],
  ])('fails for what the web has at %s', async (path, code, message) => {
    const error = await failureOf(readPublicKeys(cli(), [`${web.url}${path}`], { ca: files.ca }))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })

  it('follows plain HTTP nowhere else, and trusts no unknown server', async () => {
    expect((await failureOf(readPublicKeys(cli(), [`${plain.url}/away`]))).code).toBe('BAD_RESPONSE')
    expect((await failureOf(readPublicKeys(cli(), [`${web.url}/cosign.pub`]))).code).toBe('UNAVAILABLE')
  })

  it.each(['GITLAB_TOKEN'])('says so without %s', async (variable) => {
    const error = await failureOf(readPublicKeys(cli({ [variable]: undefined }), ['gitlab://g/p']))
    expect([error.code, error.message]).toEqual(['INVALID_CONFIG', `${variable} is not set.`])
  })

  it('reads nothing from elsewhere when it is to stay offline', async () => {
    expect(await readPublicKeys(cli(), [files.pub, 'env://MY_KEY'], { offline: true })).toHaveLength(2)
    for (const ref of [`${web.url}/cosign.pub`, 'k8s://ns/cosign', 'gitlab://g/p', 'github://o/r']) {
      const error = await failureOf(readPublicKeys(cli(), [ref], { offline: true }))
      expect([error.code, error.message]).toEqual([
        'USAGE',
        `The key "${ref}" is not on this machine, and --offline was given.`,
      ])
    }
    expect(trace).toEqual([])
  })
})

describe('readSigningKey', () => {
  const message = encodeUtf8('message')

  it('opens the key of every place, with the password of stores', async () => {
    const env = { COSIGN_PASSWORD: PASSWORD, MY_PRIVATE_KEY: privatePem }
    for (const ref of [files.key, 'env://MY_PRIVATE_KEY']) {
      const opened = await readSigningKey(cli(env), ref)
      if (opened.kind !== 'cosign') throw new Error('not a key of cosign')
      expect(verifySignature(key.publicKey, message, (await opened.key).sign(message))).toBe(true)
    }
    for (const ref of ['k8s://ns/cosign', 'gitlab://g/p']) {
      const opened = await readSigningKey(cli({ COSIGN_PASSWORD: 'another' }), ref)
      if (opened.kind !== 'cosign') throw new Error('not a key of cosign')
      expect(verifySignature(key.publicKey, message, (await opened.key).sign(message))).toBe(true)
    }
  })

  it('opens an OpenPGP key, and asks for no password that it does not have', async () => {
    for (const password of ['', PASSWORD]) {
      const made = await generateOpenPgpKey({ userId: 'Test', password: encodeUtf8(password) })
      const ref = await write(`secret${password.length}.asc`, made.secretKey)
      const opened = await readSigningKey(cli(password === '' ? {} : { COSIGN_PASSWORD: password }), ref)
      if (opened.kind !== 'openpgp') throw new Error('not an OpenPGP key')
      expect((await opened.signer).key.fingerprint).toBe(made.key.fingerprint)
      if (password !== '') expect((await failureOf(readSigningKey(cli(), ref))).code).toBe('INVALID_PASSWORD')
    }
  })

  it('asks for no password before there is a key', async () => {
    expect((await failureOf(readSigningKey(cli(), join(dir, 'none.key')))).code).toBe('FILE')
    expect((await failureOf(readSigningKey(cli(), files.key))).code).toBe('INVALID_PASSWORD')
  })

  it('fails where the key is waited for, if the password is wrong', async () => {
    const opened = await readSigningKey(cli({ COSIGN_PASSWORD: 'CANARY wrong' }), files.key)
    expect(opened.kind === 'cosign' && (await failureOf(opened.key)).code).toBe('INVALID_PASSWORD')
  })

  it.each([
    ['github://o/r', 'UNSUPPORTED', 'The key "github://o/r" cannot be read: GitHub gives no secret out.'],
    ['https://keys.example/cosign.key', 'USAGE', /^A private key is not read from the web/],
    ['awskms:///key', 'UNSUPPORTED', /^The key "awskms:\/\/\/key" is in the KMS of AWS/],
  ])('does not sign with %s', async (ref, code, text) => {
    const error = await failureOf(readSigningKey(cli(), ref))
    expect(error.code).toBe(code)
    expect(error.message).toMatch(text)
  })
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}
