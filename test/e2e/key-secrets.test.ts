import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type FakeGitLab, startFakeGitLab } from '../fixtures/fake-gitlab.ts'
import { Sandbox } from '../interop/sandbox.ts'
import { type CommandOptions, cosignet, startRegistry } from './cosignet.ts'

/** What the tests plant, by what it is; none of it may be printed. */
const SECRETS = {
  password: 'canary-of-the-password',
  file: 'canary-of-the-password-file',
  gpg: 'canary-of-the-passphrase',
  exported: 'canary-of-the-export',
  wrong: 'canary-that-is-wrong',
  gitlab: 'canary-of-gitlab',
  github: 'canary-of-github',
  kubernetes: 'canary-of-kubernetes',
  url: 'canary-of-the-url',
} as const

let sandbox: Sandbox
let registry: string
let gitlab: FakeGitLab
/** Answers every request with all that it was sent. */
let echo: Server

beforeAll(async () => {
  sandbox = await Sandbox.create()
  registry = await startRegistry(sandbox)
  gitlab = await startFakeGitLab({ token: SECRETS.gitlab, places: ['projects/team/app'] })
  echo = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const said = [request.url, JSON.stringify(request.headers), Buffer.concat(chunks).toString()].join(' ')
      response.writeHead(400, { 'content-type': 'application/json' })
      response.end(
        JSON.stringify({ message: said, error: said, errors: [{ code: 'DENIED', message: said }] }),
      )
    })
  })
  await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
  const passwords = { pw: SECRETS.file, gpg: SECRETS.gpg, out: SECRETS.exported, bad: SECRETS.wrong }
  for (const [name, text] of Object.entries(passwords)) await sandbox.write(name, `${text}\n`)
  await sandbox.write('app/hello', 'hello\n')
  const cluster = { name: 'c', cluster: { server: echoUrl() } }
  const user = { name: 'u', user: { token: SECRETS.kubernetes } }
  const context = { name: 'x', context: { cluster: 'c', user: 'u' } }
  const kubeconfig = { clusters: [cluster], users: [user], contexts: [context], 'current-context': 'x' }
  await sandbox.write('kubeconfig', JSON.stringify({ apiVersion: 'v1', kind: 'Config', ...kubeconfig }))
})
afterAll(async () => {
  echo.closeAllConnections()
  echo.close()
  await gitlab.close()
  await sandbox.dispose()
})

function echoUrl(): string {
  return `http://127.0.0.1:${(echo.address() as AddressInfo).port}`
}

