import { CosignetError, quote } from '../core/index.ts'

/** Proxies for pulling images; `no` lists hosts that are reached without one. */
export interface ProxyConfig {
  readonly https: string | undefined
  readonly http: string | undefined
  readonly no: string | undefined
}

/**
 * The kernel parameters that guest components read. They count only where init data says nothing: see
 * `resolveGuestConfig`. Nothing binds them to the evidence as the init data digest binds init data.
 */
export interface KernelParams {
  /** `agent.aa_kbc_params`, `name::url`, not taken apart yet: where cdh.toml exists, nobody reads it. */
  readonly aaKbcParams: string | undefined
  /** `agent.image_policy_file`. */
  readonly imagePolicyFile: string | undefined
  /** Whether `agent.enable_signature_verification` is `true`, spelt so; without it the policy file is not read. */
  readonly enableSignatureVerification: boolean
  /** `agent.image_registry_auth`. */
  readonly imageRegistryAuth: string | undefined
  /** `agent.https_proxy`, `agent.http_proxy`, `agent.no_proxy`. */
  readonly proxy: ProxyConfig | undefined
  /** `cdh.kbs_resources`: added to the credentials of cdh.toml, always. */
  readonly credentials: readonly { readonly resourceUri: string; readonly path: string }[]
}

/**
 * Parses a kernel command line as the guest does (image-rs `config.rs`, attestation-agent `aa_kbc_params.rs`, CDH
 * `config/mod.rs`): parts between white space, no quoting. Of a parameter that is given twice, image-rs takes the
 * last one, the others the first one. Never fails: what the guest does not know it skips.
 */
export function parseKernelParams(text: string): KernelParams {
  const parts = text.split(/[ \t\n\f\r]+/)
  const last = new Map<string, string>()
  for (const part of parts) {
    const equals = part.indexOf('=')
    if (equals !== -1) last.set(part.slice(0, equals), part.slice(equals + 1))
  }
  const proxy = {
    https: last.get('agent.https_proxy'),
    http: last.get('agent.http_proxy'),
    no: last.get('agent.no_proxy'),
  }
  return {
    aaKbcParams: first(parts, 'agent.aa_kbc_params='),
    imagePolicyFile: last.get('agent.image_policy_file'),
    enableSignatureVerification: last.get('agent.enable_signature_verification') === 'true',
    imageRegistryAuth: last.get('agent.image_registry_auth'),
    proxy: Object.values(proxy).some((value) => value !== undefined) ? proxy : undefined,
    credentials: readCredentials(first(parts, 'cdh.kbs_resources=') ?? ''),
  }
}

/**
 * Takes `name::url` apart.
 * @throws INVALID_CONFIG with the guest's text, which an IPv6 address with `::` brings about too.
 */
export function parseKbcParams(params: string): { readonly name: string; readonly url: string } {
  const fault = kbcParamsFault(params)
  if (fault !== undefined) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `agent.aa_kbc_params is not valid: CDH stops with ${quote(fault)}.`,
    )
  }
  const [name = '', url = ''] = params.split('::')
  return { name, url }
}

/** The guest's error text where `params` is not two parts around one `::`. */
export function kbcParamsFault(params: string): string | undefined {
  return params.split('::').length === 2 ? undefined : `illegal aa_kbc_params format: ${params}`
}

function first(parts: readonly string[], prefix: string): string | undefined {
  return parts.find((part) => part.startsWith(prefix))?.slice(prefix.length)
}

function readCredentials(list: string): KernelParams['credentials'] {
  return list.split(',').flatMap((item) => {
    const separator = item.indexOf('::')
    if (separator === -1) return []
    return [{ resourceUri: item.slice(0, separator), path: item.slice(separator + 2) }]
  })
}
