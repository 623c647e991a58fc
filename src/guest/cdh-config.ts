import { quote } from '../core/index.ts'
import { ConfigReader, type ConfigSchema, type ConfigWarning, unknownKeys } from './cdh-config-fields.ts'
import { type RegistriesConfig, readRegistriesConfig } from './cdh-config-registries.ts'
import { parseToml } from './initdata-toml.ts'
import { kbcParamsFault, type ProxyConfig } from './kernel-params.ts'

/** What the guest's Confidential Data Hub reads from cdh.toml (guest-components, `hub/src/config/mod.rs`). */
export interface CdhConfig {
  readonly kbc: {
    /** `cc_kbc` (a KBS) or `offline_fs_kbc` (a file in the rootfs). */
    readonly name: string
    /** KBS; empty for `offline_fs_kbc`. */
    readonly url: string
    /** PEM. */
    readonly cert: string | undefined
  }
  /** Resources that CDH puts into files when it starts; it does not start without them. */
  readonly credentials: readonly { readonly resourceUri: string; readonly path: string }[]
  /** Undefined where there is no table `[image]`: then, and only then, kernel parameters count. */
  readonly image: ImageConfig | undefined
  readonly socket: string
  /** What the guest accepts without a word and is probably not meant. */
  readonly warnings: readonly ConfigWarning[]
}

/** How the guest pulls images (image-rs, `config.rs`). Which of two settings wins is decided in `resolveGuestConfig`. */
export interface ImageConfig {
  readonly workDir: string
  readonly securityPolicyUri: string | undefined
  /** JSON. */
  readonly securityPolicy: string | undefined
  readonly sigstoreConfigUri: string | undefined
  /** YAML. */
  readonly sigstoreConfig: string | undefined
  readonly registryCredentialsUri: string | undefined
  readonly registriesUri: string | undefined
  readonly registries: RegistriesConfig | undefined
  readonly maxConcurrentLayerDownloads: number
  readonly proxy: ProxyConfig | undefined
  /** PEM, one certificate each. */
  readonly extraRootCertificates: readonly string[]
}

export const DEFAULT_CDH_SOCKET = 'unix:///run/confidential-containers/cdh.sock'

/** What image-rs uses where nothing is said. */
export const DEFAULT_IMAGE_CONFIG: ImageConfig = {
  workDir: '/run/kata-containers/image/',
  securityPolicyUri: undefined,
  securityPolicy: undefined,
  sigstoreConfigUri: undefined,
  sigstoreConfig: undefined,
  registryCredentialsUri: undefined,
  registriesUri: undefined,
  registries: undefined,
  maxConcurrentLayerDownloads: 3,
  proxy: undefined,
  extraRootCertificates: [],
}

/**
 * Parses cdh.toml as the guest does: unknown keys are skipped (and end up in `warnings`), a required or ill-typed one
 * stops CDH. URIs, certificates and policies are not checked here.
 * @param what names the file in messages, for example "The cdh.toml of pod.yaml".
 * @throws INVALID_TOML; INVALID_CONFIG with what the guest would do.
 */
export function parseCdhConfig(text: string, what: string): CdhConfig {
  const document = parseToml(text, what)
  const reader = new ConfigReader(document, what, 'CDH does not start, and the Pod times out')
  const config = {
    kbc: readKbc(reader),
    credentials: reader.tables('credentials').map((entry) => readCredential(entry)),
    image: readImage(reader.table('image')),
    socket: reader.string('socket') ?? DEFAULT_CDH_SOCKET,
  }
  // Read for their types alone: a wrong one stops CDH like any other.
  reader.table('aa')?.string('aa_socket')
  reader.table('log')?.string('level')
  reader.boolean('skip_sealed_secret_verification', false)
  return { ...config, warnings: [...reader.warnings, ...unknownKeys(document, SCHEMA, what, MISTAKEN)] }
}

