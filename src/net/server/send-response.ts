import type { ServerResponse } from 'node:http'
import { pipeline } from 'node:stream/promises'

/**
 * Writes a response of the fetch standard to a connection, no faster than the client reads. A body that fails on the
 * way cuts the connection: the client must not take the part for the whole, and the reason stays here.
 */
export async function sendResponse(response: Response, outgoing: ServerResponse): Promise<void> {
  outgoing.statusCode = response.status
  outgoing.setHeaders(response.headers)
  if (response.body === null) {
    outgoing.end()
    return
  }
  await pipeline(response.body, outgoing).catch(() => outgoing.destroy())
}
