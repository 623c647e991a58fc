import type { IncomingMessage } from 'node:http'
import { collectBytes } from '../core/index.ts'
import { exchangeName, httpFailure } from './http-errors.ts'
import type { Exchange } from './http-exchange.ts'
import type { HttpResponse } from './http-message.ts'
import type { Lifeline } from './lifeline.ts'

/** An unread rest of this size is read to keep the connection; above, a new connection is cheaper. */
const WORTH_DRAINING_BYTES = 64 * 1024
/** Bytes of a body that are kept for a reader who is busy. */
const READ_AHEAD_BYTES = 1024 * 1024

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
  { request, response }: Exchange,
  method: string,
  url: URL,
  lifeline: Lifeline,
  release: () => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const arrivals = new Arrivals(response)
  try {
    for (;;) {
      const chunks = arrivals.take()
      if (chunks.length > 0) yield* chunks
      else if (arrivals.failure !== undefined) throw arrivals.failure
      else if (arrivals.ended) return
      else {
        lifeline.awaitPeer()
        await arrivals.more()
        lifeline.rest()
      }
    }
  } catch (error) {
    throw lifeline.failure ?? httpFailure(error, method, url)
  } finally {
    // What has arrived and is not wanted any more would hold the connection for ever.
    if (!arrivals.ended) request.destroy()
    release()
  }
}

/**
 * What has arrived of a body and was not read yet. The wire goes on while the reader is busy, up to a bound, and no
 * step of Node's streams stands between: they take longer than all else that is done with a chunk.
 */
class Arrivals {
  failure: unknown
  /** Whether all of the body has arrived. */
  ended = false
  readonly #response: IncomingMessage
  #chunks: Uint8Array[] = []
  #bytes = 0
  #wake: (() => void) | undefined

  constructor(response: IncomingMessage) {
    this.#response = response
    if (response.destroyed) this.#fail(response.errored)
    response.on('data', (chunk: Uint8Array) => {
      this.#chunks.push(chunk)
      this.#bytes += chunk.byteLength
      if (this.#bytes >= READ_AHEAD_BYTES) response.pause()
      this.#wake?.()
    })
    response.on('end', () => {
      this.ended = true
      this.#wake?.()
    })
    response.on('error', (error) => this.#fail(error))
    response.on('close', () => this.#fail(undefined))
  }

  /** What has arrived since the last time; it is given before a failure that came after it. */
  take(): readonly Uint8Array[] {
    const chunks = this.#chunks
    this.#chunks = []
    this.#bytes = 0
    if (this.#response.isPaused()) this.#response.resume()
    return chunks
  }

  /** Waits for a chunk, the end or a failure. To be called when `take` gave nothing. */
  async more(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }

  #fail(error: unknown): void {
    if (!this.ended) this.failure ??= error ?? new Error('the connection was closed')
    this.#wake?.()
  }
}

function joinHeaders(headers: NodeJS.Dict<string[]>): Readonly<Record<string, string>> {
  const joined: Record<string, string> = Object.create(null)
  for (const [name, values] of Object.entries(headers)) joined[name] = (values ?? []).join(', ')
  return joined
}
