import { type Clock, CosignetError, isCosignetError, systemClock } from '../core/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'
import { type AuthChallenge, parseChallenges } from './auth-challenge.ts'
import { basicAuthorization } from './credentials.ts'
import { registryError } from './registry-errors.ts'
import { readRealm } from './registry-realm.ts'
import { fetchToken } from './registry-token.ts'
import { type RegistryOptions, RegistryTransport } from './registry-transport.ts'

export interface LoginOptions {
  /** As in a reference. */
  readonly registry: string
  readonly username: string
  readonly password: string
  readonly http: HttpClient
  readonly scheme?: RegistryOptions['scheme']
  /** Default: `systemClock`. */
  readonly clock?: Clock
  readonly signal?: AbortSignal
}

/** What a registry says to a login. */
export interface LoginAnswer {
  /** Whether it wants a login at all; if not, the password is not proved to be right. */
  readonly wanted: boolean
  /** What its token server wants to see in place of the password from now on, if it issued it (Docker Hub does not). */
  readonly identityToken?: string
}

const DOCKER_HUB_HOST = 'registry-1.docker.io'

/**
 * Tries a user name and password at a registry: asks for `/v2/` as docker does (distribution-spec, "Determining
 * Support"), answers its challenge, and asks again.
 * @throws UNAUTHORIZED if they are wrong; BAD_RESPONSE, UNSUPPORTED, UNAVAILABLE, TIMEOUT, ABORTED
 */
export async function tryLogin(options: LoginOptions): Promise<LoginAnswer> {
  const { registry, http, scheme, signal } = options
  // Whatever the repository: `/v2/` is above it.
  const transport = new RegistryTransport({
    registry,
    repository: 'any/any',
    http,
    ...(scheme === undefined ? {} : { scheme }),
  })
  const task = `Logging in to ${registry}`
  const first = await transport.send({
    method: 'GET',
    path: '../..',
    action: 'pull',
    expect: [401],
    once: true,
    signal,
    task,
  })
  first.discard()
  const base = new URL(`${first.url.protocol}//${registry === 'docker.io' ? DOCKER_HUB_HOST : registry}`)
  if (first.url.origin !== base.origin) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `${registry} redirects to ${first.url.origin}, which is not trusted with a login.`,
    )
  }
  if (first.status !== 401) return { wanted: false }
  const { authorization, identityToken } = await answer(first, options, transport)
  const second = await http.request({
    method: 'GET',
    url: new URL('/v2/', base),
    headers: { authorization },
    redirects: 'refuse',
    ...(signal === undefined ? {} : { signal }),
  })
  if (second.status === 401) throw refused(options)
  if (second.status >= 400) throw await registryError(second, task, registry)
  second.discard()
  return { wanted: true, ...(identityToken === undefined ? {} : { identityToken }) }
}

interface Authorization {
  readonly authorization: string
  readonly identityToken?: string | undefined
}

async function answer(
  response: HttpResponse,
  options: LoginOptions,
  transport: RegistryTransport,
): Promise<Authorization> {
  const { registry, username, password } = options
  for (const challenge of parseChallenges(response.headers['www-authenticate'] ?? '')) {
    if (challenge.scheme === 'basic') return { authorization: basicAuthorization(username, password) }
    if (challenge.scheme === 'bearer') return await askForToken(challenge, response.url, options, transport)
  }
  throw new CosignetError(
    'UNSUPPORTED',
    `${registry} wants a login, and neither by user name and password nor by a token.`,
  )
}

async function askForToken(
  challenge: AuthChallenge,
  base: URL,
  options: LoginOptions,
  transport: RegistryTransport,
): Promise<Authorization> {
  const { registry, username, password, http, clock = systemClock, signal } = options
  const realm = readRealm(challenge.parameters.get('realm') ?? '', base)
  if (!realm.mayHaveCredentials) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `${registry} sends logins to ${realm.url.origin}, which is not trusted with them.`,
    )
  }
  try {
    const { value, refreshToken } = await fetchToken({
      http,
      clock,
      challenge,
      realm,
      scopes: [],
      offline: true,
      credentials: { kind: 'basic', username, password },
      attempts: transport.attempts(),
      signal,
    })
    return { authorization: `Bearer ${value}`, identityToken: refreshToken }
  } catch (error) {
    throw isCosignetError(error, 'UNAUTHORIZED', 'FORBIDDEN') ? refused(options, error) : error
  }
}

/** The user name stays out: people type a password in its place. */
function refused({ registry }: LoginOptions, cause?: unknown): CosignetError {
  return new CosignetError('UNAUTHORIZED', `${registry} does not accept this user name and password.`, {
    cause,
    hint: 'Many registries want an access token in place of the password.',
  })
}
