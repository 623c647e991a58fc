import type { Clock } from '../core/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'
import { type AuthChallenge, parseChallenges } from './auth-challenge.ts'
import {
  type AccountCredentials,
  basicAuthorization,
  type CredentialProvider,
  type Credentials,
} from './credentials.ts'
import type { Attempts } from './registry-attempts.ts'
import { type Realm, readRealm } from './registry-realm.ts'
import { fetchToken, type RegistryToken } from './registry-token.ts'

/**
 * What a request wants to do in its repository: `pull`, `push` and `delete` each include those before; `mount` is
 * `push` with a `pull` in the repository that blobs are mounted from.
 */
export type RegistryAction = 'pull' | 'push' | 'delete' | 'mount'

/** The scope of each action, and the actions whose tokens serve for it, the least first. */
const ACTIONS: Readonly<
  Record<RegistryAction, { readonly scope: string; readonly servedBy: readonly RegistryAction[] }>
> = {
  pull: { scope: 'pull', servedBy: ['pull', 'push', 'mount', 'delete'] },
  push: { scope: 'pull,push', servedBy: ['push', 'mount', 'delete'] },
  delete: { scope: 'pull,push,delete', servedBy: ['delete'] },
  mount: { scope: 'pull,push', servedBy: ['mount'] },
}

const SUPPORTED: readonly string[] = ['bearer', 'basic']

export interface RegistryAuthOptions {
  readonly http: HttpClient
  readonly clock: Clock
  /** As in a reference. */
  readonly registry: string
  readonly repository: string
  /** The repository that blobs are mounted from. */
  readonly mountFrom: string | undefined
  readonly credentials: CredentialProvider | undefined
  /** The budget for one task, new for each. */
  readonly attempts: () => Attempts
}

/**
 * Who we are to one repository: says nothing until the registry asks, then answers its challenge and keeps the token
 * until it runs out.
 */
export class RegistryAuth {
  readonly #options: RegistryAuthOptions
  #challenge: AuthChallenge | undefined
  #credentials: Promise<Credentials | undefined> | undefined
  #withheldFrom: string | undefined
  readonly #tokens = new Map<RegistryAction, Promise<RegistryToken>>()

  constructor(options: RegistryAuthOptions) {
    this.#options = options
  }

  /** The host of a token server that was asked anonymously although there are credentials for the registry. */
  get withheldFrom(): string | undefined {
    return this.#withheldFrom
  }

  /**
   * The Authorization header for a request to the registry, or undefined to ask without one.
   * @throws UNAUTHORIZED, FORBIDDEN, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED, INVALID_CONFIG
   */
  async authorization(base: URL, action: RegistryAction, signal?: AbortSignal): Promise<string | undefined> {
    const challenge = this.#challenge
    if (challenge === undefined) return undefined
    const credentials = await this.#findCredentials()
    if (challenge.scheme === 'bearer') {
      if (credentials?.kind === 'registry-token') return `Bearer ${credentials.bearer}`
      return bearer(await this.#token(base, challenge, action, credentials, signal))
    }
    if (credentials?.kind !== 'basic') return undefined
    return basicAuthorization(credentials.username, credentials.password)
  }

  /**
   * Takes the challenge of an answer 401 that the registry itself gave.
   * @param used the Authorization header that was refused, if there was one.
   * @returns whether the request is worth sending again: there is something new to say.
   */
  async challenged({ headers }: HttpResponse, used: string | undefined): Promise<boolean> {
    const challenges = parseChallenges(headers['www-authenticate'] ?? '')
    const challenge = challenges.find(({ scheme }) => SUPPORTED.includes(scheme))
    if (challenge === undefined) return false
    this.#challenge = challenge
    const credentials = await this.#findCredentials()
    if (challenge.scheme === 'basic') return used === undefined && credentials?.kind === 'basic'
    if (credentials?.kind === 'registry-token') return used === undefined
    for (const [action, pending] of this.#tokens) {
      const token = await pending.catch(() => undefined)
      if (token !== undefined && bearer(token) === used) this.#tokens.delete(action)
    }
    return true
  }

  async #token(
    base: URL,
    challenge: AuthChallenge,
    action: RegistryAction,
    credentials: AccountCredentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RegistryToken> {
    const now = this.#options.clock().getTime()
    for (const key of ACTIONS[action].servedBy) {
      const pending = this.#tokens.get(key)
      // No waiting where there is none: two requests at once must not get two tokens.
      const token = pending === undefined ? undefined : await pending.catch(() => undefined)
      if (token !== undefined && token.expires > now) return token
    }
    const pending = this.#fetch(
      readRealm(challenge.parameters.get('realm') ?? '', base),
      challenge,
      action,
      credentials,
      signal,
    )
    this.#tokens.set(action, pending)
    return await pending
  }

  async #fetch(
    realm: Realm,
    challenge: AuthChallenge,
    action: RegistryAction,
    credentials: AccountCredentials | undefined,
    signal: AbortSignal | undefined,
  ): Promise<RegistryToken> {
    const { http, clock, repository, mountFrom } = this.#options
    if (credentials !== undefined && !realm.mayHaveCredentials) this.#withheldFrom = realm.url.host
    const scopes = [`repository:${repository}:${ACTIONS[action].scope}`]
    if (action === 'mount' && mountFrom !== undefined) scopes.push(`repository:${mountFrom}:pull`)
    const attempts = this.#options.attempts()
    return await fetchToken({ http, clock, challenge, realm, scopes, credentials, attempts, signal })
  }

  #findCredentials(): Promise<Credentials | undefined> {
    const { credentials, registry, repository } = this.#options
    this.#credentials ??= credentials?.(registry, repository) ?? Promise.resolve(undefined)
    return this.#credentials
  }
}

function bearer(token: RegistryToken): string {
  return `Bearer ${token.value}`
}
