import { CosignetError, LIMITS, quote } from '../core/index.ts'
import { isLoopbackHost } from '../net/index.ts'
import type { Cli } from './cli.ts'
import { openHttp } from './http-access.ts'
import type { KeyServerOptions } from './key-stores.ts'

/**
 * Reads a public key from the web: over https, or from this machine.
 * @param name of the key in messages, without what may be secret in its URL.
 * @throws USAGE for plain HTTP elsewhere; NOT_FOUND, BAD_RESPONSE, UNAVAILABLE, TIMEOUT, ABORTED, TOO_LARGE
 */
export async function downloadKey(
  cli: Cli,
  url: URL,
  name: string,
  options: KeyServerOptions,
): Promise<Uint8Array> {
  const loopback = isLoopbackHost(url.hostname)
  if (url.protocol === 'http:' && !loopback) {
    throw new CosignetError(
      'USAGE',
      `The key ${quote(name)} would come over plain HTTP: anyone could change it.`,
      {
        hint: 'Give its https URL, or download and check it once, and give the file.',
      },
    )
  }
  const http = await openHttp(cli, { ca: options.ca })
  try {
    const response = await http.request({
      method: 'GET',
      url,
      signal: cli.signal,
      // What stands behind plain HTTP on this machine must not send us to another one over plain HTTP.
      redirects: url.protocol === 'http:' ? 'refuse' : 'follow',
    })
    if (response.status === 200) return await response.bytes(LIMITS.keyringBytes)
    response.discard()
    const missing = response.status === 404 || response.status === 410
    throw new CosignetError(
      missing ? 'NOT_FOUND' : response.status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE',
      `The key ${quote(name)} cannot be read: the server answers with status ${response.status}.`,
    )
  } finally {
    http.close()
  }
}
