import type { Agent } from 'node:http'
import type { SecureContext } from 'node:tls'
import { CosignetError, reasonOf } from '../core/index.ts'
import { type ProxyEnvironment, proxyFor } from './proxy.ts'

/**
 * Which roots a connection trusts. `few` are those given (Node's own, if none are), `all` adds Node's and the system's:
 * loading those takes longer than the handshake, so they are tried only where `few` do not reach.
 */
export type TrustedRoots = 'few' | 'all'

/** A certificate by which a client shows who it is (TLS client authentication). */
export interface ClientCertificate {
  /** PEM, leaf first. */
  readonly cert: string
  /** PEM, not encrypted. */
  readonly key: string
}

export interface AgentOptions {
  readonly ca?: readonly string[]
  readonly roots?: 'system' | 'mozilla' | 'given'
  readonly insecureSkipTlsVerify?: boolean
  readonly clientCertificate?: ClientCertificate
  readonly socketPath?: string
  readonly environment?: ProxyEnvironment
}

/** Where a connection leads and as whom. */
export interface AgentRequest {
  readonly roots: TrustedRoots
  /** Shows no client certificate, even where one is asked for. */
  readonly anonymous: boolean
}

/** What Node's agents take: the way to the server, by a socket or a proxy. */
interface RouteOptions {
  readonly socketPath?: string
  readonly proxyEnv?: NodeJS.ProcessEnv
}

/**
 * Keeps connections open between requests, for plain HTTP and for TLS. Node's modules are taken by
 * `getBuiltinModule` and when they are first needed: an `import` of `node:http` also loads its WebSocket and fetch,
 * which takes as long as all else that a short command does.
 */
export class AgentPool {
  readonly #options: AgentOptions
  readonly #agents = new Map<string, Agent>()

  constructor(options: AgentOptions) {
    this.#options = options
  }

  /** @throws INVALID_CONFIG if a CA or client certificate or the proxy that was given is not one. */
  agentFor(url: URL, request: AgentRequest): Agent {
    const { socketPath } = this.#options
    const secure = url.protocol === 'https:'
    const proxy = this.proxyOf(url)
    const security = secure ? `${request.roots} ${request.anonymous}` : 'plain'
    const key = `${security} ${proxy?.href ?? 'direct'}`
    let agent = this.#agents.get(key)
    if (agent === undefined) {
      const route = {
        ...(socketPath === undefined ? {} : { socketPath }),
        ...(proxy === undefined ? {} : { proxyEnv: { HTTP_PROXY: proxy.href, HTTPS_PROXY: proxy.href } }),
      }
      agent = secure ? this.#tlsAgent(request, route) : this.#plainAgent(route)
      this.#agents.set(key, agent)
    }
    return agent
  }

  /** The proxy that a URL is asked through; a socket needs none. @throws INVALID_CONFIG */
  proxyOf(url: URL): URL | undefined {
    const { socketPath, environment = {} } = this.#options
    return socketPath === undefined ? proxyFor(url, environment) : undefined
  }

  /** Ends all connections, also those in use. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }

  #plainAgent(route: RouteOptions): Agent {
    const { Agent } = process.getBuiltinModule('node:http')
    return new Agent({ keepAlive: true, ...route })
  }

  #tlsAgent({ roots, anonymous }: AgentRequest, route: RouteOptions): Agent {
    const { Agent } = process.getBuiltinModule('node:https')
    const ca = this.#rootsOf(roots)
    return new Agent({
      keepAlive: true,
      rejectUnauthorized: this.#options.insecureSkipTlsVerify !== true,
      // Made once: from `ca` alone, Node would parse hundreds of certificates for every connection.
      secureContext: createContext(ca, anonymous ? undefined : this.#options.clientCertificate),
      ...route,
    })
  }

  #rootsOf(roots: TrustedRoots): readonly string[] | undefined {
    const given = this.#options.ca ?? []
    for (const pem of given) checkCertificate(pem)
    if (this.#options.roots === 'given') return given
    const { getCACertificates } = process.getBuiltinModule('node:tls')
    if (this.#options.roots === 'mozilla') {
      return roots === 'few' && given.length > 0 ? given : [...given, ...getCACertificates('bundled')]
    }
    if (roots === 'few') return given.length === 0 ? undefined : given
    return [...new Set([...given, ...getCACertificates('default'), ...getCACertificates('system')])]
  }
}

function createContext(
  ca: readonly string[] | undefined,
  client: ClientCertificate | undefined,
): SecureContext {
  const { createSecureContext } = process.getBuiltinModule('node:tls')
  const trusted = ca === undefined ? {} : { ca: [...ca] }
  if (client === undefined) return createSecureContext(trusted)
  try {
    return createSecureContext({ ...trusted, cert: client.cert, key: client.key })
  } catch (error) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `The client certificate and its key cannot be used: ${reasonOf(error)}.`,
      { cause: error, hint: 'Give both as PEM, the key without a password.' },
    )
  }
}

/** Node takes text without a certificate as an empty list of roots; it must not pass as a CA that was given. */
function checkCertificate(pem: string): void {
  const { X509Certificate } = process.getBuiltinModule('node:crypto')
  try {
    new X509Certificate(pem)
  } catch (error) {
    throw new CosignetError('INVALID_CONFIG', `A CA certificate is not PEM: ${reasonOf(error)}.`, {
      cause: error,
    })
  }
}
