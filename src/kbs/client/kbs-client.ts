import { CosignetError, encodeUtf8, LIMITS, quote } from '../../core/index.ts'
import { decryptForTee } from '../protocol/jwe.ts'
import { SESSION_COOKIE } from '../protocol/rcar.ts'
import { formatResourceUri, type ResourcePath } from '../protocol/resource-path.ts'
import { generateTeeKey, type TeeKey } from '../protocol/tee-key.ts'
import { type Attested, type AttestOptions, runHandshake } from './handshake.ts'
import { callKbs, type KbsAnswer, type KbsCall, type KbsHttp, parseAnswer } from './kbs-http.ts'

export interface KbsClientOptions {
  /** Where the KBS is, without /kbs/v0: `https://kbs.example:8080`. */
  readonly url: URL
  readonly http: KbsHttp
  /** Key of the TEE. Default: a new P-256 key, made at the first handshake. */
  readonly teeKey?: TeeKey
}

export interface AdminOptions {
  /** A token of `signAdminToken`, or one that the KBS's own administration issued. */
  readonly adminToken: string
}

export interface SetResourceOptions extends AdminOptions {
  /**
   * Refuse with ALREADY_EXISTS where there is a resource. Our own KBS honours it; Trustee ignores it and replaces the
   * resource. Default: false.
   */
  readonly ifAbsent?: boolean
}

type Refused = Extract<KbsAnswer, { granted: false }>

/** Requests for one resource, handshakes between them; what the guest does (kbs_protocol). */
const GET_ATTEMPTS = 3

/** Refusals that a new handshake may cure. */
const TOKEN_ERRORS: ReadonlySet<string | undefined> = new Set(['TokenNotFound', 'TokenVerifierError'])
const ADMIN_ERRORS: ReadonlySet<string | undefined> = new Set(['AdminAuthInitialization', 'AdminAuthAccess'])

/**
 * A client of one KBS, in both its roles: as a guest it attests and reads resources, as an administrator it stores and
 * deletes them. Speaks to Trustee since 0.14 (guests) and since 0.21 (administrators).
 */
export class KbsClient {
  readonly #url: URL
  readonly #http: KbsHttp
  #teeKey: TeeKey | undefined
  #options: AttestOptions = { tee: 'sample' }
  #attested: Attested | undefined

  constructor(options: KbsClientOptions) {
    this.#url = options.url
    this.#http = options.http
    this.#teeKey = options.teeKey
  }

  /**
   * Attests as a guest; later requests build on it.
   * @throws FORBIDDEN if the KBS refuses; BAD_RESPONSE, UNAVAILABLE, TIMEOUT
   */
  async attest(options: AttestOptions): Promise<Attested> {
    this.#teeKey ??= await generateTeeKey()
    this.#options = options
    this.#attested = await runHandshake(this.#http, this.#url, options, this.#teeKey)
    return this.#attested
  }

  /**
   * Reads a resource as a guest. Attests first where that has not been done or is over: as in the last `attest`, or
   * with sample evidence and no init data.
   * @throws NOT_FOUND if there is no such resource (the KBS tells it so from other internal errors in its log alone);
   * FORBIDDEN if its policy denies it; BAD_RESPONSE if what it answers cannot be decrypted; UNAVAILABLE, TIMEOUT
   */
  async getResource(path: ResourcePath): Promise<Uint8Array> {
    const what = this.#name(path)
    for (let attempt = 1; ; attempt += 1) {
      const { sessionId, teeKey } = this.#attested ?? (await this.attest(this.#options))
      const headers = { cookie: `${SESSION_COOKIE}=${sessionId}` }
      const answer = await this.#call({ method: 'GET', path: `resource/${path}`, headers })
      if (answer.granted) return decryptForTee(teeKey, parseAnswer(answer.body, `The answer for ${what}`))
      if (!TOKEN_ERRORS.has(answer.name)) throw this.#refused(answer, what)
      this.#attested = undefined
      if (attempt === GET_ATTEMPTS) {
        throw new CosignetError(
          'FORBIDDEN',
          `The KBS does not honour its own attestation for ${what}: ${quote(answer.refusal.detail)}.`,
          { hint: 'The replicas of the KBS may not share their sessions, or not trust their token signer.' },
        )
      }
    }
  }

