import { join } from 'node:path'
import {
  CosignetError,
  encodeBase64,
  encodeUtf8,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { HttpClient, type HttpClientOptions, isLoopbackHost } from '../net/index.ts'
import { runExecCredential } from './exec-credential.ts'
import { KubeClient } from './kube-client.ts'
import {
  type ClusterEntry,
  type FileOrData,
  type KubeConfig,
  type KubeConfigPlace,
  readKubeConfig,
  type UserEntry,
} from './kubeconfig.ts'

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
  const ca = await read(cluster.certificateAuthority, LIMITS.certificatesBytes, 'certificate file')
  const { authorization, clientCertificate } = await authenticate({ cluster, user }, ca, options)
  if (cluster.insecureSkipTlsVerify) {
    options.warn(
      `WARN The kubeconfig says insecure-skip-tls-verify: nothing shows that ${server.host} is the cluster.`,
    )
  }
  const http = new HttpClient({
    ...options.http,
    ...(ca === undefined ? {} : { ca: [ca] }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    insecureSkipTlsVerify: cluster.insecureSkipTlsVerify,
    ...proxied(cluster),
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

interface Authentication {
  readonly authorization?: string
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
}

async function authenticate(
  { cluster, user }: Access,
  ca: string | undefined,
  options: ConnectOptions,
): Promise<Authentication> {
  const [first] = user.unsupported
  if (first !== undefined) {
    throw new CosignetError('UNSUPPORTED', `The user of the kubeconfig has ${first}, which is not supported.`)
  }
  const { exec, username, password = '' } = user
  const token = await readToken(user)
  if ([exec, username, token].filter((method) => method !== undefined).length > 1) {
    throw new CosignetError('INVALID_CONFIG', 'The user of the kubeconfig has more than one way to log in.')
  }
  if (exec !== undefined) {
    const found = await runExecCredential(exec, {
      environment: options.environment,
      cluster,
      ...(ca === undefined ? {} : { ca }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
    return withCertificate(found.token, found.clientCertificate)
  }
  const cert = await read(user.clientCertificate, LIMITS.certificatesBytes, 'client certificate')
  const key = await read(user.clientKey, LIMITS.keyBytes, 'client key')
  if ((cert === undefined) !== (key === undefined)) {
    throw new CosignetError(
      'INVALID_CONFIG',
      'The user of the kubeconfig has a client certificate or its key alone.',
    )
  }
  const certificate = cert === undefined || key === undefined ? undefined : { cert, key }
  if (username === undefined) return withCertificate(token, certificate)
  const basic = encodeBase64(encodeUtf8(`${username}:${password}`))
  return { ...withCertificate(undefined, certificate), authorization: `Basic ${basic}` }
}

function withCertificate(
  token: string | undefined,
  clientCertificate: Authentication['clientCertificate'],
): Authentication {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  }
}

/** The file comes before the value, as in client-go, which reads it again from time to time. */
async function readToken({ token, tokenFile }: UserEntry): Promise<string | undefined> {
  if (tokenFile === undefined) return token
  try {
    const bytes = await readFileBounded(tokenFile, LIMITS.tokenBytes, 'token file')
    const text = Buffer.from(bytes).toString('utf8').trim()
    if (text !== '') return text
  } catch (error) {
    if (token === undefined || !isCosignetError(error, 'FILE')) throw error
  }
  if (token !== undefined) return token
  throw new CosignetError('INVALID_CONFIG', `The token file ${quote(tokenFile)} is empty.`)
}

async function read(from: FileOrData | undefined, limit: number, what: string): Promise<string | undefined> {
  if (from === undefined) return undefined
  if ('data' in from) return from.data
  return Buffer.from(await readFileBounded(from.path, limit, what)).toString('utf8')
}
