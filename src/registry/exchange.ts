import type { Readable } from 'node:stream'
import { type Digest, parseDigest } from '../oci/index.ts'
import type { BlobHomes } from './blob-homes.ts'
import type { RegistryStorage } from './storage.ts'

/** One request to one repository. */
export interface Exchange {
  readonly storage: RegistryStorage
  readonly homes: BlobHomes
  readonly request: Request
  /** The body as Node has it, where there is a connection: the stream of `request` costs a copy and a turn a chunk. */
  readonly incoming: Readable | undefined
  readonly query: URLSearchParams
  /** Validated. */
  readonly repository: string
  /** Last part of the path: a digest, tag or upload id, not validated; empty if the endpoint has none. */
  readonly untrustedTail: string
}

export type Handler = (exchange: Exchange) => Promise<Response>

/** The digest at the end of the path. @throws INVALID_DIGEST */
export function digestOfPath(exchange: Exchange): Digest {
  return parseDigest(exchange.untrustedTail)
}

/** The body as a stream; empty if there is none. Who stops early can still be answered. */
export async function* bodyOf({ request, incoming }: Exchange): AsyncIterable<Uint8Array> {
  if (incoming !== undefined) yield* incoming.iterator({ destroyOnReturn: false })
  else if (request.body !== null) yield* request.body
}

/** Number of bytes that the client announced; undefined if it did not. */
export function contentLengthOf(request: Request): number | undefined {
  const text = request.headers.get('content-length')
  return text !== null && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}