  /**
   * Stores a resource as an administrator.
   * @param bytes at most LIMITS.resourceBytes; not encrypted by us, so the URL should be https.
   * @throws UNAUTHORIZED, ALREADY_EXISTS, TOO_LARGE, NOT_FOUND, BAD_RESPONSE, UNAVAILABLE, TIMEOUT
   */
  async setResource(path: ResourcePath, bytes: Uint8Array, options: SetResourceOptions): Promise<void> {
    const what = this.#name(path)
    if (bytes.byteLength > LIMITS.resourceBytes) throw tooLarge(what)
    const condition = options.ifAbsent === true ? { 'if-none-match': '*' } : {}
    const headers = { 'content-type': 'application/octet-stream', ...authorization(options), ...condition }
    const answer = await this.#call({ method: 'POST', path: `resource/${path}`, headers, body: bytes })
    if (answer.granted) return
    if (answer.status === 412) {
      throw new CosignetError('ALREADY_EXISTS', `${what} exists already.`)
    }
    throw this.#refused(answer, what)
  }

  /**
   * Deletes a resource as an administrator.
   * @throws UNAUTHORIZED; NOT_FOUND if there is none; BAD_RESPONSE, UNAVAILABLE, TIMEOUT
   */
  async deleteResource(path: ResourcePath, options: AdminOptions): Promise<void> {
    const call = { method: 'DELETE', path: `resource/${path}`, headers: authorization(options) } as const
    const answer = await this.#call(call)
    if (!answer.granted) throw this.#refused(answer, this.#name(path))
  }

  async #call(call: KbsCall): Promise<KbsAnswer> {
    return await callKbs(this.#http, this.#url, call)
  }

  #name(path: ResourcePath): string {
    return `The resource ${formatResourceUri(path)} of the KBS at ${this.#url.origin}`
  }

  /** What a refusal means: the KBS says almost everything with 401, so its name counts (kbs/src/error.rs). */
  #refused({ name, status, refusal }: Refused, what: string): CosignetError {
    const detail = quote(refusal.detail)
    if (ADMIN_ERRORS.has(name)) {
      return new CosignetError('UNAUTHORIZED', `${what} cannot be changed: ${detail}.`, {
        hint: 'The token must be signed with the key that the KBS knows, have the role admin and not be expired.',
      })
    }
    if (name === 'PolicyDeny') {
      return new CosignetError('FORBIDDEN', `${what} is denied by its resource policy.`, {
        hint: "The policy judges the guest's evidence: check what was attested against what it asks for.",
      })
    }
    if (name === 'PluginInternalError') {
      return new CosignetError('NOT_FOUND', `${what} does not exist, or cannot be read there.`, {
        hint: 'Check the path, and that the resource was stored in this KBS; its log tells the cause.',
      })
    }
    if (status === 404) return new CosignetError('NOT_FOUND', `${what} cannot exist there: ${detail}.`)
    if (status === 413) return tooLarge(what)
    return new CosignetError('BAD_RESPONSE', `${what} was refused with status ${status}: ${detail}.`)
  }
}

function authorization({ adminToken }: AdminOptions): Readonly<Record<string, string>> {
  if (encodeUtf8(adminToken).byteLength > LIMITS.tokenBytes || !/^[\x21-\x7e]+$/.test(adminToken)) {
    throw new CosignetError('INVALID_REQUEST', 'The administrator token is not one line of printable ASCII.')
  }
  return { authorization: `Bearer ${adminToken}` }
}

function tooLarge(what: string): CosignetError {
  return new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.resourceBytes} bytes.`)
}
