import { CosignetError, isCosignetError, LIMITS, quote } from '../core/index.ts'
import { AgentPool, type ClientCertificate, type TrustedRoots } from './http-agents.ts'
import { toResponse } from './http-body.ts'
import { exchangeName, isUnknownAuthorityError } from './http-errors.ts'
import { type Exchange, exchange } from './http-exchange.ts'
import type { HttpRequest, HttpRequestStream, HttpResponse } from './http-message.ts'
import { redactUrl, traceRequest, traceResponse } from './http-trace.ts'
import { Lifeline, type Patience } from './lifeline.ts'

export interface HttpClientOptions {
  /** PEM certificates that are trusted beside the roots. */
  readonly ca?: readonly string[]
  /**
   * `system` (default): the system's roots and Node's own. `mozilla`: only those that Node was built with, which are
   * the ones that a program without a system store trusts. `given`: those in `ca` and no other.
   */
  readonly roots?: 'system' | 'mozilla' | 'given'
  /** Accepts any certificate: the server is not authenticated. Default: false. */
  readonly insecureSkipTlsVerify?: boolean
  /**
   * Shown to servers that ask for one; never after a redirect to another origin. The key is PEM without a password.
   * Default: none.
   */
  readonly clientCertificate?: ClientCertificate
  /** Connects to this Unix socket whatever the URL's host is, which then is but a name. Default: by TCP. */
  readonly socketPath?: string
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case) are read from. Default: no proxy. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  /** Gets a line for each request and answer: URL and header names, never a header value or a token. */
  readonly trace?: (line: string) => void
  /** Default: `cosignet`. */
  readonly userAgent?: string
  /** Milliseconds. Default: `connectMs` and `idleMs` of `LIMITS`. */
  readonly patience?: Patience
}

const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308])

/** Headers that speak for the caller at one origin and are not for another (CVE-2020-15157). */
const CREDENTIAL_HEADERS: ReadonlySet<string> = new Set(['authorization', 'cookie', 'proxy-authorization'])

/**
 * The one way out: HTTP/1.1 over kept connections, everything bounded by `LIMITS`. An answer of any status is a value;
 * only an exchange that did not come about is an error.
 */
export class HttpClient {
  readonly #options: HttpClientOptions
  readonly #agents: AgentPool
  /** Origins whose certificate needed more than the few roots that are tried first. */
  readonly #needAllRoots = new Set<string>()
  #closed = false

  constructor(options: HttpClientOptions = {}) {
    this.#options = options
    this.#agents = new AgentPool(options)
  }

