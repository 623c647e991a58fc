import { join } from 'node:path'
import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { HttpClient, type HttpClientOptions, isLoopbackHost } from '../net/index.ts'
import { authenticate } from './authenticate.ts'
import { readFileOrData } from './file-or-data.ts'
import { KubeClient } from './kube-client.ts'
import type { ClusterEntry, KubeConfig, UserEntry } from './kubeconfig.ts'
import { type KubeConfigPlace, readKubeConfig } from './read-kubeconfig.ts'

export interface ConnectOptions extends KubeConfigPlace {
  /** What every HTTP client of the caller is made with; its CA counts where the cluster names none. */
  readonly http: HttpClientOptions
  /** Told what weakens security. */
  readonly warn: (message: string) => void
  /** Where a Pod finds its own account. Default: /var/run/secrets/kubernetes.io/serviceaccount. */
  readonly serviceAccount?: string
  readonly signal?: AbortSignal
}

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount'

/** How and as whom a cluster is spoken to. */
interface Access {
  readonly cluster: ClusterEntry
  readonly user: UserEntry
}

/**
 * Opens the cluster that the current context of the kubeconfig names, or the one that this process runs in where it
 * names none or is not there (the rules of client-go). Nothing is asked of the cluster yet. Close it after use.
 * @throws INVALID_CONFIG, INVALID_YAML, UNSUPPORTED, FILE, TOO_LARGE; as `runExecCredential`
 */
export async function connectToCluster(options: ConnectOptions): Promise<KubeClient> {
  const config = await readKubeConfig(options)
  const { cluster, user } =
    config?.currentContext === undefined
      ? inCluster(options, config)
      : currentAccess(config, config.currentContext)
  const server = parseServer(cluster.server)
  const route = proxied(cluster)
  const ca = await readFileOrData(cluster.certificateAuthority, LIMITS.certificatesBytes, 'certificate file')
  const { environment, signal } = options
  const { authorization, clientCertificate } = await authenticate({
    ...{ user, cluster, environment },
    ...(ca === undefined ? {} : { ca }),
    ...(signal === undefined ? {} : { signal }),
  })
  if (cluster.insecureSkipTlsVerify) {
    options.warn(
      `WARN The kubeconfig says insecure-skip-tls-verify: nothing shows that ${server.host} is the cluster.`,
    )
  }
  const http = new HttpClient({
    ...options.http,
    // As for client-go: who names the authority of a cluster trusts no other.
    ...(ca === undefined ? {} : { ca: [ca], roots: 'given' as const }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    insecureSkipTlsVerify: cluster.insecureSkipTlsVerify,
    ...route,
  })
  return new KubeClient({ http, server, ...(authorization === undefined ? {} : { authorization }) })
}

function currentAccess(config: KubeConfig, name: string): Access {
  const context = config.contexts.get(name)
  const cluster = config.clusters.get(context?.cluster ?? '')
  // A user may be left out, for a proxy that logs in by itself.
  const user = context?.user === '' ? NOBODY : config.users.get(context?.user ?? '')
  if (context !== undefined && cluster !== undefined && user !== undefined) return { cluster, user }
  const missing =
    context === undefined
      ? 'a context of that name'
      : cluster === undefined
        ? `its cluster ${quote(context.cluster)}`
        : `its user ${quote(context.user)}`
  throw new CosignetError(
    'INVALID_CONFIG',
    `The kubeconfig has the current context ${quote(name)} and not ${missing}.`,
  )
}

const NOBODY: UserEntry = { unsupported: [] }

/** @param config a kubeconfig that names no context, if there is any. */
function inCluster(
  { environment, serviceAccount = SERVICE_ACCOUNT }: ConnectOptions,
  config: KubeConfig | undefined,
): Access {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? ''
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? ''
  if ((host === '' || port === '') && config !== undefined) {
    throw new CosignetError('INVALID_CONFIG', 'The kubeconfig names no current context.', {
      hint: 'Choose one with: kubectl config use-context <name>.',
    })
  }
  if (host === '' || port === '') {
    throw new CosignetError('INVALID_CONFIG', 'There is no kubeconfig, and this is no Pod of a cluster.', {
      hint: 'Set KUBECONFIG to the file that names the cluster.',
    })
  }
  return {
    cluster: {
      server: `https://${host.includes(':') ? `[${host}]` : host}:${port}`,
      certificateAuthority: { path: join(serviceAccount, 'ca.crt') },
      insecureSkipTlsVerify: false,
    },
    user: { tokenFile: join(serviceAccount, 'token'), unsupported: [] },
  }
}

function parseServer(text: string): URL {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  if (
    url === null ||
    !['https:', 'http:'].includes(url.protocol) ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new CosignetError('INVALID_CONFIG', 'The kubeconfig has a cluster whose server is not an HTTP URL.')
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `The cluster at ${url.host} is not spoken to over plain HTTP: keys and tokens could be read on the way.`,
      { hint: 'Give the server an https URL in the kubeconfig.' },
    )
  }
  url.pathname = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`
  url.search = ''
  url.hash = ''
  return url
}

/** @throws UNSUPPORTED for what would be needed to reach the cluster and is not there. */
function proxied({ tlsServerName, proxyUrl }: ClusterEntry): Pick<HttpClientOptions, 'environment'> {
  if (tlsServerName !== undefined) {
    throw new CosignetError('UNSUPPORTED', 'The kubeconfig says tls-server-name, which is not supported.', {
      hint: 'Use the host name that stands in the certificate of the server.',
    })
  }
  if (proxyUrl === undefined) return {}
  const protocol = URL.parse(proxyUrl)?.protocol ?? ''
  if (protocol !== 'http:' && protocol !== 'https:') {
    throw new CosignetError(
      'UNSUPPORTED',
      `The kubeconfig has a proxy-url of the kind ${quote(protocol)}; only http and https proxies are supported.`,
    )
  }
  return { environment: { HTTPS_PROXY: proxyUrl, HTTP_PROXY: proxyUrl } }
}
