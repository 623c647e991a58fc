import { CosignetError, encodeBase64, quote, reasonOf } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import { sealBox } from './sealed-box.ts'
import { callStore, type StoreApi, storeBase, type UntrustedObject } from './store-api.ts'
import type { GitHubKeys } from './store-reference.ts'
import { type KeyPairFiles, type KeyStore, type PutKeyPairOptions, SECRET_NAMES } from './stores.ts'

export interface GitHubOptions {
  readonly http: Pick<HttpClient, 'request'>
  /** May write Actions secrets: `repo` for a repository, `admin:org` for an organization. */
  readonly token: string
  /** Of GitHub Enterprise: a URL or host name. Default: github.com. */
  readonly host?: string
}

/** Repositories of an organization that one secret is read back with. */
const PAGE = 100

/**
 * Sets a key pair as Actions secrets of a repository or organization, each in a sealed box for it alone, as cosign does
 * (pkg/cosign/git/github). GitHub gives no secret out again: what is replaced is lost, and nothing can be undone.
 * A new secret of an organization is for its private repositories; one that is there keeps those it is for.
 */
export function openGitHubSecrets(place: GitHubKeys, options: GitHubOptions): KeyStore {
  const { owner, repository } = place
  const folder = repository === undefined ? `orgs/${owner}` : `repos/${owner}/${repository}`
  const name = repository === undefined ? `github://${owner}` : `github://${owner}/${repository}`
  const github: GitHub = {
    name,
    api: apiOf(options),
    secrets: `${folder}/actions/secrets`,
    organization: repository === undefined,
  }
  return {
    name,
    existing: async (signal) => {
      const found = await Promise.all(
        Object.values(SECRET_NAMES).map(
          async (secret) => [secret, await getSecret(github, secret, signal)] as const,
        ),
      )
      return found.filter(([, secret]) => secret !== undefined).map(([secret]) => secret)
    },
    put: async (pair, putOptions) => await put(github, pair, putOptions),
  }
}

interface GitHub {
  readonly name: string
  readonly api: StoreApi
  /** Path of the secrets. */
  readonly secrets: string
  readonly organization: boolean
}

/** The address as go-github makes it, `WithEnterpriseURLs`. */
function apiOf({ http, token, host }: GitHubOptions): StoreApi {
  const apiHost =
    host === undefined ? undefined : URL.parse(host.includes('://') ? host : `https://${host}`)?.host
  const bare = apiHost === undefined || apiHost.startsWith('api.') || apiHost.includes('.api.')
  return {
    product: 'GitHub',
    http,
    base: storeBase('GITHUB_HOST', host ?? 'https://api.github.com', bare ? '' : 'api/v3/'),
    headers: {
      accept: 'application/vnd.github+json',
      authorization: `Bearer ${token}`,
      'x-github-api-version': '2022-11-28',
    },
  }
}

async function put(
  github: GitHub,
  pair: KeyPairFiles,
  options: PutKeyPairOptions,
): Promise<readonly string[]> {
  const { replace, signal } = options
  const key = await readRecipient(github, signal)
  const bodies: { readonly secret: string; readonly body: UntrustedObject }[] = []
  // All that can fail before the first secret is set, comes before it.
  for (const [part, secret] of Object.entries(SECRET_NAMES)) {
    const found = await getSecret(github, secret, signal)
    if (found !== undefined && !replace) {
      throw new CosignetError(
        'ALREADY_EXISTS',
        `The secret ${secret} exists already at ${quote(github.name)}.`,
        {
          hint: 'Choose another place: GitHub gives no secret out, so that the old key would be lost.',
        },
      )
    }
    const sealed = await sealBox(pair[part as keyof KeyPairFiles], key.bytes)
    const audience = github.organization ? await audienceOf(github, secret, found, signal) : {}
    bodies.push({ secret, body: { encrypted_value: encodeBase64(sealed), key_id: key.id, ...audience } })
  }
  const written: string[] = []
  for (const { secret, body } of bodies) {
    try {
      await set(github, secret, body, signal)
    } catch (error) {
      throw told(error, written)
    }
    written.push(secret)
  }
  return written
}

