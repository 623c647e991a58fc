import type { Agent, ClientRequest, IncomingMessage, RequestOptions } from 'node:http'
import type { Socket, TcpNetConnectOpts } from 'node:net'
import { CosignetError, errnoOf } from '../core/index.ts'
import { exchangeName, httpFailure } from './http-errors.ts'
import type { HttpRequest } from './http-message.ts'
import type { Lifeline } from './lifeline.ts'

/** What a server that forgot the connection in the meantime makes of the next request on it. */
const STALE = new Set(['ECONNRESET', 'EPIPE'])
/** Bytes of a body that wait to be written, at most; what a write leaves of them waits for the peer. */
const GATHERED_BYTES = 1024 * 1024
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE'])

/** How the socket that Node opens for a request hands on what it receives. */
type Receiving = Pick<TcpNetConnectOpts, 'onread'>

/**
 * One buffer for all that plain sockets receive, where each read would else take memory of its own, of a quarter of the size.
 * Node's parser copies a body out of it before it returns. TLS has such a buffer of its own.
 */
const RECEIVE: NonNullable<Receiving['onread']> = {
  buffer: Buffer.allocUnsafeSlow(256 * 1024),
  callback(this: Socket, length, buffer) {
    this.emit('data', buffer.subarray(0, length))
    return true
  },
}

/** An answer of which the head has arrived. */
export interface Exchange {
  readonly request: ClientRequest
  readonly response: IncomingMessage
}

/**
 * Sends one request and waits for the head of its answer. A request that may be repeated is sent again where it met a
 * kept connection that the server had closed already (the advice of Node's manual, `request.reusedSocket`).
 * @throws UNAVAILABLE, TIMEOUT, ABORTED, BAD_RESPONSE (not HTTP), INVALID_REQUEST (a header that cannot be sent)
 */
export async function exchange(message: HttpRequest, agent: Agent, lifeline: Lifeline): Promise<Exchange> {
  for (;;) {
    const request = open(message, agent)
    try {
      return { request, response: await converse(request, message, lifeline) }
    } catch (error) {
      request.destroy()
      const again = request.reusedSocket && STALE.has(errnoOf(error) ?? '') && IDEMPOTENT.has(message.method)
      if (again && lifeline.failure === undefined) continue
      throw lifeline.failure ?? httpFailure(error, message.method, message.url)
    }
  }
}

function open(message: HttpRequest, agent: Agent): ClientRequest {
  const { method, url, body } = message
  const module = process.getBuiltinModule(url.protocol === 'https:' ? 'node:https' : 'node:http')
  const length = body instanceof Uint8Array ? body.byteLength : body?.length
  try {
    const options: RequestOptions & Receiving = {
      method,
      agent,
      headers: {
        ...message.headers,
        ...(length === undefined ? {} : { 'content-length': String(length) }),
      },
      ...(url.protocol === 'https:' ? {} : { onread: RECEIVE }),
    }
    return module.request(url, options)
  } catch (error) {
    throw new CosignetError('INVALID_REQUEST', `${exchangeName(method, url)} cannot be sent as it stands.`, {
      cause: error,
    })
  }
}

/** Sends the body and waits for the answer, which may come before all of the body is sent. */
async function converse(
  request: ClientRequest,
  message: HttpRequest,
  lifeline: Lifeline,
): Promise<IncomingMessage> {
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => {
      request.destroy(lifeline.failure)
      reject(lifeline.failure)
    }
    const settled = (): void => lifeline.signal.removeEventListener('abort', onAbort)
    request.on('error', (error) => {
      settled()
      reject(error)
    })
    if (lifeline.signal.aborted) return onAbort()
    lifeline.signal.addEventListener('abort', onAbort)
    let answered = false
    request.on('response', (response) => {
      answered = true
      settled()
      lifeline.rest()
      resolve(response)
    })
    lifeline.awaitConnection()
    whenConnected(request, () => {
      lifeline.rest()
      sendBody(request, message, lifeline, () => answered || request.destroyed).catch((error: unknown) => {
        request.destroy()
        settled()
        reject(error)
      })
    })
  })
}

function whenConnected(request: ClientRequest, proceed: () => void): void {
  request.once('socket', (socket) => {
    if (request.reusedSocket) return proceed()
    const secure = 'encrypted' in socket
    // Through a proxy, the socket arrives with its handshake done.
    if (secure && 'secureConnecting' in socket && socket.secureConnecting === false) return proceed()
    if (!secure && !socket.connecting) return proceed()
    socket.once(secure ? 'secureConnect' : 'connect', proceed)
  })
}

/** @param isOver tells that more of the body helps nobody: the server has answered, or the exchange is lost. */
async function sendBody(
  request: ClientRequest,
  message: HttpRequest,
  lifeline: Lifeline,
  isOver: () => boolean,
): Promise<void> {
  const { body } = message
  if (body !== undefined && !(body instanceof Uint8Array)) {
    const gathered = gatherWrites(request)
    let sent = 0
    for await (const chunk of body.open()) {
      sent += chunk.byteLength
      if (body.length !== undefined && sent > body.length) break
      if (isOver()) return
      if (!gathered.write(chunk)) await drained(request, lifeline)
    }
    if (isOver()) return
    gathered.flush()
    if (body.length !== undefined && sent !== body.length) {
      throw new CosignetError(
        'INVALID_REQUEST',
        `${exchangeName(message.method, message.url)} was not sent: its body does not have the ${body.length} bytes announced.`,
      )
    }
  }
  lifeline.awaitPeer()
  if (body instanceof Uint8Array) request.end(body)
  else request.end()
}

/** Lets chunks that are there within one turn of the event loop go out by one system call. */
function gatherWrites(request: ClientRequest): {
  /** @returns false if the peer has to take some first. */
  readonly write: (chunk: Uint8Array) => boolean
  readonly flush: () => void
} {
  let corked = false
  const flush = (): void => {
    if (corked) request.uncork()
    corked = false
  }
  const write = (chunk: Uint8Array): boolean => {
    if (!corked) {
      corked = true
      request.cork()
      setImmediate(flush)
    }
    request.write(chunk)
    if (request.writableLength < GATHERED_BYTES) return true
    flush()
    return request.writableLength < GATHERED_BYTES
  }
  return { write, flush }
}

async function drained(request: ClientRequest, lifeline: Lifeline): Promise<void> {
  const events = ['drain', 'response', 'error', 'close'] as const
  lifeline.awaitPeer()
  await new Promise<void>((resolve) => {
    const proceed = (): void => {
      for (const event of events) request.off(event, proceed)
      resolve()
    }
    for (const event of events) request.on(event, proceed)
  })
  lifeline.rest()
}
