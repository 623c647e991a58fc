import {
  CosignetError,
  collectBytes,
  encodeBase64,
  encodeUtf8,
  errnoOf,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import type { ClusterEntry, ExecEntry } from './kubeconfig.ts'

/** What a program of a kubeconfig answered: all of it secret but the certificate. */
export interface ExecCredential {
  readonly token?: string
  /** PEM, both or none. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
}

export interface RunExecOptions {
  /** The environment of the program. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Told to a program that asks for it (`provideClusterInfo`): the cluster, and its CA as PEM. */
  readonly cluster: ClusterEntry
  readonly ca?: string
  /** Milliseconds until it is killed. Default: `LIMITS.requestMs`. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal
}

const VERSIONS: readonly string[] = [
  'client.authentication.k8s.io/v1',
  'client.authentication.k8s.io/v1beta1',
]

/**
 * Runs the program of a kubeconfig that prints credentials, without a shell, as client-go does
 * (client.authentication.k8s.io/v1 and v1beta1), for a bounded time. It gets no standard input; what it
 * says on standard error goes to the standard error of this process. Its output never enters a message.
 * @throws UNSUPPORTED for another version, or a program that must be able to ask; INVALID_CONFIG if it cannot be run,
 * fails or prints something else; TIMEOUT, ABORTED, TOO_LARGE
 */
export async function runExecCredential(entry: ExecEntry, options: RunExecOptions): Promise<ExecCredential> {
  const program = `The program ${quote(entry.command)} of the kubeconfig`
  if (entry.command === '' || [entry.command, ...entry.args].some((word) => word.includes('\0'))) {
    throw new CosignetError(
      'INVALID_CONFIG',
      'The kubeconfig has a program for credentials that cannot be run.',
    )
  }
  if (!VERSIONS.includes(entry.apiVersion)) {
    throw new CosignetError(
      'UNSUPPORTED',
      `${program} speaks ${quote(entry.apiVersion)}, not ${VERSIONS[0]}.`,
    )
  }
  if (entry.interactiveMode === 'Always') {
    throw new CosignetError('UNSUPPORTED', `${program} wants standard input, which it does not get here.`)
  }
  const output = await run(entry, options, program)
  try {
    return readCredential(output, entry.apiVersion, program)
  } finally {
    output.fill(0)
  }
}

async function run(entry: ExecEntry, options: RunExecOptions, program: string): Promise<Uint8Array> {
  const { signal, timeoutMs = LIMITS.requestMs } = options
  signal?.throwIfAborted()
  const { spawn } = await import('node:child_process')
  const child = spawn(entry.command, [...entry.args], {
    env: { ...options.environment, ...entry.env, KUBERNETES_EXEC_INFO: execInfo(entry, options) },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  ended.catch(() => undefined)
  let stopped: CosignetError | undefined
  const stop = (error: CosignetError): void => {
    stopped = error
    child.kill('SIGKILL')
    child.stdout.destroy()
  }
  const late = new CosignetError('TIMEOUT', `${program} took more than ${timeoutMs / 1000} s.`)
  const timer = setTimeout(() => stop(late), timeoutMs)
  const onAbort = (): void => stop(new CosignetError('ABORTED', `${program} was stopped.`))
  signal?.addEventListener('abort', onAbort)
  try {
    const output = await collectBytes(
      child.stdout,
      LIMITS.tokenBytes,
      `The output of ${quote(entry.command)}`,
    )
    const status = await ended
    if (status === 0) return output
    throw new CosignetError('INVALID_CONFIG', `${program} failed with status ${status}.`)
  } catch (error) {
    child.kill('SIGKILL')
    if (stopped !== undefined) throw stopped
    if (error instanceof CosignetError) throw error
    const reason = errnoOf(error) === 'ENOENT' ? 'is not there' : 'could not be run'
    throw new CosignetError('INVALID_CONFIG', `${program} ${reason}.`, {
      cause: error,
      hint: entry.installHint,
    })
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', onAbort)
  }
}

/** What the program is told of who asks, in the variable KUBERNETES_EXEC_INFO. */
function execInfo(entry: ExecEntry, { cluster, ca }: RunExecOptions): string {
  const about = {
    server: cluster.server,
    ...(cluster.tlsServerName === undefined ? {} : { 'tls-server-name': cluster.tlsServerName }),
    ...(cluster.insecureSkipTlsVerify ? { 'insecure-skip-tls-verify': true } : {}),
    ...(ca === undefined ? {} : { 'certificate-authority-data': encodeBase64(encodeUtf8(ca)) }),
    ...(cluster.proxyUrl === undefined ? {} : { 'proxy-url': cluster.proxyUrl }),
  }
  return JSON.stringify({
    kind: 'ExecCredential',
    apiVersion: entry.apiVersion,
    spec: { ...(entry.provideClusterInfo ? { cluster: about } : {}), interactive: false },
  })
}

function readCredential(output: Uint8Array, apiVersion: string, program: string): ExecCredential {
  const fail = (reason: string): never => {
    throw new CosignetError('INVALID_CONFIG', `${program} printed ${reason}.`)
  }
  const answer = parse(output) ?? fail('something else than an ExecCredential in JSON')
  if (member(answer, 'kind') !== 'ExecCredential' || member(answer, 'apiVersion') !== apiVersion) {
    return fail(`something else than an ExecCredential of ${apiVersion}`)
  }
  const status = member(answer, 'status')
  const token = text(member(status, 'token'))
  const cert = text(member(status, 'clientCertificateData'))
  const key = text(member(status, 'clientKeyData'))
  if ((cert === undefined) !== (key === undefined)) return fail('a client certificate or its key alone')
  if (token === undefined && cert === undefined) return fail('neither a token nor a client certificate')
  return {
    ...(token === undefined ? {} : { token }),
    ...(cert === undefined || key === undefined ? {} : { clientCertificate: { cert, key } }),
  }
}

function parse(output: Uint8Array): JsonValue | undefined {
  try {
    return parseJson(output, 'The output')
  } catch {
    // Its reason could quote what is secret.
    return undefined
  }
}

function member(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return undefined
  return Object.hasOwn(value, name) ? (value as { readonly [key: string]: JsonValue })[name] : undefined
}

function text(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
