import type { JsonValue } from '../../core/index.ts'
import { encryptForTee, type JweMessage } from '../protocol/jwe.ts'
import { isResourcePath } from '../protocol/resource-path.ts'
import { readTeePublicKey, type TeePublicKey } from '../protocol/tee-key.ts'
import { teeKeyThumbprint } from '../protocol/thumbprint.ts'
import { type EarTokens, primaryEvidence, type TokenClaims } from './ear-token.ts'
import { KbsRefusal } from './errors.ts'
import type { KbsEvent } from './events.ts'
import type { ResourcePolicy } from './resource-policy.ts'
import type { Sessions } from './sessions.ts'
import { type KbsStorage, NAMESPACES } from './storage.ts'

/** Name of the one plugin. */
export const RESOURCE_PLUGIN = 'resource'

export interface ResourcesOptions {
  readonly storage: KbsStorage
  readonly sessions: Sessions
  readonly tokens: EarTokens
  readonly policy: ResourcePolicy
  readonly record: (event: Omit<KbsEvent, 'time'>) => void
}

/** What a guest shows; the session comes first, as in Trustee. Both untrusted. */
export interface GuestCredentials {
  readonly sessionId: string | undefined
  readonly bearerToken: string | undefined
}

/** The resources of a KBS: to guests by token and policy, to administrators by what the caller checked before. */
export class Resources {
  readonly #options: ResourcesOptions

  constructor(options: ResourcesOptions) {
    this.#options = options
  }

  /**
   * Releases a resource to a guest, encrypted for the key in its token.
   * @param path untrusted; as in Trustee, only who may have the resource learns that there can be none.
   * @throws KbsRefusal TokenNotFound, TokenVerifierError, PolicyDeny; PluginInternalError if there is no such resource.
   */
  async release(
    path: string,
    query: Readonly<Record<string, string>>,
    credentials: GuestCredentials,
  ): Promise<JweMessage> {
    const claims = await this.#claimsOf(credentials)
    const recipient = recipientOf(claims)
    const teeKey = teeKeyThumbprint(recipient)
    const input = { claims, plugin: RESOURCE_PLUGIN, path: path.split('/'), query }
    if ((await this.#options.policy(input)) !== true) {
      throw new KbsRefusal('PolicyDeny', 'Access denied by policy', { teeKey })
    }
    const stored = isResourcePath(path)
      ? await this.#options.storage.get(NAMESPACES.resources, path)
      : undefined
    if (stored === undefined) throw missing(teeKey)
    const message = encryptForTee(recipient, stored.value)
    this.#options.record({ kind: 'released', path, teeKey })
    return message
  }

  /**
   * Stores a resource, in place of another unless `ifAbsent` is set.
   * @throws KbsRefusal PreconditionFailed; PluginInternalError for what is not a resource path
   */
  async store(path: string, value: Uint8Array, ifAbsent: boolean, admin: string): Promise<void> {
    if (!isResourcePath(path)) throw missing()
    const condition = ifAbsent ? { version: null } : undefined
    const outcome = await this.#options.storage.put(NAMESPACES.resources, path, value, condition)
    if (outcome === 'conflict') throw new KbsRefusal('PreconditionFailed', 'The resource exists already')
    this.#options.record({ kind: 'stored', path, admin })
  }

  /** Deletes a resource. @throws KbsRefusal PluginInternalError if there is none. */
  async delete(path: string, admin: string): Promise<void> {
    const deleted = isResourcePath(path) && (await this.#options.storage.delete(NAMESPACES.resources, path))
    if (!deleted) throw missing()
    this.#options.record({ kind: 'deleted', path, admin })
  }

  /** Lists the paths of all resources, sorted. */
  async list(admin: string): Promise<string[]> {
    const paths = (await this.#options.storage.list(NAMESPACES.resources)).filter(isResourcePath)
    this.#options.record({ kind: 'listed', admin })
    return paths
  }

  async #claimsOf({ sessionId, bearerToken }: GuestCredentials): Promise<TokenClaims> {
    const session = await this.#options.sessions.find(sessionId)
    const token = session?.session.token ?? bearerToken
    if (token === undefined) throw new KbsRefusal('TokenNotFound', 'Attestation Token not found')
    const claims = await this.#options.tokens.verify(token)
    if (claims === undefined) throw new KbsRefusal('TokenVerifierError', 'Token Verifier error')
    return claims
  }
}

/** The TEE key that the evidence vouched for. It was checked when the token was issued. */
function recipientOf(claims: TokenClaims): TeePublicKey {
  const bound = primaryEvidence(claims)?.['runtime_data_claims'] as { 'tee-pubkey'?: JsonValue } | undefined
  return readTeePublicKey(bound?.['tee-pubkey'] ?? null).publicKey
}

/** Trustee's answer, which does not tell a guest what there is. */
function missing(teeKey?: string): KbsRefusal {
  return new KbsRefusal('PluginInternalError', 'Plugin internal error', {
    cause: new Error('resource not found'),
    ...(teeKey === undefined ? {} : { teeKey }),
  })
}
