import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  isCosignetError,
  LIMITS,
  parseJson,
  quote,
  reasonOf,
} from '../core/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'
import type { DaemonHost } from './docker-daemon-host.ts'
import type { FinishedTar } from './tar-writer.ts'

/** A daemon and the way to it. */
export interface DockerDaemon {
  /** Made with the `client` options of `host`. */
  readonly http: HttpClient
  readonly host: DaemonHost
}

const UNREACHABLE: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such socket',
  EACCES: 'permission denied',
}

/** What podman 5 says with status 500, and Docker with 404. */
const UNKNOWN_IMAGE = /\bimage not known$|^no such image\b/i

/**
 * Streams an archive with an image (Docker Engine API, "Export several images").
 * @param name reference or ID.
 * @throws NOT_FOUND, and as `send`
 */
export async function exportImage(
  daemon: DockerDaemon,
  name: string,
  signal?: AbortSignal,
): Promise<AsyncIterable<Uint8Array>> {
  const path = `images/get?names=${encodeURIComponent(name)}`
  const response = await send(daemon, 'GET', path, undefined, `Reading docker-daemon:${name}`, signal)
  return response.body
}

/**
 * Loads an archive (Docker Engine API, "Import images"); what the daemon says while it does is read to its end, for an
 * error in it.
 * @param task for messages: "Writing docker-daemon:busybox:latest".
 * @throws BAD_RESPONSE, and as `send`
 */
export async function loadImage(
  daemon: DockerDaemon,
  archive: FinishedTar,
  task: string,
  signal?: AbortSignal,
): Promise<void> {
  const response = await send(daemon, 'POST', 'images/load?quiet=1', archive, task, signal)
  const text = decodeUtf8(await response.bytes(LIMITS.jsonBytes))
  for (const line of (text ?? '\ufffd').split('\n')) {
    if (line.trim() === '') continue
    const message = messageOf(line, `The answer of the Docker daemon to "images/load"`)
    if (message !== undefined) throw refused(task, message)
  }
}

/**
 * Sends a request to the newest version of the API that the daemon speaks.
 * @returns an answer of success.
 * @throws UNAVAILABLE if the daemon cannot be reached; NOT_FOUND, BAD_RESPONSE, TIMEOUT, ABORTED
 */
async function send(
  daemon: DockerDaemon,
  method: string,
  path: string,
  body: FinishedTar | undefined,
  task: string,
  signal: AbortSignal | undefined,
): Promise<HttpResponse> {
  const version = await readVersion(daemon, signal)
  const response = await daemon.http.request({
    method,
    url: new URL(`${version}${path}`, daemon.host.url),
    ...(body === undefined ? {} : { body, headers: { 'content-type': 'application/x-tar' } }),
    ...(signal === undefined ? {} : { signal }),
    redirects: 'refuse',
    // An image takes its time; only the patience of the client bounds it.
    timeoutMs: Number.POSITIVE_INFINITY,
    answerMs: LIMITS.daemonMs,
  })
  if (response.status < 300) return response
  const message = await errorOf(response)
  if (response.status === 404 || UNKNOWN_IMAGE.test(message))
    throw new CosignetError('NOT_FOUND', `${task} failed: ${quote(message)}.`)
  throw refused(task, message)
}

/** Asks for the version without one, which works with every daemon. `v1.47/`, or nothing where it does not say. */
async function readVersion({ http, host }: DockerDaemon, signal: AbortSignal | undefined): Promise<string> {
  try {
    const response = await http.request({
      method: 'GET',
      url: new URL('_ping', host.url),
      ...(signal === undefined ? {} : { signal }),
      redirects: 'refuse',
    })
    response.discard()
    const version = response.headers['api-version'] ?? ''
    return /^1\.[0-9]{1,3}$/.test(version) ? `v${version}/` : ''
  } catch (error) {
    if (!isCosignetError(error, 'UNAVAILABLE')) throw error
    const reason = UNREACHABLE[errnoOf(error.cause) ?? ''] ?? reasonOf(error)
    throw new CosignetError(
      'UNAVAILABLE',
      `The Docker daemon at ${quote(host.text)} cannot be reached: ${reason}.`,
      {
        cause: error,
        hint: 'Check that it runs, and that you may use its socket; DOCKER_HOST names another one.',
      },
    )
  }
}

async function errorOf(response: HttpResponse): Promise<string> {
  const status = `status ${response.status}`
  try {
    const bytes = await response.bytes(LIMITS.errorBodyBytes)
    return messageOf(decodeUtf8(bytes) ?? '', 'The answer') ?? status
  } catch (error) {
    if (isCosignetError(error, 'TOO_LARGE', 'BAD_RESPONSE')) return status
    throw error
  }
}

/** What an answer says went wrong: of a failed request `message`, of a line of progress `error`. @throws BAD_RESPONSE */
function messageOf(text: string, what: string): string | undefined {
  let answer: Readonly<Record<string, unknown>> | null
  try {
    answer = parseJson(Buffer.from(text), what) as Readonly<Record<string, unknown>> | null
  } catch (error) {
    throw new CosignetError('BAD_RESPONSE', `${reasonOf(error)}.`, { cause: error })
  }
  const detail = answer?.['errorDetail'] as Readonly<Record<string, unknown>> | null | undefined
  const message = detail?.['message'] ?? answer?.['error'] ?? answer?.['message']
  return typeof message === 'string' ? message : undefined
}

function refused(task: string, message: string): CosignetError {
  return new CosignetError('BAD_RESPONSE', `${task} failed: the Docker daemon says ${quote(message)}.`)
}
