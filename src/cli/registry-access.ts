import { homedir } from 'node:os'
import type { FlagParametersForType } from '@stricli/core'
import {
  type CredentialProvider,
  checkNotBlocked,
  createAuthFileCredentials,
  createMirroredSource,
  type ImageSource,
  type LoginAnswer,
  openRegistry,
  type Reference,
  type RegistriesConf,
  type RegistryClient,
  type RegistryEndpoint,
  readEndpoints,
  readRegistriesConf,
  repositoryName,
  tryLogin,
  writeEndpoint,
} from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { switchFlag } from './flags.ts'
import { trustedCertificates } from './http-access.ts'
import { type Connection, RegistryConnections } from './registry-connections.ts'
import {
  type RegistrySideFlags,
  registryFlags,
  registrySettings,
  SHARED_REGISTRY_FLAGS,
  type SharedRegistryFlags,
} from './registry-flags.ts'
import type { RegistrySettings } from './registry-settings.ts'

/** Opens registries by what the flags and the files of this machine say: certificates, credentials, mirrors. */
export interface RegistryAccess {
  /**
   * The registry that the reference names, to write to, list and delete in: locations and mirrors of registries.conf
   * are for reading (containers-registries.conf(5)).
   * @param options.mountFrom another repository of the same registry, to take blobs from.
   * @throws FORBIDDEN if registries.conf blocks it; INVALID_CONFIG, FILE
   */
  open(reference: Reference, options?: { readonly mountFrom?: string }): Promise<RegistryClient>

  /** Where to read the image: its mirrors, then its registry, as registries.conf says. @throws as `open` */
  openSource(reference: Reference): Promise<ImageSource>

  /** Tries a user name and password at a registry, by its host. @throws as `open` and `tryLogin` */
  login(registry: string, account: { username: string; password: string }): Promise<LoginAnswer>

  /** Ends all connections. */
  close(): void
}

/**
 * Reads registries.conf and the certificates that are always trusted, and opens registries from then on.
 * @throws INVALID_TOML, INVALID_CONFIG, FILE, TOO_LARGE
 */
export async function openRegistryAccess(cli: Cli, settings: RegistrySettings): Promise<RegistryAccess> {
  const place = placeOf(cli)
  const [conf, ca] = await Promise.all([
    readRegistriesConf(place),
    trustedCertificates(cli, settings.registryCa),
  ])
  const connections = new RegistryConnections(cli, settings, ca)
  const credentials = credentialsFor(cli, settings, conf)

  const connect = async (endpoint: RegistryEndpoint): Promise<Connection> => {
    checkNotBlocked(endpoint)
    const insecure = settings.tlsVerify === undefined ? endpoint.insecure : !settings.tlsVerify
    return await connections.connect(endpoint.reference.registry, insecure)
  }

  const openEndpoint = async (endpoint: RegistryEndpoint, named: Reference, mountFrom?: string) => {
    const { reference } = endpoint
    return openRegistry(reference, {
      ...(await connect(endpoint)),
      ...credentials(reference.registry === named.registry),
      ...(settings.retries === undefined ? {} : { retries: settings.retries }),
      ...(mountFrom === undefined ? {} : { mountFrom }),
    })
  }

  return {
    open: async (reference, options = {}) =>
      await openEndpoint(writeEndpoint(conf, reference), reference, options.mountFrom),
    openSource: async (reference) => {
      const endpoints = readEndpoints(conf, reference)
      const [only] = endpoints
      if (only !== undefined && endpoints.length === 1) return await openEndpoint(only, reference)
      return createMirroredSource(
        repositoryName(reference),
        endpoints.map((endpoint) => ({ open: async () => await openEndpoint(endpoint, reference) })),
      )
    },
    login: async (registry, account) => {
      const connection = await connect(writeEndpoint(conf, { registry, repository: '' }))
      return await tryLogin({ registry, ...account, ...connection, signal: cli.signal })
    },
    close: () => connections.close(),
  }
}

/** What is sent to a registry as proof of who asks, for the one that was named and for others. */
function credentialsFor(
  cli: Cli,
  settings: RegistrySettings,
  conf: RegistriesConf,
): (named: boolean) => { credentials?: CredentialProvider } {
  const { creds, registryToken, authfile } = settings
  const files = createAuthFileCredentials({
    ...placeOf(cli),
    ...(authfile === undefined ? { credentialHelpers: conf.credentialHelpers } : { authFile: authfile }),
  })
  return (named) => {
    if (named && registryToken !== undefined) {
      return { credentials: async () => ({ kind: 'registry-token', bearer: registryToken }) }
    }
    if (creds === 'none') return {}
    if (named && creds !== undefined) return { credentials: async () => ({ kind: 'basic', ...creds }) }
    return { credentials: files }
  }
}

/** Where this user's configuration files are. */
export function placeOf(cli: Cli): {
  readonly environment: Cli['environment']
  readonly home: string
  readonly uid?: number
} {
  const uid = process.getuid?.()
  return { environment: cli.environment, home: homedir(), ...(uid === undefined ? {} : { uid }) }
}

/**
 * How a command that signs, verifies or pushes reaches registries. Without `--password`: there, a password is that of a
 * key.
 */
export type RegistryFlags = SharedRegistryFlags &
  Omit<RegistrySideFlags<''>, 'username' | 'password'> & { readonly insecureSkipTlsVerify: boolean }

const { username: _username, password: _password, ...side } = registryFlags('')

export const REGISTRY_FLAGS: FlagParametersForType<RegistryFlags> = {
  ...SHARED_REGISTRY_FLAGS,
  ...side,
  insecureSkipTlsVerify: switchFlag('Accept any certificate of the registry, and plain HTTP'),
}

/** Lends registries to `use` and closes the connections afterwards. */
export async function withRegistries<T>(
  cli: Cli,
  flags: RegistryFlags,
  use: (open: RegistryAccess['open'], openSource: RegistryAccess['openSource']) => Promise<T>,
): Promise<T> {
  const settings = registrySettings('', flags)
  const access = await openRegistryAccess(
    cli,
    flags.insecureSkipTlsVerify ? { ...settings, tlsVerify: false } : settings,
  )
  try {
    return await use(access.open, access.openSource)
  } finally {
    access.close()
  }
}
