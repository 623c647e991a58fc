import { type Clock, CosignetError, isCosignetError, LIMITS, quote, systemClock } from '../core/index.ts'
import {
  type HttpClient,
  type HttpRequest,
  type HttpResponse,
  isBrokenConnectionError,
  isLoopbackHost,
  isPlainHttpError,
} from '../net/index.ts'
import type { CredentialProvider } from './credentials.ts'
import { parseReference } from './reference.ts'
import { Attempts, RETRIED_STATUSES } from './registry-attempts.ts'
import { type RegistryAction, RegistryAuth } from './registry-auth.ts'
import { registryError } from './registry-errors.ts'

export interface RegistryOptions {
  /** Host with port, as in a reference; `docker.io` is asked at `registry-1.docker.io`. */
  readonly registry: string
  readonly repository: string
  /**
   * Another repository of the same registry, from which blobs are mounted and not sent again. It takes no more than
   * the right to read there; where the registry does not do it, blobs are sent. Default: none.
   */
  readonly mountFrom?: string
  readonly http: HttpClient
  /** Default: none, the registry is asked anonymously. */
  readonly credentials?: CredentialProvider
  /**
   * `auto` (default): https, but on a loopback host plain http if the server does not speak TLS. `https` never falls
   * back.
   */
  readonly scheme?: 'https' | 'http' | 'auto'
  /**
   * How often a request is sent again that met a registry too busy or a connection that broke; a blob goes on where it
   * stopped, and has the full number again after each MiB. Default: 3. 0: never.
   */
  readonly retries?: number
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
  /** The budget that repetitions are taken from. Default: one of its own. */
  readonly attempts?: Attempts
  /** Sent but once: neither repeated nor, after a challenge, authenticated anew. Default: false. */
  readonly once?: boolean
  /** Milliseconds for the exchange. Default: `LIMITS.requestMs`; `Infinity` for blobs. */
  readonly timeoutMs?: number
  /** Milliseconds for the answer, from the end of a streamed body. */
  readonly answerMs?: number
  /** The task, for messages: "Reading the manifest latest of ghcr.io/a/b". */
  readonly task: string
}

const DOCKER_HUB_HOST = 'registry-1.docker.io'
const RETRIES_DEFAULT = 3
const RETRIES_MAX = 100

/** Which scheme a loopback host turned out to speak, so that each client asks once. */
const knownSchemes = new WeakMap<HttpClient, Map<string, 'http:' | 'https:'>>()

/** Sends requests to one repository: finds the scheme, authenticates, repeats what the registry was too busy for. */
export class RegistryTransport {
  readonly host: string
  readonly repository: string
  #mountFrom: string | undefined
  readonly #options: RegistryOptions
  readonly #auth: RegistryAuth

  /** @throws INVALID_REFERENCE if registry and repository do not make a reference; USAGE */
  constructor(options: RegistryOptions) {
    const { registry, repository, mountFrom, http, credentials, clock = systemClock, retries } = options
    checkRepository(registry, repository)
    if (mountFrom !== undefined) checkRepository(registry, mountFrom)
    if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0 && retries <= RETRIES_MAX)) {
      throw new CosignetError('USAGE', `The number of retries is from 0 to ${RETRIES_MAX}, not ${retries}.`)
    }
    this.host = registry
    this.repository = repository
    this.#mountFrom = mountFrom === repository ? undefined : mountFrom
    this.#options = options
    const attempts = (): Attempts => this.attempts()
    this.#auth = new RegistryAuth({ http, clock, registry, repository, mountFrom, credentials, attempts })
  }

  /** The other repository that blobs may be mounted from, if there is one. */
  get mountFrom(): string | undefined {
    return this.#mountFrom
  }

  /** What requests go through: what a registry is found to be like holds for all that share it. */
  get http(): HttpClient {
    return this.#options.http
  }

  /** The registry does not let us mount from there. */
  stopMounting(): void {
    this.#mountFrom = undefined
  }

  /** The error for an answer from 400. */
  async errorOf(response: HttpResponse, task: string): Promise<CosignetError> {
    return await registryError(response, task, this.host, this.#auth.withheldFrom)
  }

  /** A budget of tries for one task. */
  attempts(): Attempts {
    const { retries = RETRIES_DEFAULT, clock = systemClock, sleep } = this.#options
    return new Attempts({ retries, clock, sleep, host: this.host })
  }

  /**
   * Sends a request.
   * @returns an answer below 400, or of a status that the request expects.
   * @throws UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_LARGE, UNSUPPORTED, BAD_RESPONSE, UNAVAILABLE, TIMEOUT,
   * ABORTED
   */
  async send(request: RegistryRequest): Promise<HttpResponse> {
    const { attempts = this.attempts(), signal, once = false } = request
    for (;;) {
      let response: HttpResponse
      try {
        response = await this.#sendAuthenticated(request)
      } catch (error) {
        if (once || !isBrokenConnectionError(error) || !(await attempts.again(signal))) throw error
        continue
      }
      const { status, headers } = response
      if (status < 400 || request.expect?.includes(status) === true) return response
      const busy = !once && RETRIED_STATUSES.has(status)
      if (!busy || !(await attempts.again(signal, headers['retry-after']))) {
        throw await this.errorOf(response, request.task)
      }
      response.discard()
    }
  }

  /**
   * Sends a request and reads its answer whole; where the connection breaks in the middle, both once more.
   * @throws TOO_LARGE beyond `limit` bytes, and as `send`
   */
  async read(
    request: RegistryRequest,
    limit: number,
  ): Promise<{ response: HttpResponse; bytes: Uint8Array }> {
    const attempts = request.attempts ?? this.attempts()
    for (;;) {
      const response = await this.send({ ...request, attempts })
      try {
        return { response, bytes: await response.bytes(limit) }
      } catch (error) {
        if (!isBrokenConnectionError(error) || !(await attempts.again(request.signal))) throw error
      }
    }
  }

  async #sendAuthenticated(request: RegistryRequest): Promise<HttpResponse> {
    for (let attempt = 0; ; attempt += 1) {
      const { response, authorization, base } = await this.#sendByScheme(request)
      // A challenge of another origin, after a redirect or at an upload, is not the registry's.
      const challenged = response.status === 401 && response.url.origin === base.origin
      if (!challenged || attempt === 1) return response
      const again = await this.#auth.challenged(response, authorization)
      if (!again || request.once === true) return response
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
    const { path, signal, timeoutMs = LIMITS.requestMs, answerMs } = request
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
      timeoutMs,
      ...(answerMs === undefined ? {} : { answerMs }),
    })
    return { response, authorization, base }
  }
}

interface Sent {
  readonly response: HttpResponse
  readonly authorization: string | undefined
  /** The registry as it was asked. */
  readonly base: URL
}

function checkRepository(registry: string, repository: string): void {
  const reference = parseReference(`${registry}/${repository}`)
  const { tag } = reference
  if (reference.registry === registry && reference.repository === repository && tag === 'latest') return
  throw new CosignetError(
    'INVALID_REFERENCE',
    `${quote(`${registry}/${repository}`)} is not a registry and a repository.`,
  )
}

/** What Go, nginx and others answer to plain HTTP on a TLS port: 400 and some words, never a registry's JSON. */
function isAnswerOfTlsPort({ status, headers }: HttpResponse): boolean {
  return status === 400 && headers['content-type']?.startsWith('application/json') !== true
}
