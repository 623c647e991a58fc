import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { type RunExecOptions, runExecCredential } from './exec-credential.ts'
import type { ExecEntry } from './kubeconfig.ts'

const V1 = 'client.authentication.k8s.io/v1'
const cluster = { server: 'https://192.0.2.1:6443', insecureSkipTlsVerify: false }

/** A program in JavaScript. */
function program(script: string, more: Partial<ExecEntry> = {}): ExecEntry {
  return {
    apiVersion: V1,
    command: process.execPath,
    args: ['-e', script],
    env: {},
    provideClusterInfo: false,
    interactiveMode: 'IfAvailable',
    ...more,
  }
}

function run(entry: ExecEntry, more: Partial<RunExecOptions> = {}): ReturnType<typeof runExecCredential> {
  return runExecCredential(entry, { environment: {}, cluster, ...more })
}

const prints = (text: string): string => `process.stdout.write(${JSON.stringify(text)})`
const credential = (status: unknown, apiVersion = V1): string =>
  prints(JSON.stringify({ apiVersion, kind: 'ExecCredential', status }))

describe('runExecCredential', () => {
  it('takes the token that the program prints', async () => {
    expect(
      await run(program(credential({ token: 't', expirationTimestamp: '2030-01-01T00:00:00Z' }))),
    ).toEqual({
      token: 't',
    })
  })

  it('takes a client certificate, from a program of v1beta1', async () => {
    const apiVersion = 'client.authentication.k8s.io/v1beta1'
    const script = credential({ clientCertificateData: 'C', clientKeyData: 'K' }, apiVersion)
    expect(await run(program(script, { apiVersion }))).toEqual({ clientCertificate: { cert: 'C', key: 'K' } })
  })

  it('passes arguments as they are, its environment, and what the program is to know', async () => {
    const script = `
      const info = JSON.parse(process.env.KUBERNETES_EXEC_INFO)
      const token = JSON.stringify({ args: process.argv.slice(1), env: [process.env.A, process.env.B], info })
      ${credential({ token: 'TOKEN' }).replace('\\"TOKEN\\"', '" + JSON.stringify(token) + "')}`
    const entry = program(script, { env: { A: 'a' }, provideClusterInfo: true })
    const { token = '' } = await run(
      { ...entry, args: [...entry.args, '$(id); `id` "x"'] },
      { environment: { A: 'x', B: 'b' }, ca: 'PEM' },
    )
    expect(JSON.parse(token)).toEqual({
      args: ['$(id); `id` "x"'],
      env: ['a', 'b'],
      info: {
        kind: 'ExecCredential',
        apiVersion: V1,
        spec: {
          interactive: false,
          cluster: { server: 'https://192.0.2.1:6443', 'certificate-authority-data': 'UEVN' },
        },
      },
    })
  })

  it.each([
    ['fails', 'process.stdout.write("CANARY"); process.exit(3)', /failed with status 3\.$/],
    ['prints nothing', '', /printed something else than an ExecCredential in JSON\.$/],
    ['prints what is no JSON', prints('CANARY'), /printed something else than an ExecCredential in JSON\.$/],
    ['prints a list', prints('["CANARY"]'), /printed something else than an ExecCredential of/],
    [
      'prints another version',
      credential({ token: 'CANARY' }, `${V1}alpha1`),
      /printed something else than an Exec/,
    ],
    ['prints no status', credential(undefined), /printed neither a token nor a client certificate\.$/],
    [
      'prints an empty token',
      credential({ token: '' }),
      /printed neither a token nor a client certificate\.$/,
    ],
    [
      'prints half a certificate',
      credential({ token: 'CANARY', clientKeyData: 'CANARY' }),
      /printed a client certificate or its key alone\.$/,
    ],
  ])('refuses a program that %s', async (_, script, message) => {
    const error = await failureOf(run(program(script)))
    expect(error.code).toBe('INVALID_CONFIG')
    expect(error.message).toMatch(message)
  })

  it('refuses what cannot be run, with the advice of the kubeconfig', async () => {
    const entry = program('', { command: '/nowhere/login', installHint: 'Install login.' })
    const error = await failureOf(run(entry))
    expect([error.code, error.message, error.hint]).toEqual([
      'INVALID_CONFIG',
      'The program "/nowhere/login" of the kubeconfig is not there.',
      'Install login.',
    ])
    for (const command of ['', 'a\0b']) {
      expect((await failureOf(run(program('', { command })))).code).toBe('INVALID_CONFIG')
    }
  })

  it.each([
    ['another version', { apiVersion: 'client.authentication.k8s.io/v1alpha1' }],
    ['one that must ask', { interactiveMode: 'Always' }],
  ])('says that %s is not supported', async (_, more) => {
    expect((await failureOf(run(program('', more)))).code).toBe('UNSUPPORTED')
  })

  it('bounds output and time, also of what the program leaves behind', async () => {
    const endless =
      'process.stdout.on("error", () => {}); setInterval(() => process.stdout.write("x".repeat(65536)), 0)'
    expect((await failureOf(run(program(endless)))).code).toBe('TOO_LARGE')
    const sleeper = 'setInterval(() => {}, 1000)'
    const leaves = `require("node:child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 3000)"], { stdio: "inherit" }); ${sleeper}`
    for (const script of [sleeper, leaves]) {
      const late = await failureOf(run(program(script), { timeoutMs: 300 }))
      expect(late.code).toBe('TIMEOUT')
    }
  })

  it('ends with the command', async () => {
    const abort = new AbortController()
    const running = failureOf(run(program('setInterval(() => {}, 1000)'), { signal: abort.signal }))
    setTimeout(() => abort.abort(), 100)
    expect((await running).code).toBe('ABORTED')
  })
})

async function failureOf(promise: Promise<unknown>): Promise<CosignetError> {
  const error = await promise.catch((reason: unknown) => reason)
  if (!(error instanceof CosignetError)) throw new Error(`not a CosignetError: ${String(error)}`)
  expect(JSON.stringify([error.message, error.hint])).not.toContain('CANARY')
  return error
}
