import { CosignetError, quote } from '../core/index.ts'
import { shownUrl } from '../net/index.ts'

/** Where a key is, or a key pair is to be put. */
export type KeyReference =
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'url'; readonly url: URL }
  | KubernetesKeys
  | GitLabKeys
  | GitHubKeys

/** A Secret of Kubernetes. */
export interface KubernetesKeys {
  readonly kind: 'kubernetes'
  readonly namespace: string
  readonly name: string
}

/** The CI/CD variables of a project or group. */
export interface GitLabKeys {
  readonly kind: 'gitlab'
  /** Number, or full path such as `group/subgroup/project`. */
  readonly path: string
}

/** The Actions secrets of a repository, or of an organization where no repository is named. */
export interface GitHubKeys {
  readonly kind: 'github'
  readonly owner: string
  readonly repository?: string
}

/**
 * Reads what `--key` takes, as cosign spells it: a path, `env://VARIABLE`, `https://…`, `k8s://namespace/name`,
 * `gitlab://project-or-group`, `github://owner[/repository]`. Every part is checked before it gets into a URL. Nothing
 * is opened here, so that a place can be good in form and still not be there.
 * @throws USAGE for what is none of them; UNSUPPORTED for a KMS or a token (pkcs11:), by name
 */
export function parseKeyReference(text: string): KeyReference {
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(text)?.[1]
  if (/^pkcs11:/i.test(text)) throw unsupported(text, 'a hardware token')
  if (scheme === undefined) return { kind: 'file', path: text }
  const rest = text.slice(scheme.length + 3)
  const parse = SCHEMES[scheme]
  if (parse !== undefined) return parse(rest, text)
  if (Object.hasOwn(KMS, scheme)) throw unsupported(text, KMS[scheme] ?? scheme)
  throw new CosignetError('USAGE', `${quote(shownUrl(text))} does not say where a key is.`, {
    hint: FORMS,
  })
}

const FORMS =
  'A key is a file, env://VARIABLE, https://…, k8s://NAMESPACE/NAME, gitlab://PROJECT or github://OWNER/REPOSITORY.'

const SCHEMES: Readonly<Record<string, (rest: string, text: string) => KeyReference>> = {
  env: parseEnvironment,
  https: parseUrl,
  http: parseUrl,
  k8s: parseKubernetes,
  gitlab: parseGitLab,
  github: parseGitHub,
}

/** Key management services that cosign knows. */
const KMS: Readonly<Record<string, string>> = {
  awskms: 'the KMS of AWS',
  gcpkms: 'the KMS of Google Cloud',
  azurekms: 'the Key Vault of Azure',
  hashivault: 'Vault',
}

function unsupported(text: string, place: string): CosignetError {
  return new CosignetError(
    'UNSUPPORTED',
    `The key ${quote(shownUrl(text))} is in ${place}, which is not supported.`,
    {
      hint: "Verify with its public key in a file, which 'cosign public-key' writes; sign with cosign itself.",
    },
  )
}

function parseEnvironment(variable: string): KeyReference {
  if (/^[A-Za-z_][A-Za-z0-9_]*$/.test(variable)) return { kind: 'environment', variable }
  throw new CosignetError('USAGE', `${quote(variable)} is not the name of an environment variable.`)
}

function parseUrl(_rest: string, text: string): KeyReference {
  const url = URL.parse(text)
  if (url === null) throw new CosignetError('USAGE', `${quote(shownUrl(text))} is not a URL.`)
  if (url.username === '' && url.password === '') return { kind: 'url', url }
  throw new CosignetError('USAGE', `The URL of a key at ${quote(url.host)} must not hold a user or password.`)
}

/** A label, and a name of several (RFC 1123), as Kubernetes checks namespaces and Secrets. */
const LABEL = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/
const SUBDOMAIN = /^(?=.{1,253}$)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/

function parseKubernetes(rest: string, text: string): KubernetesKeys {
  const [namespace = '', name = '', ...more] = rest.split('/')
  if (LABEL.test(namespace) && SUBDOMAIN.test(name) && more.length === 0) {
    return { kind: 'kubernetes', namespace, name }
  }
  throw new CosignetError('USAGE', `${quote(text)} does not name a Secret as k8s://NAMESPACE/NAME.`)
}

/** Letters, digits, `_`, `-` and `.`; a segment of dots alone would leave its place in a URL. */
const GITLAB_SEGMENT = /^(?!\.+$)[\p{L}\p{N}_.-]{1,255}$/u

function parseGitLab(path: string, text: string): GitLabKeys {
  const segments = path.split('/')
  if (segments.length <= 32 && segments.every((part) => GITLAB_SEGMENT.test(part))) {
    return { kind: 'gitlab', path }
  }
  throw new CosignetError(
    'USAGE',
    `${quote(text)} does not name a project or group as gitlab://GROUP/PROJECT.`,
  )
}

const GITHUB_OWNER = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/
const GITHUB_REPOSITORY = /^(?!\.+$)[A-Za-z0-9_.-]{1,100}$/

function parseGitHub(rest: string, text: string): GitHubKeys {
  const [owner = '', repository, ...more] = rest.split('/')
  const known = repository === undefined || GITHUB_REPOSITORY.test(repository)
  if (!GITHUB_OWNER.test(owner) || !known || more.length > 0) {
    throw new CosignetError(
      'USAGE',
      `${quote(text)} does not name an owner or a repository as github://OWNER/REPOSITORY.`,
    )
  }
  return { kind: 'github', owner, ...(repository === undefined ? {} : { repository }) }
}
