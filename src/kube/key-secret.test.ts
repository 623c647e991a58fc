import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type FakeKubernetes,
  failure,
  type StoredSecret,
  startFakeKubernetes,
} from '../../test/fixtures/fake-kubernetes.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import type { ReadableKeyStore } from '../keys/index.ts'
import { HttpClient } from '../net/index.ts'
import { openKeySecret } from './key-secret.ts'
import { KubeClient } from './kube-client.ts'

const PAIR = {
  privateKey: encodeUtf8('-----BEGIN CANARY-----\n'),
  publicKey: encodeUtf8('-----BEGIN PUBLIC KEY-----\n'),
  password: encodeUtf8('CANARY pass'),
}
const base64 = (text: string): string => Buffer.from(text).toString('base64')
/** What cosign writes (pkg/cosign/kubernetes/secret.go). */
const DATA = {
  'cosign.key': base64('-----BEGIN CANARY-----\n'),
  'cosign.pub': base64('-----BEGIN PUBLIC KEY-----\n'),
  'cosign.password': base64('CANARY pass'),
}
const OLD = { 'cosign.key': base64('old CANARY'), 'cosign.pub': base64('old'), more: base64('kept') }

let kubernetes: FakeKubernetes
let client: KubeClient
const trace: string[] = []

async function start(gitVersion = 'v1.31.0'): Promise<void> {
  kubernetes = await startFakeKubernetes({ accounts: ['Bearer CANARY'], gitVersion })
  client = new KubeClient({
    http: new HttpClient({ trace: (line) => trace.push(line) }),
    server: new URL(`${kubernetes.url}/`),
    authorization: 'Bearer CANARY',
  })
}
async function stop(): Promise<void> {
  client.close()
  await kubernetes.close()
}
beforeEach(async () => await start())
afterEach(async () => {
  await stop()
  expect(trace.splice(0).join('\n')).not.toContain('CANARY')
})

function open(): ReadableKeyStore {
  return openKeySecret(client, { namespace: 'ns', name: 'cosign' })
}

function givenSecret(more: Partial<StoredSecret> = {}): StoredSecret {
  const secret = {
    metadata: {
      name: 'cosign',
      namespace: 'ns',
      uid: '6c0b9f2e-0000-4000-8000-000000000001',
      resourceVersion: '7',
      labels: { team: 'a' },
    },
    type: 'Opaque',
    data: OLD,
    ...more,
  }
  kubernetes.secrets.set('ns/cosign', secret)
  return secret
}

