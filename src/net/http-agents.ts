import type { Agent } from 'node:http'
import { CosignetError, reasonOf } from '../core/index.ts'
import { isLoopbackHost } from './loopback.ts'

const PROXY_VARIABLES = [
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
] as const

/**
 * Which roots a connection trusts. `few` are those given (Node's own, if none are), `all` adds Node's and the system's:
 * loading those takes longer than the handshake, so they are tried only where `few` do not reach.
 */
export type TrustedRoots = 'few' | 'all'

export interface AgentOptions {
  readonly ca?: readonly string[]
  readonly roots?: 'system' | 'mozilla'
  readonly insecureSkipTlsVerify?: boolean
  readonly environment?: Readonly<Record<string, string | undefined>>
}

interface ProxyOptions {
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

  /** @throws INVALID_CONFIG if a given CA certificate is not one. */
  agentFor(url: URL, roots: TrustedRoots): Agent {
    const secure = url.protocol === 'https:'
    // A proxy's idea of 127.0.0.1 is another one; Go's clients never ask it either.
    const direct = isLoopbackHost(url.hostname)
    const key = `${secure ? roots : 'plain'} ${direct ? 'direct' : 'proxied'}`
    let agent = this.#agents.get(key)
    if (agent === undefined) {
      const proxy = direct ? {} : this.#proxy()
      agent = secure ? this.#tlsAgent(roots, proxy) : this.#plainAgent(proxy)
      this.#agents.set(key, agent)
    }
    return agent
  }

  /** Ends all connections, also those in use. */
  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }

  #plainAgent(proxy: ProxyOptions): Agent {
    const { Agent } = process.getBuiltinModule('node:http')
    return new Agent({ keepAlive: true, ...proxy })
  }

  #tlsAgent(roots: TrustedRoots, proxy: ProxyOptions): Agent {
    const { Agent } = process.getBuiltinModule('node:https')
    const ca = this.#rootsOf(roots)
    const { createSecureContext } = process.getBuiltinModule('node:tls')
    return new Agent({
      keepAlive: true,
      rejectUnauthorized: this.#options.insecureSkipTlsVerify !== true,
      // Made once: from `ca` alone, Node would parse hundreds of certificates for every connection.
      secureContext: createSecureContext(ca === undefined ? {} : { ca: [...ca] }),
      ...proxy,
    })
  }

  #rootsOf(roots: TrustedRoots): readonly string[] | undefined {
    const given = this.#options.ca ?? []
    for (const pem of given) checkCertificate(pem)
    const { getCACertificates } = process.getBuiltinModule('node:tls')
    if (this.#options.roots === 'mozilla') {
      return roots === 'few' && given.length > 0 ? given : [...given, ...getCACertificates('bundled')]
    }
    if (roots === 'few') return given.length === 0 ? undefined : given
    return [...new Set([...given, ...getCACertificates('default'), ...getCACertificates('system')])]
  }

  #proxy(): ProxyOptions {
    const environment = this.#options.environment ?? {}
    const set = PROXY_VARIABLES.filter((name) => environment[name] !== undefined && environment[name] !== '')
    if (set.length === 0) return {}
    return { proxyEnv: Object.fromEntries(set.map((name) => [name, environment[name]])) }
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
