import {
  CosignetError,
  type ErrorCode,
  encodeUtf8,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import { echoesSecret } from '../keys/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'

/** A JSON object of the API. */
export type KubeObject = { readonly [key: string]: JsonValue }

export interface KubeClientOptions {
  /** Ended by `close`. */
  readonly http: Pick<HttpClient, 'request' | 'close'>
  /** Address of the API server; its path ends with a slash. */
  readonly server: URL
  /** Header that shows who asks. */
  readonly authorization?: string
}

export interface KubeCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the server's address, without a leading slash; every name in it was checked. */
  readonly path: string
  readonly body?: KubeObject
  /** What it is about, in messages: `the Secret default/cosign`. */
  readonly what: string
  /** What the body holds and no message may. Default: nothing. */
  readonly secrets?: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** The API of one cluster: JSON over HTTPS, without discovery, watches or caches. Follows no redirect. */
export class KubeClient {
  readonly #options: KubeClientOptions

  constructor(options: KubeClientOptions) {
    this.#options = options
  }

  /** Host and port of the API server, for messages. */
  get host(): string {
    return this.#options.server.host
  }

  /**
   * Makes one call.
   * @returns the object that was answered.
   * @throws UNAUTHORIZED, FORBIDDEN, NOT_FOUND, ALREADY_EXISTS, CONFLICT, INVALID_REQUEST with the message of the API
   * server; BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED, TOO_LARGE
   */
  async call(call: KubeCall): Promise<KubeObject> {
    const { http, server, authorization } = this.#options
    const response = await http.request({
      method: call.method,
      url: new URL(call.path, server),
      headers: {
        accept: 'application/json',
        ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(call.body === undefined ? {} : { body: encodeUtf8(JSON.stringify(call.body)) }),
      redirects: 'refuse',
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    })
    if (response.status < 200 || response.status > 299) throw await this.#failure(response, call)
    const answer = parseJson(
      await response.bytes(LIMITS.jsonBytes),
      `The answer of the cluster at ${this.host}`,
    )
    if (isObject(answer)) return answer
    throw new CosignetError('BAD_RESPONSE', `The cluster at ${this.host} answered with no object.`)
  }

  /** Ends all connections. */
  close(): void {
    this.#options.http.close()
  }

  /** An API server says why in an object `Status`; what else answers is not quoted. */
  async #failure(response: HttpResponse, { what, secrets = [] }: KubeCall): Promise<CosignetError> {
    const status = await readStatus(response)
    const { code, hint } = meaningOf(response.status, status?.['reason'])
    const message = status?.['message']
    const sent = [...secrets, this.#options.authorization?.replace(/^\w+ /, '') ?? '']
    const quotable = typeof message === 'string' && message !== '' && !echoesSecret(message, sent)
    const reason = quotable ? quote(message) : `status ${response.status}`
    return new CosignetError(code, `The cluster at ${this.host} refuses ${what}: ${reason}.`, { hint })
  }
}

async function readStatus(response: HttpResponse): Promise<KubeObject | undefined> {
  try {
    const answer = parseJson(await response.bytes(LIMITS.errorBodyBytes), 'The answer')
    return isObject(answer) && answer['kind'] === 'Status' ? answer : undefined
  } catch {
    response.discard()
    return undefined
  }
}

/** The meaning of a status and the API's reason (api-conventions.md, "Typical status codes"). */
function meaningOf(
  status: number,
  reason: JsonValue | undefined,
): { readonly code: ErrorCode; readonly hint?: string } {
  switch (status) {
    case 401:
      return {
        code: 'UNAUTHORIZED',
        hint: 'Log in to the cluster again: its kubeconfig holds no valid login.',
      }
    case 403:
      return { code: 'FORBIDDEN', hint: 'Ask for a role that may do this with Secrets in that namespace.' }
    case 404:
      return { code: 'NOT_FOUND' }
    case 409:
      return { code: reason === 'AlreadyExists' ? 'ALREADY_EXISTS' : 'CONFLICT' }
    case 400:
    case 413:
    case 422:
      return { code: 'INVALID_REQUEST' }
    default:
      return { code: status === 429 || status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE' }
  }
}

function isObject(value: JsonValue): value is KubeObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value)
}
