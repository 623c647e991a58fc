import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { parseKubeConfig } from './kubeconfig.ts'
import { readKubeConfig } from './read-kubeconfig.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'kubeconfig-'))
})
afterAll(() => rm(dir, { recursive: true }))

const data = (text: string): string => Buffer.from(text).toString('base64')

describe('parseKubeConfig', () => {
  it('reads clusters, users and contexts; paths are relative to its folder', async () => {
    const config = await parseKubeConfig(
      `apiVersion: v1
kind: Config
current-context: dev
preferences: {}
clusters:
- name: one
  cluster:
    server: https://192.0.2.1:6443
    certificate-authority: ca.crt
    extensions: []
- name: two
  cluster:
    server: https://two.example/k8s
    certificate-authority-data: ${data('PEM')}
    certificate-authority: ignored.crt
    insecure-skip-tls-verify: true
    tls-server-name: kubernetes
    proxy-url: http://proxy.example:3128
users:
- name: cert
  user: { client-certificate: /abs/c.crt, client-key-data: ${data('KEY')} }
- name: token
  user: { token: abc, tokenFile: sub/token }
- name: exec
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: ./bin/login
      args: [--cluster, two]
      env: [{ name: A, value: B }]
      provideClusterInfo: true
      interactiveMode: Never
      installHint: Install it.
- name: odd
  user: { as: root, auth-provider: { name: oidc }, username: u, password: p }
contexts:
- { name: dev, context: { cluster: one, user: cert, namespace: x } }
`,
      '/home/me/.kube/config',
    )
    expect(config.currentContext).toBe('dev')
    expect(Object.fromEntries(config.clusters)).toEqual({
      one: {
        server: 'https://192.0.2.1:6443',
        certificateAuthority: { path: '/home/me/.kube/ca.crt' },
        insecureSkipTlsVerify: false,
      },
      two: {
        server: 'https://two.example/k8s',
        certificateAuthority: { data: 'PEM' },
        insecureSkipTlsVerify: true,
        tlsServerName: 'kubernetes',
        proxyUrl: 'http://proxy.example:3128',
      },
    })
    expect(Object.fromEntries(config.users)).toEqual({
      cert: { clientCertificate: { path: '/abs/c.crt' }, clientKey: { data: 'KEY' }, unsupported: [] },
      token: { token: 'abc', tokenFile: '/home/me/.kube/sub/token', unsupported: [] },
      exec: {
        exec: {
          apiVersion: 'client.authentication.k8s.io/v1',
          command: '/home/me/.kube/bin/login',
          args: ['--cluster', 'two'],
          env: { A: 'B' },
          provideClusterInfo: true,
          interactiveMode: 'Never',
          installHint: 'Install it.',
        },
        unsupported: [],
      },
      odd: { username: 'u', password: 'p', unsupported: ['auth-provider', 'as'] },
    })
    expect(Object.fromEntries(config.contexts)).toEqual({ dev: { cluster: 'one', user: 'cert' } })
  })

  it('reads JSON', async () => {
    const config = await parseKubeConfig(
      '{"clusters":[{"name":"a","cluster":{"server":"https://a"}}],"users":null,"contexts":[]}',
      'config',
    )
    expect([...config.clusters.keys()]).toEqual(['a'])
  })

  it.each([
    ['no YAML', 'users: [CANARY', 'INVALID_YAML', 'is not YAML: line 1, column 15.'],
    ['a tab', 'users:\n\t- CANARY: 1', 'INVALID_YAML', 'is not YAML: line 2, column 1.'],
    ['a list', '- CANARY', 'INVALID_CONFIG', 'it has something else where a mapping belongs.'],
    ['text', 'CANARY', 'INVALID_CONFIG', 'it has something else where a mapping belongs.'],
    ['a list that is none', 'users: CANARY', 'INVALID_CONFIG', 'it has no list as users.'],
    [
      'a user that is none',
      'users: [CANARY]',
      'INVALID_CONFIG',
      'it has something else where a mapping belongs.',
    ],
    [
      'a token that is a number',
      'users: [{name: a, user: {token: 12345}}]',
      'INVALID_CONFIG',
      'it has no text as token.',
    ],
    [
      'base64 that is none',
      'users: [{name: a, user: {client-key-data: "CANARY*"}}]',
      'INVALID_CONFIG',
      'it has no base64 as client-key-data.',
    ],
    [
      'a switch that is text',
      'clusters: [{name: a, cluster: {insecure-skip-tls-verify: "yes"}}]',
      'INVALID_CONFIG',
      'it has no true or false as insecure-skip-tls-verify.',
    ],
    [
      'a name twice',
      'clusters: [{name: a, cluster: {}}, {name: a, cluster: {}}]',
      'INVALID_CONFIG',
      'it has the cluster "a" twice.',
    ],
    [
      'a key twice',
      'current-context: a\ncurrent-context: CANARY',
      'INVALID_YAML',
      'is not YAML: line 2, column 1.',
    ],
    [
      'aliases that grow',
      `a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nusers: [*c,*c,*c,*c,*c]`,
      'INVALID_YAML',
      'is not YAML.',
    ],
    ['deep nesting', `users: ${'['.repeat(20_000)}`, 'INVALID_YAML', 'is not YAML'],
    [
      'args that are no list of texts',
      'users: [{name: a, user: {exec: {args: [1]}}}]',
      'INVALID_CONFIG',
      'it has no list of texts as args.',
    ],
  ])('refuses %s', async (_, text, code, message) => {
    const error = await failureOf(parseKubeConfig(text, 'config'))
    expect(error.code).toBe(code)
    expect(error.message).toContain(message)
  })
})