/** The key that GitHub wants secrets to be encrypted for. */
async function readRecipient(
  github: GitHub,
  signal: AbortSignal | undefined,
): Promise<{ readonly id: string; readonly bytes: Uint8Array }> {
  const answer = await callStore(github.api, {
    method: 'GET',
    path: `${github.secrets}/public-key`,
    what: 'give its public key',
    signal,
  })
  if (answer === undefined) {
    throw new CosignetError(
      'NOT_FOUND',
      `GitHub at ${github.api.base.host} has no ${quote(github.name)}, or the token may not manage its secrets.`,
      {
        hint: github.organization
          ? 'A user without a repository has no secrets: name one as github://OWNER/REPOSITORY.'
          : 'GITHUB_TOKEN must be allowed to write Actions secrets of that repository.',
      },
    )
  }
  const { key, key_id: id } = answer
  const bytes = Buffer.from(typeof key === 'string' ? key : '', 'base64')
  if (typeof id === 'string' && bytes.byteLength === 32 && bytes.toString('base64') === key)
    return { id, bytes }
  throw new CosignetError('BAD_RESPONSE', `GitHub at ${github.api.base.host} sent no key to encrypt for.`)
}

/** What GitHub tells of a secret; its value is not in it. */
async function getSecret(
  github: GitHub,
  secret: string,
  signal: AbortSignal | undefined,
): Promise<UntrustedObject | undefined> {
  return await callStore(github.api, {
    method: 'GET',
    path: `${github.secrets}/${secret}`,
    what: `tell of the secret ${secret}`,
    signal,
  })
}

/** Which repositories of an organization may use a secret: the API requires it with every change. */
async function audienceOf(
  github: GitHub,
  secret: string,
  found: UntrustedObject | undefined,
  signal: AbortSignal | undefined,
): Promise<UntrustedObject> {
  const visibility = found?.['visibility']
  if (visibility !== 'selected') return { visibility: visibility === 'all' ? 'all' : 'private' }
  const answer = await callStore(github.api, {
    method: 'GET',
    path: `${github.secrets}/${secret}/repositories?per_page=${PAGE}`,
    what: `tell who may use the secret ${secret}`,
    signal,
  })
  const repositories = Array.isArray(answer?.['repositories']) ? answer['repositories'] : []
  const ids = repositories.flatMap((repository: unknown) => {
    const id = (repository as { readonly id?: unknown } | null)?.id
    return typeof id === 'number' ? [id] : []
  })
  if (answer?.['total_count'] !== ids.length) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The secret ${secret} at ${quote(github.name)} is for more than the ${PAGE} repositories that can be kept.`,
      { hint: 'Set its visibility to private, or put the key into the repositories.' },
    )
  }
  return { visibility, selected_repository_ids: ids }
}

async function set(
  github: GitHub,
  secret: string,
  body: UntrustedObject,
  signal: AbortSignal | undefined,
): Promise<void> {
  const path = `${github.secrets}/${secret}`
  const answer = await callStore(github.api, {
    method: 'PUT',
    path,
    body,
    what: `set the secret ${secret}`,
    signal,
  })
  if (answer !== undefined) return
  throw new CosignetError(
    'NOT_FOUND',
    `GitHub at ${github.api.base.host} has no place for the secret ${secret}.`,
  )
}

/** Adds what is at GitHub by now; who tries again sets all three. */
function told(error: unknown, written: readonly string[]): unknown {
  if (written.length === 0 || !(error instanceof CosignetError)) return error
  return new CosignetError(
    error.code,
    `${reasonOf(error)}. Written so far: ${written.join(', ')}; they do not go with the rest.`,
    { cause: error, hint: 'Run the command again: it sets all three.' },
  )
}
