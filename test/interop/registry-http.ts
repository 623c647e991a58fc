import type { IncomingHttpHeaders } from 'node:http'
import { Agent, request } from 'node:https'
import type { TestRegistry } from './registries.ts'

export interface RegistryAnswer {
  readonly body: string
  readonly headers: IncomingHttpHeaders
}

/** What is sent beside the method and the path. */
export interface RegistryRequest {
  readonly body?: string
  readonly type?: string
  readonly accept?: string
}

/**
 * Sends one request to a registry with TLS, with nothing but Node's own client; any answer but a success fails.
 * @param path of the URL, or a whole URL.
 */
export function sendToRegistry(
  registry: TestRegistry,
  method: string,
  path: string,
  { body = '', type, accept }: RegistryRequest = {},
): Promise<RegistryAnswer> {
  const headers: Record<string, string | number> = {
    ...(accept === undefined ? {} : { Accept: accept }),
    'Content-Length': Buffer.byteLength(body),
    ...(type === undefined ? {} : { 'Content-Type': type }),
  }
  return new Promise((resolve, reject) => {
    const agent = new Agent({ ca: registry.ca })
    const exchange = request(new URL(path, registry.url), { agent, method, headers }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        const status = response.statusCode ?? 0
        if (status >= 300) reject(new Error(`${method} ${path} was answered ${status}: ${text}`))
        resolve({ body: text, headers: response.headers })
      })
    })
    exchange.on('error', reject)
    exchange.end(body)
  })
}
