import { type Clock, CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import type { HttpClient, HttpRequest } from '../net/index.ts'
import type { AuthChallenge } from './auth-challenge.ts'
import { type AccountCredentials, basicAuthorization } from './credentials.ts'
import { type Attempts, RETRIED_STATUSES } from './registry-attempts.ts'
import { registryError } from './registry-errors.ts'
import type { Realm } from './registry-realm.ts'

/** A bearer token of a registry's token server. */
export interface RegistryToken {
  readonly value: string
  /** Milliseconds since 1970 at which to ask for another. */
  readonly expires: number
  /** What stands for the password from now on (Docker's `identitytoken`), where it was asked for and is given. */
  readonly refreshToken?: string
}

export interface TokenRequest {
  readonly http: HttpClient
  readonly clock: Clock
  readonly challenge: AuthChallenge
  /** Of the challenge. */
  readonly realm: Realm
  /** For example `repository:library/busybox:pull`; none to log in alone. */
  readonly scopes: readonly string[]
  /** Asks for a refresh token, too. Default: false. */
  readonly offline?: boolean
  readonly credentials: AccountCredentials | undefined
  readonly attempts: Attempts
  readonly signal?: AbortSignal | undefined
}

/** The least lifetime of a token, whatever the server says (distribution, "Token Authentication Specification"). */
const LIFETIME_MIN_SECONDS = 60
const CLIENT_ID = 'cosignet'

/**
 * Gets a token from the realm of a challenge (distribution, "Token Authentication Specification"; with an identity
 * token, "OAuth2 Token Authentication"). Credentials are sent only where the realm may have them; no redirect is
 * followed.
 * @throws UNAUTHORIZED, FORBIDDEN, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED
 */
export async function fetchToken(request: TokenRequest): Promise<RegistryToken> {
  const { http, clock, scopes, realm, attempts, signal } = request
  for (;;) {
    const asked = clock().getTime()
    const response = await http.request({
      ...tokenExchange(request),
      redirects: 'refuse',
      ...(signal === undefined ? {} : { signal }),
    })
    const { status, headers } = response
    if (status === 200) return readToken(await response.bytes(LIMITS.tokenBytes), realm.url, asked)
    if (!RETRIED_STATUSES.has(status) || !(await attempts.again(signal, headers['retry-after']))) {
      const purpose = scopes.length === 0 ? '' : ` for ${quote(scopes.join(' '))}`
      throw await registryError(response, `Getting a token${purpose}`, realm.url.host)
    }
    response.discard()
  }
}

type TokenExchange = Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'>

function tokenExchange(request: TokenRequest): TokenExchange {
  const { credentials, realm, challenge, scopes } = request
  if (credentials === undefined || !realm.mayHaveCredentials) return anonymousExchange(request)
  if (credentials.kind === 'basic') {
    const { url } = anonymousExchange(request)
    url.searchParams.set('account', credentials.username)
    if (request.offline === true) {
      url.searchParams.set('offline_token', 'true')
      url.searchParams.set('client_id', CLIENT_ID)
    }
    const authorization = basicAuthorization(credentials.username, credentials.password)
    return { method: 'GET', url, headers: { authorization } }
  }
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: credentials.token,
    client_id: CLIENT_ID,
    scope: scopes.join(' '),
  })
  const service = challenge.parameters.get('service')
  if (service !== undefined) form.set('service', service)
  return {
    method: 'POST',
    url: realm.url,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
  }
}

function anonymousExchange({ challenge, realm, scopes }: TokenRequest): TokenExchange {
  const url = new URL(realm.url)
  const service = challenge.parameters.get('service')
  if (service !== undefined) url.searchParams.set('service', service)
  url.searchParams.delete('scope')
  for (const scope of scopes) url.searchParams.append('scope', scope)
  return { method: 'GET', url }
}

function readToken(bytes: Uint8Array, realm: URL, asked: number): RegistryToken {
  let answer: JsonValue
  try {
    answer = parseJson(bytes, 'the answer')
  } catch {
    // Without a cause: the bytes may hold a token.
    throw new CosignetError('BAD_RESPONSE', `The token server ${realm.origin} did not answer with JSON.`)
  }
  const members = (answer ?? {}) as { readonly [key: string]: JsonValue }
  const value = members['token'] || members['access_token']
  // What is not visible ASCII cannot stand in a header.
  if (typeof value !== 'string' || !/^[\x21-\x7e]+$/.test(value)) {
    throw new CosignetError('BAD_RESPONSE', `The token server ${realm.origin} answered without a token.`)
  }
  const lifetime = members['expires_in']
  const seconds = Math.max(typeof lifetime === 'number' ? lifetime : 0, LIFETIME_MIN_SECONDS)
  const refreshToken = members['refresh_token']
  return {
    value,
    // A tenth early, so that it does not run out on its way.
    expires: asked + seconds * 900,
    ...(typeof refreshToken === 'string' && refreshToken !== '' ? { refreshToken } : {}),
  }
}
