import { type Digest, parseDigest } from '../oci/index.ts'
import type { BlobHomes } from './blob-homes.ts'
import type { RegistryStorage } from './storage.ts'

/** One request to one repository. */
export interface Exchange {
  readonly storage: RegistryStorage
  readonly homes: BlobHomes
  readonly request: Request
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

/** The body as a stream; empty if there is none. */
export async function* bodyOf(request: Request): AsyncIterable<Uint8Array> {
  if (request.body !== null) yield* request.body
}

/** Number of bytes that the client announced; undefined if it did not. */
export function contentLengthOf(request: Request): number | undefined {
  const text = request.headers.get('content-length')
  return text !== null && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}
