import { X509Certificate } from 'node:crypto'
import { CosignetError, encodeUtf8, parseJson, quote } from '../core/index.ts'
import { DEFAULT_CDH_SOCKET } from './cdh-config.ts'
import { resourceUriFault } from './cdh-config-uri.ts'
import { encodeInitData, type InitData, type InitDataAlgorithm, parseInitData } from './initdata.ts'
import { tomlString } from './initdata-toml.ts'

export interface CreateInitDataOptions {
  /** `http://` or `https://` address of the KBS, for the Attestation Agent and CDH alike. */
  readonly kbsUrl: string
  /** PEM, one certificate: the one that the guest trusts for the KBS. */
  readonly kbsCert?: string
  /**
   * The image security policy: a `kbs:///repository/type/tag` or `file:///path` that the guest fetches, or the JSON
   * itself, which is then bound to the evidence. Undefined: the guest accepts every image.
   */
  readonly policy: { readonly uri: string } | { readonly inline: string } | undefined
  /** PEM, one certificate each: trusted for registries, beside the public ones. */
  readonly registryCa?: readonly string[]
  readonly algorithm: InitDataAlgorithm
}

/**
 * Makes init data with an aa.toml and a cdh.toml that lead the guest to a KBS and a policy, as the CoCo guide "Signed
 * images" has them. The same options give the same bytes. The inline policy is checked to be JSON, not to be a policy.
 * @throws INVALID_CONFIG for a URL or certificate; INVALID_RESOURCE_PATH; INVALID_JSON; TOO_LARGE
 */
export function createInitData(options: CreateInitDataOptions): InitData {
  const url = checkKbsUrl(options.kbsUrl)
  const cert = options.kbsCert === undefined ? undefined : readCertificate(options.kbsCert, 'the KBS')
  const data = new Map([
    ['aa.toml', aaToml(url, cert)],
    ['cdh.toml', cdhToml(url, cert, imageLines(options))],
  ])
  const bytes = encodeInitData({ algorithm: options.algorithm, data })
  return parseInitData(bytes, 'The new init data')
}

function aaToml(url: string, cert: string | undefined): string {
  return lines(
    '[token_configs]',
    '[token_configs.coco_as]',
    `url = ${tomlString(url)}`,
    '',
    '[token_configs.kbs]',
    `url = ${tomlString(url)}`,
    ...(cert === undefined ? [] : [`cert = ${tomlString(cert)}`]),
  )
}

function cdhToml(url: string, cert: string | undefined, image: readonly string[]): string {
  return lines(
    `socket = ${tomlString(DEFAULT_CDH_SOCKET)}`,
    'credentials = []',
    '',
    '[kbc]',
    'name = "cc_kbc"',
    `url = ${tomlString(url)}`,
    ...(cert === undefined ? [] : [`kbs_cert = ${tomlString(cert)}`]),
    ...(image.length === 0 ? [] : ['', '[image]', ...image]),
  )
}

/** Nothing to say must be no table: an empty `[image]` would switch off the kernel parameters. */
function imageLines({ policy, registryCa = [] }: CreateInitDataOptions): string[] {
  const certificates = registryCa.map((pem) => `  ${tomlString(readCertificate(pem, 'a registry'))},`)
  return [
    ...(policy === undefined ? [] : [policyLine(policy)]),
    ...(certificates.length === 0 ? [] : ['extra_root_certificates = [', ...certificates, ']']),
  ]
}

function policyLine(policy: { readonly uri: string } | { readonly inline: string }): string {
  if ('uri' in policy) {
    const fault = resourceUriFault(policy.uri)
    if (fault !== undefined) {
      throw new CosignetError('INVALID_RESOURCE_PATH', `The policy URI ${quote(policy.uri)} ${fault}.`)
    }
    return `image_security_policy_uri = ${tomlString(policy.uri)}`
  }
  parseJson(encodeUtf8(policy.inline), 'The inline policy')
  return `image_security_policy = ${tomlString(policy.inline)}`
}

/** The guest adds its own paths to the URL and takes `name::url` apart at every `::`. */
function checkKbsUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:\/\//.test(text)) throw badUrl(text, 'is not an http or https URL')
  // The value is not quoted where it may hold a password.
  if (url.username !== '' || url.password !== '') {
    throw new CosignetError('INVALID_CONFIG', 'The KBS URL has a user name or password in it.')
  }
  if (text.includes('::')) throw badUrl(text, 'has "::" in it, at which the guest splits its configuration')
  if (url.search !== '' || url.hash !== '') throw badUrl(text, 'has a query or fragment')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: URL parsers drop them silently.
  if (/[\u0000-\u0020\u007f]/.test(text)) throw badUrl(text, 'has a space or control character in it')
  return text
}

function badUrl(text: string, reason: string): CosignetError {
  return new CosignetError('INVALID_CONFIG', `The KBS URL ${quote(text)} ${reason}.`)
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** The guest reads the first certificate of a text and drops the others without a word. */
function readCertificate(pem: string, owner: string): string {
  const blocks = pem.match(CERTIFICATE) ?? []
  if (/-----BEGIN [A-Z ]*PRIVATE KEY-----/.test(pem)) {
    throw new CosignetError('INVALID_CONFIG', `The certificate for ${owner} comes with a private key.`, {
      hint: 'Init data is public: pass the certificate alone.',
    })
  }
  const [block] = blocks
  if (block === undefined || blocks.length > 1) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `The certificate for ${owner} is not one PEM certificate: ${blocks.length} found.`,
    )
  }
  try {
    return new X509Certificate(block).toString()
  } catch (error) {
    throw new CosignetError('INVALID_CONFIG', `The certificate for ${owner} cannot be read.`, {
      cause: error,
    })
  }
}

function lines(...parts: readonly string[]): string {
  return `${parts.join('\n')}\n`
}
