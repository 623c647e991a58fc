import { quote } from '../core/index.ts'
import { type AaConfig, parseAaConfig } from './aa-config.ts'
import { type CdhConfig, DEFAULT_IMAGE_CONFIG, type ImageConfig, parseCdhConfig } from './cdh-config.ts'
import { type ConfigWarning, nearest } from './cdh-config-fields.ts'
import type { RegistriesConfig } from './cdh-config-registries.ts'
import { resourceUriFault } from './cdh-config-uri.ts'
import { INITDATA_FILES, type InitData } from './initdata.ts'
import { type KernelParams, type ProxyConfig, parseKbcParams, parseKernelParams } from './kernel-params.ts'

/** Where the guest takes a document from: nowhere, a URI that it fetches, or its own configuration. */
export type DocumentSource =
  | { readonly kind: 'none' }
  | { readonly kind: 'uri'; readonly uri: string; readonly from: 'cdh.toml' | 'kernel parameters' }
  | { readonly kind: 'inline'; readonly text: string }

/** What the guest will do, as far as its configuration says it. */
export interface GuestConfig {
  /** The KBS that resources come from; undefined: none, `offline_fs_kbc`. */
  readonly kbs: { readonly url: string; readonly cert: string | undefined } | undefined
  /** The KBS that the Attestation Agent gets its token from; without it no resource is released. */
  readonly tokenKbs: { readonly url: string; readonly cert: string | undefined } | undefined
  /** The image security policy. `none` means that every image is accepted. */
  readonly policy: DocumentSource
  /** Where simple signing signatures lie. */
  readonly sigstoreConfig: DocumentSource
  /** Resources that CDH fetches when it starts; it does not start without them. */
  readonly credentials: readonly { readonly resourceUri: string; readonly path: string }[]
  readonly registry: {
    /** Docker `auth.json` with the log-ins. */
    readonly credentialsUri: string | undefined
    /** Mirrors, remappings and blocks: the table of cdh.toml, or else a document to be fetched. */
    readonly configuration: RegistriesConfig | { readonly uri: string } | undefined
    readonly proxy: ProxyConfig | undefined
    /** PEM. */
    readonly extraRootCertificates: readonly string[]
    readonly maxConcurrentLayerDownloads: number
  }
  /** What the guest accepts without a word and is probably not meant. */
  readonly warnings: readonly ConfigWarning[]
}

/**
 * Decides what the guest does with its init data and kernel parameters, by its own order of precedence: cdh.toml before
 * `agent.aa_kbc_params`, aa.toml likewise, and kernel parameters for images only where cdh.toml has no `[image]`.
 * Files in the root file system and environment variables of the guest are not seen from here and not considered.
 * @param sources.kernelParams the text of the kernel command line, or of the annotation that adds to it.
 * @throws INVALID_TOML, INVALID_CONFIG where the guest would not boot.
 */
export function resolveGuestConfig(sources: {
  readonly initData?: InitData
  readonly kernelParams?: string
}): GuestConfig {
  const data = sources.initData?.data ?? new Map<string, string>()
  const kernel = parseKernelParams(sources.kernelParams ?? '')
  const cdhText = data.get('cdh.toml')
  const aaText = data.get('aa.toml')
  const cdh = cdhText === undefined ? undefined : parseCdhConfig(cdhText, 'cdh.toml')
  const aa = aaText === undefined ? undefined : parseAaConfig(aaText, 'aa.toml')

  const kbs = cdh === undefined ? kernelKbs(kernel) : configuredKbs(cdh)
  const tokenKbs = aa === undefined ? kernelTokenKbs(kernel) : aa.kbs
  const image = cdh?.image ?? kernelImage(kernel)
  const from = cdh?.image === undefined ? 'kernel parameters' : 'cdh.toml'
  const config = {
    kbs,
    tokenKbs: tokenKbs === undefined ? undefined : { url: tokenKbs.url, cert: tokenKbs.cert },
    policy: documentSource(image.securityPolicyUri, image.securityPolicy, from),
    sigstoreConfig: documentSource(image.sigstoreConfigUri, image.sigstoreConfig, from),
    credentials: [...(cdh?.credentials ?? []), ...kernel.credentials],
    registry: {
      credentialsUri: image.registryCredentialsUri,
      configuration:
        image.registries ?? (image.registriesUri === undefined ? undefined : { uri: image.registriesUri }),
      proxy: image.proxy,
      extraRootCertificates: image.extraRootCertificates,
      maxConcurrentLayerDownloads: image.maxConcurrentLayerDownloads,
    },
  }
  return {
    ...config,
    warnings: [
      ...fileWarnings(data),
      ...(aa?.warnings ?? []),
      ...(cdh?.warnings ?? []),
      ...kbsWarnings(config, aa),
      ...policyWarnings(config, kernel, cdh),
      ...ignoredWarnings(image),
      ...uriWarnings(image, config.credentials),
    ],
  }
}

type Kbs = NonNullable<GuestConfig['kbs']>
type Unjudged = Omit<GuestConfig, 'warnings'>

function configuredKbs({ kbc }: CdhConfig): Kbs | undefined {
  return kbc.name === 'cc_kbc' ? { url: kbc.url, cert: kbc.cert } : undefined
}

function kernelKbs({ aaKbcParams }: KernelParams): Kbs | undefined {
  const { name, url } = parseKbcParams(aaKbcParams ?? 'offline_fs_kbc::')
  return name === 'cc_kbc' ? { url, cert: undefined } : undefined
}