describe('openKeySecret', () => {
  it('keeps a key pair as cosign does, immutable', async () => {
    const store = open()
    expect(await store.existing()).toEqual([])
    expect(await store.put(PAIR, { replace: false })).toEqual(['the Secret ns/cosign'])
    expect(kubernetes.secrets.get('ns/cosign')).toMatchObject({ data: DATA, type: 'Opaque', immutable: true })
    expect(await store.existing()).toEqual(['the Secret ns/cosign'])
    expect(await store.readPublicKey()).toEqual(Buffer.from(PAIR.publicKey))
    expect(await store.readPrivateKey()).toEqual({
      privateKey: Buffer.from(PAIR.privateKey),
      password: Buffer.from(PAIR.password),
    })
  })

  it.each([
    ['v1.20.15', undefined],
    ['v1.21.0-eks-1', true],
    ['v1.21+', true],
    ['v2.0.0', true],
    ['v0.30.0', undefined],
  ])('in Kubernetes %s is immutable: %s', async (gitVersion, immutable) => {
    await stop()
    await start(gitVersion)
    await open().put(PAIR, { replace: false })
    expect(kubernetes.secrets.get('ns/cosign')?.immutable).toBe(immutable)
  })

  it('replaces nothing that it was not told to', async () => {
    const before = givenSecret()
    const error = await failureOf(open().put(PAIR, { replace: false }))
    expect(error.code).toBe('ALREADY_EXISTS')
    expect(error.message).toBe(`The cluster at ${client.host} has the Secret ns/cosign already.`)
    expect(kubernetes.secrets.get('ns/cosign')).toEqual(before)
  })

  it('updates a Secret that can be, and keeps what else is in it', async () => {
    givenSecret()
    await open().put(PAIR, { replace: true })
    expect(kubernetes.secrets.get('ns/cosign')).toMatchObject({
      metadata: { labels: { team: 'a' }, uid: '6c0b9f2e-0000-4000-8000-000000000001' },
      data: { ...DATA, more: OLD.more },
      immutable: true,
    })
  })

  it('exchanges an immutable Secret, and leaves no copy', async () => {
    givenSecret({ immutable: true })
    expect(await open().put(PAIR, { replace: true })).toEqual(['the Secret ns/cosign'])
    expect([...kubernetes.secrets.keys()]).toEqual(['ns/cosign'])
    expect(kubernetes.secrets.get('ns/cosign')).toMatchObject({
      metadata: { labels: { team: 'a' } },
      data: { ...DATA, more: OLD.more },
      immutable: true,
    })
    expect(kubernetes.log.map((line) => line.replace(/-replaced-[0-9a-f]{8}$/, '-replaced-X'))).toEqual([
      'GET /api/v1/namespaces/ns/secrets/cosign',
      'GET /version',
      'POST /api/v1/namespaces/ns/secrets',
      'DELETE /api/v1/namespaces/ns/secrets/cosign',
      'POST /api/v1/namespaces/ns/secrets',
      'GET /api/v1/namespaces/ns/secrets/cosign-replaced-X',
      'DELETE /api/v1/namespaces/ns/secrets/cosign-replaced-X',
    ])
  })

  it('puts the old one back if the new one is refused', async () => {
    givenSecret({ immutable: true })
    refuseCreation('cosign')
    const error = await failureOf(open().put(PAIR, { replace: true }))
    expect([error.code, error.message]).toEqual([
      'FORBIDDEN',
      `The cluster at ${client.host} refuses the Secret ns/cosign: "exceeded quota". The old key pair is there again.`,
    ])
    expect([...kubernetes.secrets.keys()]).toEqual(['ns/cosign'])
    expect(kubernetes.secrets.get('ns/cosign')).toMatchObject({
      metadata: { labels: { team: 'a' } },
      data: OLD,
      immutable: true,
    })
  })

  it('names the copy of the old one if that cannot be put back', async () => {
    givenSecret({ immutable: true })
    refuseCreation('cosign')
    refuseCreation('cosign')
    const error = await failureOf(open().put(PAIR, { replace: true }))
    const [copy = '', ...more] = kubernetes.secrets.keys()
    expect(more).toEqual([])
    expect(copy).toMatch(/^ns\/cosign-replaced-[0-9a-f]{8}$/)
    expect(error.message).toMatch(new RegExp(`The old key pair is in the Secret ${copy}\\.$`))
    expect(kubernetes.secrets.get(copy)?.data).toEqual(OLD)
  })

  it('deletes nothing that changed since it was read', async () => {
    givenSecret({ immutable: true })
    kubernetes.faults.push(({ method, path }) => {
      if (method === 'DELETE' && path.endsWith('/cosign')) {
        givenSecret({ immutable: true, metadata: { ...givenSecret().metadata, resourceVersion: '8' } })
      }
      return undefined
    })
    const error = await failureOf(open().put(PAIR, { replace: true }))
    expect(error.code).toBe('CONFLICT')
    expect([...kubernetes.secrets.keys()]).toEqual(['ns/cosign'])
    expect(kubernetes.secrets.get('ns/cosign')?.data).toEqual(OLD)
  })

  it.each([
    ['the copy', 'POST', /-replaced-/],
    ['the deletion', 'DELETE', /\/cosign$/],
  ])('loses nothing where %s is done and not answered', async (_, method, target) => {
    givenSecret({ immutable: true })
    const abort = new AbortController()
    kubernetes.faults.push((request) => {
      const name = (request.body as Partial<StoredSecret>)?.metadata?.name ?? request.path
      if (request.method === method && target.test(name)) abort.abort()
      return undefined
    })
    const error = await failureOf(open().put(PAIR, { replace: true, signal: abort.signal }))
    expect(error.code).toBe('ABORTED')
    expect([...kubernetes.secrets].map(([name, { data }]) => [name, data])).toEqual([['ns/cosign', OLD]])
  })

  it('keeps the copy where a deletion may come yet', async () => {
    givenSecret({ immutable: true })
    kubernetes.faults.push(({ method }) => (method === 'DELETE' ? { status: 504 } : undefined))
    const error = await failureOf(open().put(PAIR, { replace: true }))
    const [copy = ''] = [...kubernetes.secrets.keys()].filter((name) => name !== 'ns/cosign')
    expect(error.message).toMatch(new RegExp(`A copy of the old key pair is in the Secret ${copy}\\.$`))
    expect(kubernetes.secrets.get(copy)?.data).toEqual(OLD)
  })

  it('loses nothing where the new one is made and that is not answered', async () => {
    givenSecret({ immutable: true })
    const abort = new AbortController()
    kubernetes.faults.push(({ method, body }) => {
      if (method === 'POST' && (body as StoredSecret).metadata.name === 'cosign') abort.abort()
      return undefined
    })
    const error = await failureOf(open().put(PAIR, { replace: true, signal: abort.signal }))
    const [copy = ''] = [...kubernetes.secrets.keys()].filter((name) => name !== 'ns/cosign')
    expect(error.message).toMatch(new RegExp(`The old key pair is in the Secret ${copy}\\.$`))
    expect(kubernetes.secrets.get(copy)?.data).toEqual(OLD)
    expect(kubernetes.secrets.get('ns/cosign')?.data).toMatchObject(DATA)
  })

  it('fails where another was faster', async () => {
    kubernetes.faults.push(({ method }) => {
      if (method === 'POST') givenSecret()
      return undefined
    })
    expect((await failureOf(open().put(PAIR, { replace: false }))).code).toBe('ALREADY_EXISTS')
    expect(kubernetes.secrets.get('ns/cosign')?.data).toEqual(OLD)
  })

  it('takes no password for an empty one, as cosign does', async () => {
    givenSecret({ data: { 'cosign.key': base64('key') } })
    const { password } = await open().readPrivateKey()
    expect(password.byteLength).toBe(0)
  })

  it('quotes no secret that a cluster repeats', async () => {
    // As kube-apiserver does of JSON that it cannot read: some bytes of the request.
    const message = `unable to decode: error found in #10 byte of ...|y":"${DATA['cosign.key'].slice(8, 24)}|...`
    kubernetes.faults.push(({ method }) =>
      method === 'POST' ? failure(400, 'BadRequest', message) : undefined,
    )
    const error = await failureOf(open().put(PAIR, { replace: false }))
    expect(error.message).toBe(`The cluster at ${client.host} refuses the Secret ns/cosign: status 400.`)
  })

  it.each([
    ['no Secret', undefined, 'NOT_FOUND', /has no Secret "ns\/cosign"\.$/],
    ['no public key', { data: {} }, 'NOT_FOUND', /^There is no "cosign\.pub" in the Secret ns\/cosign\.$/],
    [
      'no base64',
      { data: { 'cosign.pub': '*CANARY*' } },
      'BAD_RESPONSE',
      /^"cosign\.pub" in .* is not base64\.$/,
    ],
    [
      'another Secret',
      { metadata: { name: 'x', namespace: 'ns', uid: 'u', resourceVersion: '1' } },
      'BAD_RESPONSE',
      /something else than the Secret ns\/cosign\.$/,
    ],
  ])('reads nothing where there is %s', async (_, more, code, message) => {
    if (more !== undefined) givenSecret(more)
    const error = await failureOf(open().readPublicKey())
    expect(error.code).toBe(code)
    expect(error.message).toMatch(message)
  })
})

/** The next Secret of that name is refused, in the words of a cluster whose quota is used up. */
function refuseCreation(name: string): void {
  kubernetes.faults.push(({ method, body }) =>
    method === 'POST' && (body as StoredSecret).metadata.name === name
      ? failure(403, 'Forbidden', 'exceeded quota')
      : undefined,
  )
}

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}
