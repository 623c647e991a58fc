import { CosignetError, isCosignetError, type JsonValue, LIMITS, parseJson, quote } from '../../core/index.ts'
import type { HttpClient } from '../../net/index.ts'
import { type KbsErrorBody, kbsErrorName } from '../protocol/errors.ts'
import { KBS_PREFIX, SESSION_COOKIE } from '../protocol/rcar.ts'

/** The part of the HTTP client that is used. */
export type KbsHttp = Pick<HttpClient, 'request'>

export interface KbsCall {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** After /kbs/v0/. */
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array
}

/** An answer that is the KBS's own: granted, or refused for a reason that it names. */
export type KbsAnswer =
  | { readonly granted: true; readonly body: Uint8Array; readonly sessionId: string | undefined }
  | {
      readonly granted: false
      readonly status: number
      readonly refusal: KbsErrorBody
      readonly name: string | undefined
    }

/** Statuses by which a gateway, or a KBS that is overloaded, says "later". */
const LATER: ReadonlySet<number> = new Set([429, 502, 503, 504])

/**
 * Sends one request to a KBS. Redirects are not followed: they would carry secrets elsewhere.
 * @param url where the KBS is; its path, if any, comes before /kbs/v0.
 * @throws BAD_RESPONSE if it is no KBS that answers; UNAVAILABLE, TIMEOUT, TOO_LARGE
 */
export async function callKbs(http: KbsHttp, url: URL, call: KbsCall): Promise<KbsAnswer> {
  const target = new URL(`${url.pathname.replace(/\/+$/, '')}${KBS_PREFIX}/${call.path}`, url)
  const response = await http.request({
    method: call.method,
    url: target,
    redirects: 'refuse',
    ...(call.headers === undefined ? {} : { headers: call.headers }),
    ...(call.body === undefined ? {} : { body: call.body }),
  })
  const { status } = response
  // A page is no KBS's answer, whatever its status: what was to be stored would be lost in silence.
  const page = /^text\/html\b/i.test(response.headers['content-type'] ?? '')
  if (status === 200 && !page) {
    const sessionId = sessionIdIn(response.headers['set-cookie'])
    return { granted: true, body: await response.bytes(LIMITS.jsonBytes), sessionId }
  }
  if (LATER.has(status)) {
    response.discard()
    throw new CosignetError('UNAVAILABLE', `The KBS at ${url.origin} cannot answer now (status ${status}).`, {
      hint: 'Try again in a moment; if it stays so, look at the log of the KBS.',
    })
  }
  const refusal = readRefusal(await readErrorBody(response))
  if (refusal === undefined) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The KBS at ${url.origin} answered ${call.method} ${target.pathname} with status ${status} and no KBS error.`,
      {
        hint: 'Check that the URL is the one of a KBS, without /kbs/v0, and that no proxy answers in its place.',
      },
    )
  }
  return { granted: false, status, refusal, name: kbsErrorName(refusal) }
}

/** Parses a JSON answer of a KBS. @throws BAD_RESPONSE */
export function parseAnswer(body: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(body, what)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_JSON')) throw error
    throw new CosignetError('BAD_RESPONSE', error.message, { cause: error })
  }
}

/** Reads a member that must be a string. @throws BAD_RESPONSE */
export function stringMember(value: JsonValue, name: string, what: string): string {
  const found = members(value)?.[name]
  if (typeof found === 'string') return found
  throw new CosignetError('BAD_RESPONSE', `${what} has no ${quote(name)}.`)
}

/** The members of an object; `undefined` for anything else. */
export function members(value: JsonValue): { readonly [key: string]: JsonValue } | undefined {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value)
  return isObject ? (value as { readonly [key: string]: JsonValue }) : undefined
}

/** Takes the session id, and nothing else, out of a Set-Cookie header (several are joined by commas). */
function sessionIdIn(setCookie: string | undefined): string | undefined {
  const id = new RegExp(`(?:^|,)\\s*${SESSION_COOKIE}=([A-Za-z0-9_-]+)`).exec(setCookie ?? '')?.[1]
  return id !== undefined && id.length <= 128 ? id : undefined
}

async function readErrorBody(response: Awaited<ReturnType<KbsHttp['request']>>): Promise<Uint8Array> {
  try {
    return await response.bytes(LIMITS.errorBodyBytes)
  } catch (error) {
    if (!isCosignetError(error, 'TOO_LARGE')) throw error
    return new Uint8Array()
  }
}

function readRefusal(body: Uint8Array): KbsErrorBody | undefined {
  try {
    const { type, detail } = members(parseJson(body, 'The error')) ?? {}
    return typeof type === 'string' && typeof detail === 'string' ? { type, detail } : undefined
  } catch {
    return undefined
  }
}
