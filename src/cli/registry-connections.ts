import { homedir } from 'node:os'
import { isCosignetError } from '../core/index.ts'
import { HttpClient, isLoopbackHost } from '../net/index.ts'
import { type HostCertificates, type RegistryOptions, readHostCertificates } from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { httpOptions } from './http-access.ts'
import type { RegistrySettings } from './registry-settings.ts'

/** How a registry is spoken to. */
export type Connection = Pick<RegistryOptions, 'http' | 'scheme'>

const DOCKER_HUB_HOST = 'registry-1.docker.io'

/**
 * Connections to registries. Hosts with certificates of their own have an HTTP client each, since what it trusts and
 * shows is for that host alone; all others share one.
 */
export class RegistryConnections {
  readonly #cli: Cli
  readonly #settings: RegistrySettings
  readonly #ca: readonly string[]
  readonly #connections = new Map<string, Promise<Connection>>()
  readonly #clients = new Map<string, HttpClient>()

  /** @param ca PEM certificates of authorities that are trusted for all hosts. */
  constructor(cli: Cli, settings: RegistrySettings, ca: readonly string[]) {
    this.#cli = cli
    this.#settings = settings
    this.#ca = ca
  }

  /**
   * @param host as in a reference.
   * @param insecure neither a trusted certificate nor TLS is required.
   * @throws INVALID_CONFIG, FILE; UNAVAILABLE, TIMEOUT, ABORTED for an insecure host
   */
  connect(host: string, insecure: boolean): Promise<Connection> {
    const key = `${insecure ? 'insecure' : 'secure'} ${host}`
    const connection = this.#connections.get(key) ?? this.#open(host, insecure)
    this.#connections.set(key, connection)
    return connection
  }

  /** Ends all connections. */
  close(): void {
    for (const client of this.#clients.values()) client.close()
  }

  async #open(host: string, insecure: boolean): Promise<Connection> {
    const { certDir, tlsVerify } = this.#settings
    const certificates = await readHostCertificates(host, {
      home: homedir(),
      ...(certDir === undefined ? {} : { certDir }),
    })
    const http = this.#clientFor(host, certificates, insecure)
    if (tlsVerify === true) return { http, scheme: 'https' }
    return insecure ? { http, ...(await findScheme(http, host, this.#cli.signal)) } : { http }
  }

  #clientFor(host: string, { ca, clientCertificate }: HostCertificates, insecure: boolean): HttpClient {
    const own = ca.length > 0 || clientCertificate !== undefined
    const key = `${insecure ? 'insecure' : 'secure'} ${own ? host : ''}`
    const client =
      this.#clients.get(key) ??
      new HttpClient({
        ...httpOptions(this.#cli, [...this.#ca, ...ca]),
        ...(clientCertificate === undefined ? {} : { clientCertificate }),
        ...(insecure ? { insecureSkipTlsVerify: true } : {}),
      })
    this.#clients.set(key, client)
    return client
  }
}

/** As containers/image does: TLS where the host speaks it, else plain HTTP. A loopback host is asked so anyway. */
async function findScheme(
  http: HttpClient,
  host: string,
  signal: AbortSignal,
): Promise<Pick<Connection, 'scheme'>> {
  const base = new URL(`https://${host === 'docker.io' ? DOCKER_HUB_HOST : host}/v2/`)
  if (isLoopbackHost(base.hostname)) return {}
  const ask = async (url: URL): Promise<void> =>
    (await http.request({ method: 'GET', url, signal })).discard()
  try {
    await ask(base)
    return { scheme: 'https' }
  } catch (error) {
    if (!isCosignetError(error, 'UNAVAILABLE', 'TIMEOUT', 'BAD_RESPONSE')) throw error
    try {
      await ask(new URL(`http://${base.host}${base.pathname}`))
      return { scheme: 'http' }
    } catch {
      // That it does not speak TLS is not the fault, then.
      throw error
    }
  }
}