describe('parseKubeConfig of anything', () => {
  it('is a configuration or a CosignetError', async () => {
    const key = fc.constantFrom(
      'users',
      'clusters',
      'contexts',
      'name',
      'user',
      'cluster',
      'exec',
      'args',
      'token',
    )
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { depthSize: 'small' },
        fc.constantFrom(null, '', 'a', 0, true),
        fc.array(tie('value'), { maxLength: 3 }),
        fc.dictionary(key, tie('value'), { maxKeys: 4 }),
      ),
    }))
    await fc.assert(
      fc.asyncProperty(value, async (document) => {
        const error = await parseKubeConfig(JSON.stringify(document), 'config').then(
          () => undefined,
          (reason: unknown) => reason,
        )
        if (error !== undefined) expect(error).toBeInstanceOf(CosignetError)
      }),
    )
  })
})

describe('readKubeConfig', () => {
  it('takes of each name what the first file of KUBECONFIG says, whole, and skips files that are not there', async () => {
    const first = join(dir, 'first')
    const second = join(dir, 'second')
    await writeFile(first, 'users: [{name: red, user: {token: first}}]\n')
    await writeFile(
      second,
      'current-context: second\nusers: [{name: red, user: {token: second, username: x}}, {name: blue, user: {token: b}}]\n',
    )
    const environment = { KUBECONFIG: `${join(dir, 'missing')}::${first}:${second}` }
    const config = await readKubeConfig({ environment, home: dir })
    expect(config?.currentContext).toBe('second')
    expect(config?.users.get('red')).toEqual({ token: 'first', unsupported: [] })
    expect(config?.users.get('blue')).toEqual({ token: 'b', unsupported: [] })
  })

  it('takes ~/.kube/config without KUBECONFIG', async () => {
    const home = join(dir, 'home')
    await mkdir(join(home, '.kube'), { recursive: true })
    await writeFile(join(home, '.kube', 'config'), 'current-context: mine\n')
    expect((await readKubeConfig({ environment: {}, home }))?.currentContext).toBe('mine')
  })

  it('finds nothing where there is nothing', async () => {
    await writeFile(join(dir, 'empty'), '\n')
    const environment = { KUBECONFIG: join(dir, 'empty') }
    expect(await readKubeConfig({ environment, home: dir })).toBeUndefined()
    expect(await readKubeConfig({ environment: {}, home: join(dir, 'nobody') })).toBeUndefined()
  })

  it('fails for a file that it may not read, and for one without end', async () => {
    const error = await failureOf(readKubeConfig({ environment: { KUBECONFIG: dir }, home: dir }))
    expect(error.code).toBe('FILE')
    const endless = await failureOf(readKubeConfig({ environment: { KUBECONFIG: '/dev/zero' }, home: dir }))
    expect(endless.code).toBe('TOO_LARGE')
  })
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint, error.stack])).not.toContain('CANARY')
  return error
}
