import { setTimeout as wait } from 'node:timers/promises'
import { type Clock, CosignetError, isCosignetError, quote, systemClock } from '../core/index.ts'
import {
  type HttpClient,
  type HttpRequest,
  type HttpResponse,
  isLoopbackHost,
  isPlainHttpError,
} from '../net/index.ts'
import type { CredentialProvider } from './credentials.ts'
import { parseReference } from './reference.ts'
import { type RegistryAction, RegistryAuth } from './registry-auth.ts'
import { registryError } from './registry-errors.ts'

export interface RegistryOptions {
  /** Host with port, as in a reference; `docker.io` is asked at `registry-1.docker.io`. */
  readonly registry: string
  readonly repository: string
  readonly http: HttpClient
  /** Default: none, the registry is asked anonymously. */
  readonly credentials?: CredentialProvider
  /**
   * `auto` (default): https, but on a loopback host plain http if the server does not speak TLS. `https` never falls
   * back.
   */
  readonly scheme?: 'https' | 'http' | 'auto'
  /** Default: `systemClock`. */
  readonly clock?: Clock
  /** Waits before a request is repeated. Default: a timer. */
  readonly sleep?: (ms: number, signal?: AbortSignal) => Promise<void>
}

/** A request to one repository. */
export interface RegistryRequest {
  readonly method: string
  /** Below `/v2/REPOSITORY/`, or a URL that the registry answered. */
  readonly path: string | URL
  readonly action: RegistryAction
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: HttpRequest['body']
  readonly signal?: AbortSignal | undefined
  /** Statuses from 400 that are an answer and not an error. */
  readonly expect?: readonly number[]
  /** A blob: only the idle time-out bounds it, and it is not repeated. Default: false. */
  readonly blob?: boolean
  /** The task, for messages: "Reading the manifest latest of ghcr.io/a/b". */
  readonly task: string
}

const DOCKER_HUB_HOST = 'registry-1.docker.io'
const RETRIED: ReadonlySet<number> = new Set([429, 500, 502, 503, 504])
const RETRIES = 3
const RETRY_MS = 500
/** The longest wait that a registry may ask for by Retry-After. */
const RETRY_MS_MAX = 10_000

/** Which scheme a loopback host turned out to speak, so that each client asks once. */
const knownSchemes = new WeakMap<HttpClient, Map<string, 'http:' | 'https:'>>()

/** Sends requests to one repository: finds the scheme, authenticates, repeats what the registry was too busy for. */
export class RegistryTransport {
  readonly host: string
  readonly repository: string
  readonly #options: RegistryOptions
  readonly #auth: RegistryAuth

  /** @throws INVALID_REFERENCE if registry and repository do not make a reference */
  constructor(options: RegistryOptions) {
    const { registry, repository, http, credentials, clock = systemClock } = options
    const reference = parseReference(`${registry}/${repository}`)
    if (
      reference.registry !== registry ||
      reference.repository !== repository ||
      reference.tag !== 'latest'
    ) {
      throw new CosignetError(
        'INVALID_REFERENCE',
        `${quote(`${registry}/${repository}`)} is not a registry and a repository.`,
      )
    }
    this.host = registry
    this.repository = repository
    this.#options = options
    this.#auth = new RegistryAuth({ http, clock, registry, repository, credentials })
  }

