import { createHash } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that is none of those that a command expects; how it behaves depends on the first part of the path. */
export interface RogueServer {
  /** Host and port. */
  readonly host: string
  /** Settles when a request came that will not be answered. */
  waiting(): Promise<void>
  close(): Promise<void>
}

const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json'
const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: `sha256:${'1'.repeat(64)}`,
    size: 2,
  },
  layers: [],
})

/** Digest of the one image that the server has. */
export const ROGUE_DIGEST = `sha256:${createHash('sha256').update(MANIFEST).digest('hex')}`

/** A signature image of that image. Its payload has another content than its digest says. */
const SIGNATURE_IMAGE = JSON.stringify({
  schemaVersion: 2,
  mediaType: MANIFEST_TYPE,
  config: {
    mediaType: 'application/vnd.oci.image.config.v1+json',
    digest: `sha256:${'2'.repeat(64)}`,
    size: 2,
  },
  layers: [
    {
      mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
      digest: `sha256:${'3'.repeat(64)}`,
      size: 7,
      annotations: { 'dev.cosignproject.cosign/signature': 'AAAA' },
    },
  ],
})

/** Event of a request that will not be answered. */
const WAITS = 'waits'

/** What is answered to a request for a path of the repository (or the KBS) of that name. */
const BEHAVIOURS: Readonly<Record<string, (path: string, response: ServerResponse) => void>> = {
  silent: (_path, response) => response.req.emit(WAITS),
  // Says that it will take the blob, and then reads none of it.
  'takes-no-blob': (path, response) => {
    const { method } = response.req
    if (method === 'HEAD') response.writeHead(404).end()
    else if (method === 'POST') response.writeHead(202, { location: `${path}upload` }).end()
    else response.req.emit(WAITS)
  },
  garbage: (_path, { socket }) => socket?.end('220 mail.example ESMTP\r\n'),
  html: (_path, response) => answer(response, 'text/html', '<html>It works!</html>'),
  lies: (_path, response) => answer(response, MANIFEST_TYPE, MANIFEST.replace('"layers":[]', '"layers": []')),
  'lies-about-blob': (path, response) => {
    if (path.endsWith('.sig')) answer(response, MANIFEST_TYPE, SIGNATURE_IMAGE)
    else if (path.includes('/manifests/')) answer(response, MANIFEST_TYPE, MANIFEST)
    else answer(response, 'application/octet-stream', 'a lie!!')
  },
  endless: (_path, response) => {
    response.writeHead(200, { 'content-type': MANIFEST_TYPE })
    const pour = (): void => {
      if (response.destroyed) return
      response.write(' '.repeat(65_536), () => setImmediate(pour))
    }
    pour()
  },
}

/** Starts it on a free port. */
export async function startRogueServer(): Promise<RogueServer> {
  const events = new EventEmitter()
  const server = createServer((request, response) => {
    request.on(WAITS, () => events.emit(WAITS))
    behave(request, response)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    waiting: async () => {
      await once(events, WAITS)
    },
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

function behave(request: IncomingMessage, response: ServerResponse): void {
  const path = request.url ?? ''
  const name = Object.keys(BEHAVIOURS).find((word) => path.includes(`/${word}/`))
  if (name !== undefined) BEHAVIOURS[name]?.(path, response)
  // The question whether there is a registry at all.
  else answer(response, 'application/json', '{}')
}

function answer(response: ServerResponse, type: string, body: string): void {
  response.writeHead(200, { 'content-type': type, 'content-length': Buffer.byteLength(body) }).end(body)
}