describe.each(['text', 'json'])('secrets of keys, with --debug -o %s', (format) => {
  const image = (): string => `${registry}/demo/app:${format}`
  const prefix = `key-${format}`
  const key = `${prefix}.key`
  const gpg = `${prefix}.gpg`
  const byFile = '--password-file pw'
  const onGitLab = (): CommandOptions => ({
    env: { GITLAB_HOST: gitlab.url, GITLAB_TOKEN: SECRETS.gitlab },
  })
  const atEcho = (): CommandOptions => ({
    env: {
      GITLAB_HOST: echoUrl(),
      GITLAB_TOKEN: SECRETS.gitlab,
      GITHUB_HOST: echoUrl(),
      GITHUB_TOKEN: SECRETS.github,
      KUBECONFIG: sandbox.path('kubeconfig'),
    },
  })

  /** What is run in this order, the exit status, and what is set for it. */
  const LINES: readonly (readonly [line: () => string, status: number, more?: () => CommandOptions])[] = [
    [() => `image push app ${image()}`, 0],
    [() => `key generate --output-key-prefix ${prefix} ${byFile}`, 0],
    [() => `key generate --type gpg --user-id me --output-key-prefix ${prefix} --password-file gpg`, 0],
    [() => `key public ${key} ${byFile}`, 0],
    [() => `key inspect ${key} ${byFile}`, 0],
    [() => `key inspect ${gpg}.key --password-file gpg`, 0],
    [() => `key export ${key} ${byFile} --export-password-file out --out ${prefix}.pem`, 0],
    [
      () => `key import ${prefix}.pem --import-password-file out ${byFile} --output-key-prefix ${prefix}-2`,
      0,
    ],
    [
      () => `key import ${prefix}.pem --import-password-file bad ${byFile} --output-key-prefix ${prefix}-3`,
      2,
    ],
    [() => `key public ${key} --password-file bad`, 2],
    [() => `key export ${key}`, 2],
    [() => `sign --key ${key} ${byFile} --format both ${image()}`, 0],
    [() => `sign --key ${key} --password-file bad ${image()}`, 2],
    [() => `sign --key ${gpg}.key --password-file gpg ${image()}`, 0],
    [() => `sign --key ${gpg}.key --password-file bad ${image()}`, 2],
    [() => `sign --key ${gpg}.key ${image()}`, 2],
    [() => `verify --key ${prefix}.pub --key ${gpg}.pub --require 2 ${image()}`, 0],
    [() => `verify --key ${prefix}-2.pub ${image()}`, 0],
    // A private key where a public one belongs.
    [() => `verify --key ${key} ${image()}`, 2],
    [() => `verify --key ${gpg}.key ${image()}`, 2],
    [() => `signatures --key ${gpg}.key ${image()}`, 2],
    [() => `verify --key ${prefix}.pem ${image()}`, 2],
    [() => `verify --rekor-public-key ${key} --key ${prefix}.pub ${image()}`, 2],
    [() => `key import ${prefix}.pub ${byFile} --output-key-prefix ${prefix}-4`, 2],
    // Passwords in place of keys.
    [() => `sign --key pw ${image()}`, 2],
    [() => `verify --key pw ${image()}`, 2],
    [() => 'key inspect pw', 2],
    [() => 'verify --key env://KEY demo/app', 2, () => ({ env: { KEY: SECRETS.wrong } })],
    [() => `sign --key env://KEY ${image()}`, 2, () => ({ env: { KEY: SECRETS.wrong } })],
    [
      () =>
        `image copy -q --sign-by-sigstore-private-key ${key} --sign-passphrase-file pw docker://${image()} docker://${image()}-b`,
      0,
    ],
    [
      () =>
        `image copy -q --sign-by-sigstore-private-key ${key} --sign-passphrase-file bad docker://${image()} docker://${image()}-c`,
      2,
    ],
    // Keys elsewhere.
    [() => 'key generate --yes gitlab://team/app', 0, onGitLab],
    [() => `sign --key gitlab://team/app ${image()}-b`, 0, onGitLab],
    [() => `verify --key gitlab://team/app ${image()}-b`, 0, onGitLab],
    [() => 'key generate gitlab://team/missing', 3, onGitLab],
    [() => 'key generate gitlab://team/app', 2, atEcho],
    [() => `sign --key gitlab://team/app ${image()}`, 2, atEcho],
    [() => 'key generate github://team/app', 2, atEcho],
    [() => 'key generate k8s://team/app', 2, atEcho],
    [() => `sign --key k8s://team/app ${image()}`, 2, atEcho],
    [() => `verify --key https://me:${SECRETS.url}@127.0.0.1:9/cosign.pub ${image()}`, 2],
    ...[
      `me:${SECRETS.url}@127.0.0.1:9`,
      `:${SECRETS.url}@127.0.0.1:9`,
      `me@127.0.0.1:9/?${SECRETS.url}`,
    ].flatMap((at) =>
      ['http://', 'http:', ''].map((scheme): (typeof LINES)[number] => [
        () => `sign --rekor-url ${scheme}${at} --key ${key} ${byFile} ${image()}`,
        2,
      ]),
    ),
    [() => `verify --key https://127.0.0.1:9/cosign.pub?token=${SECRETS.url} ${image()}`, 3],
  ]

  it.each(LINES.map((row, i) => [i, ...row] as const))(
    'are not printed: %i',
    async (_i, line, status, more) => {
      const args = [...line().split(' '), '--debug', '-o', format]
      const outcome = await cosignet(sandbox, args, { password: SECRETS.password, ...more?.() })
      expect(`${line()} ${outcome.status} ${outcome.stderr}`).toContain(`${line()} ${status} `)
      await expectNoSecretIn(outcome.stdout + outcome.stderr)
    },
  )

  async function expectNoSecretIn(text: string): Promise<void> {
    const planted = Object.values(SECRETS).flatMap((secret) => [
      secret,
      base64(secret),
      base64(`me:${secret}`),
    ])
    for (const secret of planted) expect(text).not.toContain(secret)
    for (const file of [key, `${gpg}.key`, `${prefix}.pem`]) {
      const lines = await sandbox.read(file).catch(() => '')
      // Any whole line of the body of a private key.
      const body = lines.split('\n').filter((one) => /^[A-Za-z0-9+/=]{60,}$/.test(one))
      for (const one of body) expect(text).not.toContain(one)
    }
    expect(text).not.toMatch(/PRIVATE KEY(?: BLOCK)?-----/)
  }
})

function base64(text: string): string {
  return Buffer.from(text).toString('base64').replace(/=+$/, '')
}
