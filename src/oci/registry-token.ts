import { type Clock, CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import { type HttpClient, type HttpRequest, isLoopbackHost } from '../net/index.ts'
import type { AuthChallenge } from './auth-challenge.ts'
import { basicAuthorization, type Credentials } from './credentials.ts'
import { registryError } from './registry-errors.ts'

/** A bearer token of a registry's token server. */
export interface RegistryToken {
  readonly value: string
  /** Milliseconds since 1970 at which to ask for another. */
  readonly expires: number
}

export interface TokenRequest {
  readonly http: HttpClient
  readonly clock: Clock
  /** Base URL of the registry that sent the challenge. */
  readonly registry: URL
  readonly challenge: AuthChallenge
  /** For example `repository:library/busybox:pull`. */
  readonly scope: string
  readonly credentials: Credentials | undefined
  readonly signal?: AbortSignal | undefined
}

/** The least lifetime of a token, whatever the server says (distribution, "Token Authentication Specification"). */
const LIFETIME_MIN_SECONDS = 60
const CLIENT_ID = 'cosignet'

/**
 * Gets a token from the server that the challenge names. That name comes from the registry, so it is not trusted:
 * `https` only, or plain `http` on loopback for a registry that itself is plain `http` on loopback, and then without
 * credentials; no redirect is followed.
 * @throws UNAUTHORIZED, FORBIDDEN, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED
 */
export async function fetchToken(request: TokenRequest): Promise<RegistryToken> {
  const { http, clock, scope } = request
  const realm = readRealm(request)
  const asked = clock().getTime()
  const what = `Getting a token for ${quote(scope)}`
  const response = await http.request({
    ...(realm.protocol === 'https:' ? tokenRequest(realm, request) : anonymousRequest(realm, request)),
    redirects: 'refuse',
    ...(request.signal === undefined ? {} : { signal: request.signal }),
  })
  if (response.status !== 200) throw await registryError(response, what, realm.host)
  return readToken(await response.bytes(LIMITS.tokenBytes), realm, asked)
}

function readRealm({ challenge, registry }: TokenRequest): URL {
  const text = challenge.parameters.get('realm') ?? ''
  const realm = URL.parse(text)
  const plainAllowed =
    registry.protocol === 'http:' &&
    isLoopbackHost(registry.hostname) &&
    realm !== null &&
    isLoopbackHost(realm.hostname)
  const allowed = realm?.protocol === 'https:' || (realm?.protocol === 'http:' && plainAllowed)
  if (realm === null || !allowed || realm.username !== '' || realm.password !== '') {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The registry ${registry.host} names a token server that is not trusted: ${quote(text)} is not an https URL.`,
    )
  }
  return realm
}

type TokenExchange = Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'>

function tokenRequest(realm: URL, request: TokenRequest): TokenExchange {
  const { credentials } = request
  if (credentials === undefined) return anonymousRequest(realm, request)
  if (credentials.kind === 'basic') {
    const { url } = anonymousRequest(realm, request)
    url.searchParams.set('account', credentials.username)
    const authorization = basicAuthorization(credentials.username, credentials.password)
    return { method: 'GET', url, headers: { authorization } }
  }
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    refresh_token: credentials.token,
    client_id: CLIENT_ID,
    scope: request.scope,
  })
  const service = request.challenge.parameters.get('service')
  if (service !== undefined) form.set('service', service)
  return {
    method: 'POST',
    url: realm,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: Buffer.from(form.toString()),
  }
}

function anonymousRequest(realm: URL, { challenge, scope }: TokenRequest): TokenExchange {
  const url = new URL(realm)
  const service = challenge.parameters.get('service')
  if (service !== undefined) url.searchParams.set('service', service)
  url.searchParams.set('scope', scope)
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
  // A tenth early, so that it does not run out on its way.
  return { value, expires: asked + seconds * 900 }
}
