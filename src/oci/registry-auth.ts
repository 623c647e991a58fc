import type { Clock } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import { type AuthChallenge, parseChallenges } from './auth-challenge.ts'
import { basicAuthorization, type CredentialProvider, type Credentials } from './credentials.ts'
import { fetchToken, type RegistryToken } from './registry-token.ts'

/** What a request wants to do in its repository; each includes those before it. */
export type RegistryAction = 'pull' | 'push' | 'delete'

const ACTIONS: readonly RegistryAction[] = ['pull', 'push', 'delete']
const SUPPORTED: readonly string[] = ['bearer', 'basic']

export interface RegistryAuthOptions {
  readonly http: HttpClient
  readonly clock: Clock
  /** As in a reference. */
  readonly registry: string
  readonly repository: string
  readonly credentials: CredentialProvider | undefined
}

/**
 * Who we are to one repository: says nothing until the registry asks, then answers its challenge and keeps the token
 * until it runs out.
 */
export class RegistryAuth {
  readonly #options: RegistryAuthOptions
  #challenge: AuthChallenge | undefined
  #credentials: Promise<Credentials | undefined> | undefined
  readonly #tokens = new Map<RegistryAction, Promise<RegistryToken>>()

  constructor(options: RegistryAuthOptions) {
    this.#options = options
  }

  /**
   * The Authorization header for a request to the registry, or undefined to ask without one.
   * @throws UNAUTHORIZED, FORBIDDEN, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED, INVALID_CONFIG
   */
  async authorization(base: URL, action: RegistryAction, signal?: AbortSignal): Promise<string | undefined> {
    const challenge = this.#challenge
    if (challenge === undefined) return undefined
    if (challenge.scheme === 'bearer') {
      return bearer(await this.#token(base, challenge, action, signal))
    }
    const credentials = await this.#findCredentials()
    if (credentials?.kind !== 'basic') return undefined
    return basicAuthorization(credentials.username, credentials.password)
  }

  /**
   * Takes the challenge of an answer 401.
   * @param used the Authorization header that was refused, if there was one.
   * @returns whether the request is worth sending again: there is something new to say.
   */
  async challenged(header: string | undefined, used: string | undefined): Promise<boolean> {
    const challenge = parseChallenges(header ?? '').find(({ scheme }) => SUPPORTED.includes(scheme))
    if (challenge === undefined) return false
    this.#challenge = challenge
    if (challenge.scheme === 'basic')
      return used === undefined && (await this.#findCredentials())?.kind === 'basic'
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
    signal: AbortSignal | undefined,
  ): Promise<RegistryToken> {
    const now = this.#options.clock().getTime()
    for (const key of ACTIONS.slice(ACTIONS.indexOf(action))) {
      const pending = this.#tokens.get(key)
      // No waiting where there is none: two requests at once must not get two tokens.
      const token = pending === undefined ? undefined : await pending.catch(() => undefined)
      if (token !== undefined && token.expires > now) return token
    }
    const { http, clock, repository } = this.#options
    const actions = ACTIONS.slice(0, ACTIONS.indexOf(action) + 1).join(',')
    const pending = this.#findCredentials().then((credentials) =>
      fetchToken({
        http,
        clock,
        registry: base,
        challenge,
        scope: `repository:${repository}:${actions}`,
        credentials,
        signal,
      }),
    )
    this.#tokens.set(action, pending)
    return await pending
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