  /**
   * Sends a request, follows its redirects, and answers when the head of the last answer is there.
   * @throws UNAVAILABLE (refused, unknown host, certificate, closed early), TIMEOUT, ABORTED; BAD_RESPONSE for a
   * redirect that is not followed and for what is not HTTP; INVALID_REQUEST; INVALID_CONFIG for a CA that is not PEM
   */
  async request(request: HttpRequest): Promise<HttpResponse> {
    checkRequest(request)
    const what = exchangeName(request.method, request.url)
    if (this.#closed) throw new CosignetError('ABORTED', `${what} was not sent: the client is closed.`)
    const { timeoutMs = LIMITS.requestMs, signal } = request
    const lifeline = new Lifeline(what, timeoutMs, signal, this.#options.patience ?? LIMITS)
    try {
      return await this.#follow(request, lifeline)
    } catch (error) {
      lifeline.close()
      throw error
    }
  }

  /** Ends all connections; what is under way fails. */
  close(): void {
    this.#closed = true
    this.#agents.close()
  }

  async #follow(request: HttpRequest, lifeline: Lifeline): Promise<HttpResponse> {
    let hop: HttpRequest = { ...request, headers: this.#headers(request) }
    for (let redirects = 0; ; redirects += 1) {
      const answer = await this.#send(hop, lifeline, hop.url.origin !== request.url.origin)
      const status = answer.response.statusCode ?? 0
      if (!REDIRECTS.has(status)) return toResponse(answer, hop.method, hop.url, lifeline)
      answer.request.destroy()
      if (redirects === LIMITS.redirects) {
        throw refused(request, `the server redirects more than ${LIMITS.redirects} times`)
      }
      hop = nextHop(hop, status, answer.response.headers.location)
    }
  }

  /** @param anonymous shows no client certificate. */
  async #send(hop: HttpRequest, lifeline: Lifeline, anonymous: boolean): Promise<Exchange> {
    const { url } = hop
    const roots: TrustedRoots = this.#needAllRoots.has(url.origin) ? 'all' : 'few'
    this.#options.trace?.(traceRequest(hop.method, url, hop.headers ?? {}))
    try {
      const agent = this.#agents.agentFor(url, { roots, anonymous })
      const answer = await exchange(withDeadline(hop, lifeline), agent, lifeline)
      lifeline.expectWithin(undefined)
      const { statusCode = 0, headers } = answer.response
      this.#options.trace?.(traceResponse(statusCode, hop.method, url, headers))
      return answer
    } catch (error) {
      // Nothing of the request was sent: a handshake that fails comes before it.
      const more = roots === 'few' && this.#options.roots !== 'given'
      if (!more || !isUnknownAuthorityError(error)) throw this.#toldOfProxy(error, url)
      this.#needAllRoots.add(url.origin)
      return await this.#send(hop, lifeline, anonymous)
    }
  }

  /** Who cannot reach a server through a proxy must know that it is in between. */
  #toldOfProxy(error: unknown, url: URL): unknown {
    if (!isCosignetError(error, 'UNAVAILABLE', 'TIMEOUT')) return error
    const proxy = this.#agents.proxyOf(url)
    if (proxy === undefined) return error
    const { code, message, cause } = error
    const way = `The proxy ${proxy.host} was asked for it, which the environment names; NO_PROXY makes exceptions.`
    return new CosignetError(code, message, {
      cause,
      hint: error.hint === undefined ? way : `${error.hint} ${way}`,
    })
  }

  #headers(request: HttpRequest): Readonly<Record<string, string>> {
    const headers = { 'user-agent': this.#options.userAgent ?? 'cosignet', ...request.headers }
    return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  }
}

function checkRequest({ url, method }: HttpRequest): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new CosignetError('INVALID_REQUEST', `${quote(url.protocol)} is not the scheme of an HTTP URL.`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new CosignetError(
      'INVALID_REQUEST',
      `${exchangeName(method, url)} was not sent: a URL must not hold a user name or password.`,
    )
  }
}

/** From the end of the body, the server is given the time that the request allows it for its answer. */
function withDeadline(hop: HttpRequest, lifeline: Lifeline): HttpRequest {
  const { body, answerMs } = hop
  if (answerMs === undefined || body === undefined || body instanceof Uint8Array) return hop
  const open = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    lifeline.expectWithin(undefined)
    yield* body.open()
    lifeline.expectWithin(answerMs)
  }
  return { ...hop, body: { ...body, open } satisfies HttpRequestStream }
}

function nextHop(hop: HttpRequest, status: number, location: string | undefined): HttpRequest {
  const { method, url } = hop
  const mayFollow = method === 'GET' || method === 'HEAD'
  if (!mayFollow || hop.redirects === 'refuse') {
    throw refused(hop, `the server redirects (status ${status}), and this request is not followed elsewhere`)
  }
  const next = location === undefined ? null : URL.parse(location, url.href)
  if (next === null || (next.protocol !== 'https:' && next.protocol !== 'http:')) {
    throw refused(hop, `the server redirects (status ${status}) to no HTTP URL`)
  }
  if (next.username !== '' || next.password !== '') {
    throw refused(hop, `the server redirects to a URL with a user name or password at ${quote(next.host)}`)
  }
  if (url.protocol === 'https:' && next.protocol === 'http:') {
    throw refused(
      hop,
      `the server redirects from https to plain http at ${quote(redactUrl(new URL('/', next)))}`,
    )
  }
  if (next.origin === url.origin) return { ...hop, url: next }
  const kept = Object.entries(hop.headers ?? {}).filter(([name]) => !CREDENTIAL_HEADERS.has(name))
  return { ...hop, url: next, headers: Object.fromEntries(kept) }
}

function refused(request: HttpRequest, reason: string): CosignetError {
  return new CosignetError('BAD_RESPONSE', `${exchangeName(request.method, request.url)} failed: ${reason}.`)
}
