import { createServer, type Server } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { getRequestListener, type HttpBindings, RequestError } from '@hono/node-server'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { CosignetError, LIMITS, quote, reasonOf } from '../../core/index.ts'
import { sendResponse } from './send-response.ts'

/** Milliseconds until the last connections of a server that stops, and has nothing more to answer, are cut. */
const QUIET_MS = 200

/** What answers requests: a Hono app, or any function of the fetch standard. */
export interface ServerApp {
  fetch(request: Request, env?: HttpBindings): Response | Promise<Response>
}

export interface ServeOptions {
  /** Address to listen on. Default: 127.0.0.1, this machine only. */
  readonly host?: string
  /** TCP port; 0 takes a free one. */
  readonly port: number
  /** Serve HTTPS (TLS 1.2 or later): the certificate chain, leaf first, and its private key, both PEM. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /**
   * Shapes the answer to an error that the app threw, or to a request without a valid URL (`RequestError` of the
   * adapter). Default: status 500 (400) and a JSON body that says nothing of the error.
   */
  readonly onError?: (error: unknown) => Response
}

/** A server that listens. */
export interface RunningServer {
  /** Where it answers, by the host that was asked for: `https://127.0.0.1:8443/`. */
  readonly url: URL
  readonly port: number
  /** Stops: takes no more requests, gives the running ones `LIMITS.drainMs`, then cuts all connections. */
  close(): Promise<void>
}

/**
 * Serves an app over HTTP/1.1 or HTTPS, keep-alive included, with `LIMITS` on header size, connections and time. The
 * size of request bodies is for the app to bound.
 * @throws UNAVAILABLE if the address cannot be listened on; INVALID_CONFIG if certificate and key cannot be used
 */
export async function serve(app: ServerApp, options: ServeOptions): Promise<RunningServer> {
  const { host = '127.0.0.1', port, tls } = options
  const server = createNodeServer(tls)
  const traffic = watchTraffic(server)
  const listener = createListener(app, server, options.onError ?? answerError)
  server.on('request', (incoming, outgoing) => void listener(incoming, outgoing))
  server.timeout = LIMITS.requestMs
  server.maxConnections = LIMITS.serverConnections
  await listen(server, host, port)
  const bound = (server.address() as AddressInfo).port
  const urlHost = host.includes(':') ? `[${host}]` : host
  return {
    url: new URL(`${tls === undefined ? 'http' : 'https'}://${urlHost}:${bound}/`),
    port: bound,
    close: () => drain(server, traffic),
  }
}

function createNodeServer(tls: ServeOptions['tls']): Server {
  const limits = {
    maxHeaderSize: LIMITS.serverHeaderBytes,
    headersTimeout: LIMITS.serverHeaderMs,
    requestTimeout: LIMITS.serverRequestMs,
    keepAliveTimeout: LIMITS.idleMs,
    connectionsCheckingInterval: LIMITS.serverHeaderMs / 2,
  }
  if (tls === undefined) return createServer(limits)
  try {
    return createTlsServer({
      ...limits,
      ...tls,
      minVersion: 'TLSv1.2',
      handshakeTimeout: LIMITS.connectMs,
    })
  } catch (error) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `The certificate and key of the server cannot be used: ${reasonOf(error)}.`,
      { cause: error },
    )
  }
}

function createListener(
  app: ServerApp,
  server: Server,
  onError: (error: unknown) => Response,
): ReturnType<typeof getRequestListener> {
  const answer = async (request: Request, env: HttpBindings): Promise<Response> => {
    const response = await Promise.resolve(request)
      .then((received) => app.fetch(received, env))
      .catch(onError)
    // A connection that stays open would hold up close() until it is cut.
    if (!server.listening) env.outgoing.setHeader('connection', 'close')
    await sendResponse(response, env.outgoing)
    return RESPONSE_ALREADY_SENT
  }
  // The adapter's own Response would replace the global one of the whole process.
  return getRequestListener((request, env) => answer(request, env as HttpBindings), {
    overrideGlobalObjects: false,
    errorHandler: onError,
  })
}

function answerError(error: unknown): Response {
  if (error instanceof RequestError) {
    return Response.json(
      { error: { code: 'INVALID_REQUEST', message: 'The request has no valid URL.' } },
      { status: 400 },
    )
  }
  return Response.json(
    { error: { code: 'INTERNAL', message: 'The server failed to answer this request.' } },
    { status: 500 },
  )
}

function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const address = quote(`${host}:${port}`)
      reject(
        new CosignetError('UNAVAILABLE', `The server cannot listen on ${address}: ${reasonOf(error)}.`, {
          cause: error,
        }),
      )
    })
    server.listen(port, host, resolve)
  })
}

/** Knows what a server has open, which Node tells of connections with a request alone. */
interface Traffic {
  readonly sockets: ReadonlySet<Socket>
  /** Calls back as soon as no request is being answered. */
  whenQuiet(callback: () => void): void
}

function watchTraffic(server: Server): Traffic {
  const sockets = new Set<Socket>()
  let running = 0
  let onQuiet = (): void => undefined
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on('request', (_request, response) => {
    running += 1
    response.once('close', () => {
      running -= 1
      if (running === 0) onQuiet()
    })
  })
  return {
    sockets,
    whenQuiet: (callback) => {
      onQuiet = callback
      if (running === 0) callback()
    },
  }
}

function drain(server: Server, traffic: Traffic): Promise<void> {
  if (!server.listening) return Promise.resolve()
  return new Promise((resolve) => {
    const cut = (): void => {
      for (const socket of traffic.sockets) socket.destroy()
    }
    let timer = setTimeout(cut, LIMITS.drainMs)
    server.close(() => {
      clearTimeout(timer)
      resolve()
    })
    traffic.whenQuiet(() => {
      server.closeIdleConnections()
      // What is left has sent no request, or takes the last bytes of an answer.
      clearTimeout(timer)
      timer = setTimeout(cut, QUIET_MS)
    })
  })
}
