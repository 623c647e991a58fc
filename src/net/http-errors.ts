import { CosignetError, type ErrorCode, errnoOf, quote, reasonOf } from '../core/index.ts'

/** What a failure of Node's HTTP, TLS or DNS means to a person: one row a code. */
interface Failure {
  readonly code?: ErrorCode
  readonly reason: string
  readonly hint?: string
}

const UNKNOWN_AUTHORITY: Failure = {
  reason: 'its certificate is not signed by an authority that is trusted here',
  hint: "Give the PEM certificate of that authority (CA) as a trusted one, or add it to the system's certificates.",
}
const PLAIN_HTTP: Failure = {
  reason: 'it does not speak TLS on this port',
  hint: 'Check the port; if the server is meant to speak plain HTTP, use an http URL.',
}
const CLOSED: Failure = { reason: 'the server closed the connection before its answer was complete' }
const NO_ROUTE: Failure = {
  reason: 'there is no route to the host',
  hint: 'Check the network and the proxy.',
}

const FAILURES: Readonly<Record<string, Failure>> = {
  ECONNREFUSED: {
    reason: 'the connection was refused',
    hint: 'Check the host and the port, and that the server is running.',
  },
  ENOTFOUND: { reason: 'the host name is not known', hint: 'Check the host name.' },
  EAI_AGAIN: {
    reason: 'the host name could not be looked up',
    hint: 'Check the DNS server of this machine.',
  },
  ENOENT: {
    reason: 'there is no socket at the path',
    hint: 'Check the path of the Unix socket, and that the server is running.',
  },
  EACCES: {
    reason: 'the socket may not be used by this user',
    hint: 'Use an account that may, for example one of the group that owns the socket.',
  },
  ETIMEDOUT: { code: 'TIMEOUT', reason: 'the connection timed out' },
  EHOSTUNREACH: NO_ROUTE,
  ENETUNREACH: NO_ROUTE,
  ECONNRESET: CLOSED,
  EPIPE: CLOSED,
  ERR_STREAM_PREMATURE_CLOSE: CLOSED,
  UNABLE_TO_GET_ISSUER_CERT: UNKNOWN_AUTHORITY,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNKNOWN_AUTHORITY,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNKNOWN_AUTHORITY,
  SELF_SIGNED_CERT_IN_CHAIN: UNKNOWN_AUTHORITY,
  DEPTH_ZERO_SELF_SIGNED_CERT: UNKNOWN_AUTHORITY,
  CERT_HAS_EXPIRED: {
    reason: 'its certificate has expired',
    hint: 'Renew the certificate of the server, or check the clock of this machine.',
  },
  CERT_NOT_YET_VALID: {
    reason: 'its certificate is not valid yet',
    hint: 'Check the clock of this machine.',
  },
  ERR_TLS_CERT_ALTNAME_INVALID: {
    reason: 'its certificate is for another host name',
    hint: 'Use the host name that stands in the certificate, or give the server a certificate for this one.',
  },
  ERR_SSL_WRONG_VERSION_NUMBER: PLAIN_HTTP,
  ERR_SSL_PACKET_LENGTH_TOO_LONG: PLAIN_HTTP,
}

/** OpenSSL's words for a peer that does not speak TLS; Node reports some of them as EPROTO. */
const PLAIN_HTTP_WORDS = /wrong version number|packet length too long|unknown protocol/i

/**
 * Turns a failure of Node's HTTP, TLS or DNS into one line that names the method and the server. The URL's path and
 * query stay out: they may hold what is secret.
 */
export function httpFailure(error: unknown, method: string, url: URL): CosignetError {
  if (error instanceof CosignetError) return error
  const errno = errnoOf(error) ?? ''
  const what = exchangeName(method, url)
  if (errno.startsWith('HPE_')) {
    return new CosignetError('BAD_RESPONSE', `${what} failed: the answer is not valid HTTP.`, {
      cause: error,
    })
  }
  const known = saysPlainHttp(error) ? PLAIN_HTTP : FAILURES[errno]
  const reason = known?.reason ?? quote(reasonOf(error)).slice(1, -1)
  return new CosignetError(known?.code ?? 'UNAVAILABLE', `${what} failed: ${reason}.`, {
    cause: error,
    hint: known?.hint,
  })
}

/** Names an exchange in messages: `GET https://ghcr.io`. */
export function exchangeName(method: string, url: URL): string {
  return `${method} ${url.origin}`
}

/** Whether a request failed because an `https:` URL was answered by a server that does not speak TLS. */
export function isPlainHttpError(error: unknown): boolean {
  return error instanceof CosignetError && error.code === 'UNAVAILABLE' && saysPlainHttp(error.cause)
}

/** Whether a request failed because the server's certificate leads to no trusted root. */
export function isUnknownAuthorityError(error: unknown): boolean {
  return error instanceof CosignetError && FAILURES[errnoOf(error.cause) ?? ''] === UNKNOWN_AUTHORITY
}

/** Whether a request failed because the connection broke while it was under way. */
export function isBrokenConnectionError(error: unknown): boolean {
  return error instanceof CosignetError && FAILURES[errnoOf(error.cause) ?? ''] === CLOSED
}

function saysPlainHttp(error: unknown): boolean {
  const errno = errnoOf(error) ?? ''
  if (FAILURES[errno] === PLAIN_HTTP) return true
  return errno === 'EPROTO' && PLAIN_HTTP_WORDS.test(reasonOf(error))
}