const SCHEMA: ConfigSchema = {
  '': ['socket', 'kbc', 'aa', 'credentials', 'image', 'skip_sealed_secret_verification', 'log'],
  kbc: ['name', 'url', 'kbs_cert'],
  aa: ['aa_socket'],
  log: ['level'],
  credentials: ['resource_uri', 'path'],
  image: [
    'work_dir',
    'image_security_policy_uri',
    'image_security_policy',
    'sigstore_config_uri',
    'sigstore_config',
    'authenticated_registry_credentials_uri',
    'registry_configuration_uri',
    'registry_config',
    'max_concurrent_layer_downloads_per_image',
    'image_pull_proxy',
    'extra_root_certificates',
  ],
  'image.image_pull_proxy': ['https_proxy', 'http_proxy', 'no_proxy'],
  'image.registry_config': ['unqualified-search-registries', 'registry'],
  'image.registry_config.registry': ['prefix', 'insecure', 'blocked', 'location', 'mirror'],
  'image.registry_config.registry.mirror': ['location', 'insecure'],
}

/** Names that documents and other tools use, and the guest does not. */
const MISTAKEN: Readonly<Record<string, string>> = {
  cert: 'kbs_cert in [kbc]',
  registry_config_uri: 'registry_configuration_uri',
  image_policy_file: 'image_security_policy_uri',
  container_policy_uri: 'image_security_policy_uri',
}

function readKbc(reader: ConfigReader): CdhConfig['kbc'] {
  const table = reader.table('kbc') ?? reader.fail('kbc.name is missing')
  const kbc = {
    name: table.requiredString('name'),
    url: table.string('url') ?? '',
    cert: table.string('kbs_cert'),
  }
  // CDH hands both on as one text, "name::url", and takes it apart again (`set_configuration_envs`).
  const fault = kbcParamsFault(`${kbc.name}::${kbc.url}`)
  if (fault !== undefined) reader.fail(`the guest answers every request to the KBS with ${quote(fault)}`)
  return kbc
}

/** CDH writes credentials below this folder alone (`illegal path to put credential`). */
const CREDENTIALS_FOLDER = '/run/confidential-containers/cdh/kbs/'

function readCredential(reader: ConfigReader): CdhConfig['credentials'][number] {
  const path = reader.requiredString('path')
  const parts = path.split('/')
  if (!path.startsWith(CREDENTIALS_FOLDER) || parts.includes('.') || parts.includes('..')) {
    reader.fail(`the credential path ${quote(path)} is not below ${CREDENTIALS_FOLDER}`)
  }
  return { resourceUri: reader.requiredString('resource_uri'), path }
}

function readImage(reader: ConfigReader | undefined): ImageConfig | undefined {
  if (reader === undefined) return undefined
  const registries = reader.table('registry_config')
  const proxy = reader.table('image_pull_proxy')
  const { workDir, maxConcurrentLayerDownloads } = DEFAULT_IMAGE_CONFIG
  return {
    workDir: reader.string('work_dir') ?? workDir,
    securityPolicyUri: reader.string('image_security_policy_uri'),
    securityPolicy: reader.string('image_security_policy'),
    sigstoreConfigUri: reader.string('sigstore_config_uri'),
    sigstoreConfig: reader.string('sigstore_config'),
    registryCredentialsUri: reader.string('authenticated_registry_credentials_uri'),
    registriesUri: reader.string('registry_configuration_uri'),
    registries: registries === undefined ? undefined : readRegistriesConfig(registries),
    maxConcurrentLayerDownloads: reader.count(
      'max_concurrent_layer_downloads_per_image',
      maxConcurrentLayerDownloads,
    ),
    proxy:
      proxy === undefined
        ? undefined
        : {
            https: proxy.string('https_proxy'),
            http: proxy.string('http_proxy'),
            no: proxy.string('no_proxy'),
          },
    extraRootCertificates: reader.strings('extra_root_certificates'),
  }
}
