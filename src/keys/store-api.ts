import {
  CosignetError,
  type ErrorCode,
  encodeUtf8,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import { type HttpClient, isLoopbackHost } from '../net/index.ts'
import { echoesSecret } from './store-echo.ts'

/** A JSON object that a server sent; nothing in it was checked. */
export type UntrustedObject = { readonly [key: string]: JsonValue }

/** The REST API of a host of projects. */
export interface StoreApi {
  /** Whose it is, in messages: "GitHub". */
  readonly product: string
  readonly http: Pick<HttpClient, 'request'>
  /** Ends with a slash. */
  readonly base: URL
  /** Sent with each call; they hold the token. */
  readonly headers: Readonly<Record<string, string>>
}

export interface StoreCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Below the base, every name in it percent-encoded. */
  readonly path: string
  readonly body?: UntrustedObject
  /** What it does, in messages: "read the variable COSIGN_PASSWORD". */
  readonly what: string
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes one call; redirects are not followed, for the token must not leave and a key must not come from elsewhere.
 * @returns the object that was answered, empty for an answer without a body; undefined for status 404.
 * @throws UNAUTHORIZED, FORBIDDEN, CONFLICT, INVALID_REQUEST, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED, TOO_LARGE
 */
export async function callStore(api: StoreApi, call: StoreCall): Promise<UntrustedObject | undefined> {
  const response = await api.http.request({
    method: call.method,
    url: new URL(call.path, api.base),
    headers: {
      ...api.headers,
      ...(call.body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(call.body === undefined ? {} : { body: encodeUtf8(JSON.stringify(call.body)) }),
    redirects: 'refuse',
    ...(call.signal === undefined ? {} : { signal: call.signal }),
  })
  const where = `${api.product} at ${api.base.host}`
  if (response.status >= 200 && response.status <= 299) {
    const bytes = await response.bytes(LIMITS.jsonBytes)
    return bytes.byteLength === 0 ? {} : readObject(bytes, where)
  }
  if (response.status === 404) {
    response.discard()
    return undefined
  }
  const said = reasonIn(await response.bytes(LIMITS.errorBodyBytes).catch(() => new Uint8Array()))
  const reason = said === undefined || echoesSecret(said, secretsOf(api, call)) ? undefined : said
  const { code, hint } = meaningOf(response.status, api.product)
  throw new CosignetError(
    code,
    `${where} refuses to ${call.what} with status ${response.status}${reason === undefined ? '' : `: ${quote(reason)}`}.`,
    { hint },
  )
}

/** What was sent and must not come back in a message. */
function secretsOf({ headers }: StoreApi, { body = {} }: StoreCall): readonly string[] {
  const token = headers['authorization'] ?? headers['private-token'] ?? ''
  const values = [token.replace(/^Bearer /, ''), body['value'], body['encrypted_value']]
  return values.filter((value) => typeof value === 'string')
}

/**
 * The base of an API from the variable that names its host: a URL or a bare host name.
 * @param suffix path of the API, as `api/v4/`; put after the path that is given unless it is there.
 * @throws INVALID_CONFIG, also for plain HTTP to another machine: the token could be read on the way
 */
export function storeBase(variable: string, text: string, suffix: string): URL {
  const url = URL.parse(text.includes('://') ? text : `https://${text}`)
  if (
    url === null ||
    !['https:', 'http:'].includes(url.protocol) ||
    url.username !== '' ||
    url.password !== ''
  ) {
    throw new CosignetError('INVALID_CONFIG', `${variable} does not hold the URL of a server.`, {
      hint: 'Write it as https://host.',
    })
  }
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `${variable} names ${quote(url.host)} over plain HTTP, where token and key could be read on the way.`,
      { hint: 'Write it as https://host.' },
    )
  }
  const path = url.pathname.endsWith('/') ? url.pathname : `${url.pathname}/`
  return new URL(path.endsWith(`/${suffix}`) ? path : `${path}${suffix}`, url.origin)
}

function readObject(bytes: Uint8Array, where: string): UntrustedObject {
  const value = parseJson(bytes, `The answer of ${where}`)
  if (value !== null && typeof value === 'object' && !Array.isArray(value)) return value as UntrustedObject
  throw new CosignetError('BAD_RESPONSE', `${where} answered with no JSON object.`)
}

/** What both products call `message`: text, or at GitLab the faults by field. */
function reasonIn(bytes: Uint8Array): string | undefined {
  try {
    const { message, error } = readObject(bytes, 'it')
    const reason = message ?? error
    if (reason === undefined || reason === null) return undefined
    return typeof reason === 'string' ? reason : JSON.stringify(reason)
  } catch {
    return undefined
  }
}

function meaningOf(status: number, product: string): { readonly code: ErrorCode; readonly hint?: string } {
  const variable = `${product.toUpperCase()}_TOKEN`
  switch (status) {
    case 401:
      return { code: 'UNAUTHORIZED', hint: `Check ${variable}: it may have expired.` }
    case 403:
      return { code: 'FORBIDDEN', hint: `Give ${variable} the right to manage secrets there.` }
    case 409:
      return { code: 'CONFLICT' }
    case 400:
    case 422:
      return { code: 'INVALID_REQUEST' }
    default:
      return { code: status === 429 || status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE' }
  }
}
