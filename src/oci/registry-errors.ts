import { CosignetError, type ErrorCode, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'

const CODES: Readonly<Record<number, ErrorCode>> = {
  401: 'UNAUTHORIZED',
  403: 'FORBIDDEN',
  404: 'NOT_FOUND',
  405: 'UNSUPPORTED',
  408: 'TIMEOUT',
  409: 'CONFLICT',
  412: 'CONFLICT',
  413: 'TOO_LARGE',
  429: 'UNAVAILABLE',
  501: 'UNSUPPORTED',
}

/**
 * Turns an answer that is not a success into an error, with the registry's own codes and words (distribution-spec,
 * "Error Codes"), bounded and on one line. Reads the body.
 * @param what the task that failed, for example "Reading the manifest latest of ghcr.io/a/b".
 * @param withheldFrom the token server that did not get the credentials for the registry, if there is one.
 */
export async function registryError(
  response: HttpResponse,
  what: string,
  host: string,
  withheldFrom?: string,
): Promise<CosignetError> {
  const { status } = response
  const code = CODES[status] ?? (status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE')
  const detail = await readDetail(response)
  return new CosignetError(code, `${what} failed: ${host} answers ${status}${detail}.`, {
    hint: hintFor(code, host, withheldFrom),
  })
}

function hintFor(code: ErrorCode, host: string, withheldFrom: string | undefined): string | undefined {
  // A private repository is 404 to who is not known.
  if (withheldFrom !== undefined && ['UNAUTHORIZED', 'FORBIDDEN', 'NOT_FOUND'].includes(code)) {
    return `The token server ${withheldFrom} is on another domain, so it was not sent the credentials for ${host}.`
  }
  if (code === 'UNAUTHORIZED') {
    return `Log in to ${host} (docker login, podman login or skopeo login), or name the file with the credentials in REGISTRY_AUTH_FILE.`
  }
  if (code === 'FORBIDDEN') return 'Use an account that may do this in this repository.'
  return undefined
}

async function readDetail(response: HttpResponse): Promise<string> {
  try {
    const body = parseJson(await response.bytes(LIMITS.errorBodyBytes), 'The answer')
    const errors = (body as { readonly [key: string]: JsonValue })['errors']
    const first = Array.isArray(errors)
      ? (errors[0] as { readonly [key: string]: JsonValue } | null)
      : undefined
    const code = first?.['code']
    const message = first?.['message']
    const known = typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : undefined
    const words = typeof message === 'string' && message !== '' ? quote(message) : undefined
    const parts = [known, words].filter((part) => part !== undefined)
    return parts.length === 0 ? '' : ` (${parts.join(': ')})`
  } catch {
    response.discard()
    return ''
  }
}