  /**
   * Sends a request.
   * @returns an answer below 400, or of a status that the request expects.
   * @throws UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_LARGE, UNSUPPORTED, BAD_RESPONSE, UNAVAILABLE, TIMEOUT,
   * ABORTED
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt += 1) {
      const response = await this.#sendAuthenticated(request)
      if (response.status < 400 || request.expect?.includes(response.status) === true) return response
      if (request.blob === true || attempt === RETRIES || !RETRIED.has(response.status)) {
        throw await registryError(response, request.task, this.host)
      }
      response.discard()
      await this.pause(attempt, request.signal, response.headers['retry-after'])
    }
  }

  /** Waits before try `attempt + 2`: half a second, doubled each time, or what the registry asks for. */
  async pause(attempt: number, signal: AbortSignal | undefined, retryAfter?: string): Promise<void> {
    const asked = Number(retryAfter ?? Number.NaN) * 1000
    const ms = Math.min(asked >= 0 ? asked : RETRY_MS * 2 ** attempt, RETRY_MS_MAX)
    try {
      await (this.#options.sleep ?? sleep)(ms, signal)
    } catch (error) {
      throw new CosignetError('ABORTED', `Waiting for ${this.host} was stopped.`, { cause: error })
    }
  }

  async #sendAuthenticated(request: RegistryRequest): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt += 1) {
      const { response, authorization } = await this.#sendByScheme(request)
      if (response.status !== 401 || attempt === 1) return response
      const again = await this.#auth.challenged(response.headers['www-authenticate'], authorization)
      if (!again) return response
      response.discard()
    }
  }

  async #sendByScheme(request: RegistryRequest): Promise<Sent> {
    const { registry, scheme = 'auto', http } = this.#options
    const wire = registry === 'docker.io' ? DOCKER_HUB_HOST : registry
    if (scheme !== 'auto') return await this.#sendOnce(request, new URL(`${scheme}://${wire}`))
    const secure = new URL(`https://${wire}`)
    if (!isLoopbackHost(secure.hostname)) return await this.#sendOnce(request, secure)
    const known = knownSchemes.get(http) ?? new Map<string, 'http:' | 'https:'>()
    knownSchemes.set(http, known)
    const plain = new URL(`http://${wire}`)
    const found = known.get(wire)
    if (found !== undefined) return await this.#sendOnce(request, found === 'https:' ? secure : plain)
    const sent = await this.#discover(request, plain, secure)
    known.set(wire, sent.response.url.protocol === 'https:' ? 'https:' : 'http:')
    return sent
  }

  /**
   * Plain first: most registries on loopback are, and loading TLS takes longer than the request. It holds no
   * credentials yet, since nobody has asked for any. Plain http is taken only from a server that proves to speak it.
   */
  async #discover(request: RegistryRequest, plain: URL, secure: URL): Promise<Sent> {
    let sent: Sent | undefined
    try {
      sent = await this.#sendOnce(request, plain)
      if (!isAnswerOfTlsPort(sent.response)) return sent
      sent.response.discard()
    } catch (error) {
      if (!isCosignetError(error, 'UNAVAILABLE', 'BAD_RESPONSE')) throw error
    }
    try {
      return await this.#sendOnce(request, secure)
    } catch (error) {
      if (!isPlainHttpError(error)) throw error
      return await this.#sendOnce(request, plain)
    }
  }

  async #sendOnce(request: RegistryRequest, base: URL): Promise<Sent> {
    const { path, signal } = request
    const url = path instanceof URL ? path : new URL(`/v2/${this.repository}/${path}`, base)
    // A URL of another origin came from the registry's answer; credentials stay at home.
    const authorization =
      url.origin === base.origin ? await this.#auth.authorization(base, request.action, signal) : undefined
    const response = await this.#options.http.request({
      method: request.method,
      url,
      headers: { ...request.headers, ...(authorization === undefined ? {} : { authorization }) },
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(signal === undefined ? {} : { signal }),
      ...(request.blob === true ? { timeoutMs: Number.POSITIVE_INFINITY } : {}),
    })
    return { response, authorization }
  }
}

interface Sent {
  readonly response: HttpResponse
  readonly authorization: string | undefined
}

/** What Go, nginx and others answer to plain HTTP on a TLS port: 400 and some words, never a registry's JSON. */
function isAnswerOfTlsPort({ status, headers }: HttpResponse): boolean {
  return status === 400 && headers['content-type']?.startsWith('application/json') !== true
}

async function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal === undefined ? {} : { signal })
}