/** Unlike CDH, the Attestation Agent starts with a parameter that it cannot read, and has no KBS then. */
function kernelTokenKbs({ aaKbcParams = '' }: KernelParams): Kbs | undefined {
  const [name, url, ...more] = aaKbcParams.split('::')
  return name === 'cc_kbc' && url !== undefined && more.length === 0 ? { url, cert: undefined } : undefined
}

function kernelImage(kernel: KernelParams): ImageConfig {
  return {
    ...DEFAULT_IMAGE_CONFIG,
    securityPolicyUri: kernel.enableSignatureVerification ? kernel.imagePolicyFile : undefined,
    registryCredentialsUri: kernel.imageRegistryAuth,
    proxy: kernel.proxy,
  }
}

/** A URI wins over an inline text (image-rs, `builder.rs`). */
function documentSource(
  uri: string | undefined,
  text: string | undefined,
  from: 'cdh.toml' | 'kernel parameters',
): DocumentSource {
  if (uri !== undefined) return { kind: 'uri', uri, from }
  return text === undefined ? { kind: 'none' } : { kind: 'inline', text }
}

function fileWarnings(data: ReadonlyMap<string, string>): ConfigWarning[] {
  return [...data.keys()]
    .filter((name) => !INITDATA_FILES.includes(name))
    .map((name) => {
      const meant = nearest(name, INITDATA_FILES)
      const advice = meant === undefined ? '' : ` Is "${meant}" meant?`
      const message = `The init data has a file ${quote(name)}, which the guest does not read.${advice}`
      return { code: 'unknown-file', message }
    })
}

function kbsWarnings(config: Unjudged, aa: AaConfig | undefined): ConfigWarning[] {
  const { kbs, tokenKbs } = config
  if (kbs === undefined) {
    return [
      warning('no-kbs', 'The guest has no KBS: it reads resources from a file in its root file system.'),
    ]
  }
  if (tokenKbs === undefined) {
    const place = aa === undefined ? 'There is no aa.toml' : 'aa.toml has no table [token_configs.kbs]'
    return [
      warning(
        'no-kbs',
        `${place}: the Attestation Agent gets no token, so CDH gets no resource from ${quote(kbs.url)}.`,
      ),
    ]
  }
  if (normalUrl(kbs.url) !== normalUrl(tokenKbs.url)) {
    return [
      warning(
        'kbs-mismatch',
        `CDH asks the KBS ${quote(kbs.url)} with a token of the Attestation Agent for ${quote(tokenKbs.url)}; ` +
          'unless both are one service, it refuses the token.',
      ),
    ]
  }
  if ((kbs.cert ?? '').trim() === (tokenKbs.cert ?? '').trim()) return []
  return [
    warning(
      'kbs-mismatch',
      'cdh.toml (kbs_cert) and aa.toml (cert) have different certificates for the same KBS.',
    ),
  ]
}

function policyWarnings(config: Unjudged, kernel: KernelParams, cdh: CdhConfig | undefined): ConfigWarning[] {
  const warnings: ConfigWarning[] = []
  if (config.policy.kind === 'none') {
    warnings.push(warning('no-policy', 'There is no image security policy: the guest accepts every image.'))
  }
  if (config.policy.kind === 'uri' && config.policy.from === 'kernel parameters') {
    warnings.push(
      warning(
        'unbound-policy',
        'The policy is named by a kernel parameter, which the init data digest does not cover.',
      ),
    )
  }
  if (kernel.imagePolicyFile !== undefined && cdh?.image !== undefined) {
    warnings.push(
      warning('ignored-setting', 'agent.image_policy_file is ignored, because cdh.toml has a table [image].'),
    )
  } else if (kernel.imagePolicyFile !== undefined && !kernel.enableSignatureVerification) {
    warnings.push(
      warning(
        'ignored-setting',
        'agent.image_policy_file is ignored, because agent.enable_signature_verification is not "true".',
      ),
    )
  }
  return warnings
}

function ignoredWarnings(image: ImageConfig): ConfigWarning[] {
  const pairs: readonly (readonly [unknown, string, unknown, string])[] = [
    [image.securityPolicyUri, 'image_security_policy_uri', image.securityPolicy, 'image_security_policy'],
    [image.sigstoreConfigUri, 'sigstore_config_uri', image.sigstoreConfig, 'sigstore_config'],
    // The other way round than the two above.
    [image.registries, 'registry_config', image.registriesUri, 'registry_configuration_uri'],
  ]
  return pairs
    .filter(([winner, , loser]) => winner !== undefined && loser !== undefined)
    .map(([, winner, , loser]) =>
      warning('ignored-setting', `cdh.toml has ${winner} and ${loser}: the guest ignores ${loser}.`),
    )
}

function uriWarnings(image: ImageConfig, credentials: GuestConfig['credentials']): ConfigWarning[] {
  const uris = [
    image.securityPolicyUri,
    image.sigstoreConfigUri,
    image.registryCredentialsUri,
    image.registries === undefined ? image.registriesUri : undefined,
    ...credentials.map(({ resourceUri }) => resourceUri),
  ]
  return uris.flatMap((uri) => {
    const fault = uri === undefined ? undefined : resourceUriFault(uri)
    if (uri === undefined || fault === undefined) return []
    return [warning('bad-resource-uri', `The URI ${quote(uri)} ${fault}.`)]
  })
}

function warning(code: ConfigWarning['code'], message: string): ConfigWarning {
  return { code, message }
}

function normalUrl(text: string): string {
  return URL.canParse(text) ? new URL(text).href.replace(/\/+$/, '') : text
}
