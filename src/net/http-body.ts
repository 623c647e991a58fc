import { collectBytes } from '../core/index.ts'
import { exchangeName, httpFailure } from './http-errors.ts'
import type { Exchange } from './http-exchange.ts'
import type { HttpResponse } from './http-message.ts'
import type { Lifeline } from './lifeline.ts'

/** An unread rest of this size is read to keep the connection; above, a new connection is cheaper. */
const WORTH_DRAINING_BYTES = 64 * 1024

/** Wraps an answer so that its body is watched by the lifeline and always gives its connection back. */
export function toResponse(exchange: Exchange, method: string, url: URL, lifeline: Lifeline): HttpResponse {
  const { request, response } = exchange
  const release = (): void => {
    lifeline.close()
    lifeline.signal.removeEventListener('abort', onAbort)
    // A server that answered before it had all of the request leaves a connection that cannot be used again.
    if (!response.complete || !request.writableEnded) request.destroy()
  }
  const onAbort = (): void => {
    response.destroy(lifeline.failure)
    request.destroy()
  }
  lifeline.signal.addEventListener('abort', onAbort)
  response.on('error', () => undefined)
  // Until the first read: who never reads must not hold the connection for longer than a silent server could.
  lifeline.awaitPeer()
  const body = readBody(exchange, method, url, lifeline, release)
  return {
    status: response.statusCode ?? 0,
    headers: joinHeaders(response.headersDistinct),
    url,
    body,
    bytes: (limit) => collectBytes(body, limit, `The answer to ${exchangeName(method, url)}`),
    discard: () => {
      const length = Number(response.headers['content-length'] ?? Number.NaN)
      const drainable = request.writableEnded && (method === 'HEAD' || length <= WORTH_DRAINING_BYTES)
      if (!drainable || response.destroyed) return release()
      response.once('close', release)
      response.resume()
    },
  }
}

async function* readBody(
  { response }: Exchange,
  method: string,
  url: URL,
  lifeline: Lifeline,
  release: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    const chunks = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    for (;;) {
      lifeline.awaitPeer()
      const next = await chunks.next()
      lifeline.rest()
      if (next.done === true) return
      yield next.value
    }
  } catch (error) {
    throw lifeline.failure ?? httpFailure(error, method, url)
  } finally {
    release()
  }
}

function joinHeaders(headers: NodeJS.Dict<string[]>): Readonly<Record<string, string>> {
  const joined: Record<string, string> = Object.create(null)
  for (const [name, values] of Object.entries(headers)) joined[name] = (values ?? []).join(', ')
  return joined
}
