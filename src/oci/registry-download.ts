import { CosignetError, isCosignetError, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import { type Digest, DigestVerifier } from './digest.ts'
import type { Descriptor } from './manifest.ts'
import type { RegistryTransport } from './registry-transport.ts'
import { verifiedStream } from './verified-stream.ts'

/** The size of a blob of which only the digest is to be checked: a reader that does as the guest does has no other. */
const UNKNOWN_SIZE = Number.MAX_SAFE_INTEGER

/** A blob to read. */
export interface BlobDownload {
  /** A `size` of `Number.MAX_SAFE_INTEGER` says that it is not known: that which the registry announces is taken. */
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  /** Names the blob in messages: "the blob sha256:… of ghcr.io/a/b". */
  readonly what: string
  readonly signal: AbortSignal | undefined
}

/**
 * Streams a blob (distribution-spec 1.1, "Pulling blobs"). Where the connection breaks or falls silent, it is asked for
 * the rest by a range, bound to the entity of the first answer if that had a strong tag. Size and digest are checked
 * over all that is passed on, whichever answers it came from.
 * @throws DIGEST_MISMATCH, and as `RegistryTransport.send`
 */
export function downloadBlob(
  transport: RegistryTransport,
  download: BlobDownload,
): AsyncIterable<Uint8Array> {
  const { descriptor, what } = download
  const title = `The ${what.slice('the '.length)}`
  const chunks = resumed(transport, download, title)
  if (descriptor.size === UNKNOWN_SIZE) return digested(chunks, descriptor.digest, title)
  return verifiedStream(chunks, descriptor, title)
}

async function* digested(
  chunks: AsyncIterable<Uint8Array>,
  digest: Digest,
  title: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const verifier = new DigestVerifier(digest, title)
  for await (const chunk of chunks) {
    verifier.update(chunk)
    yield chunk
  }
  verifier.finish()
}

async function* resumed(
  transport: RegistryTransport,
  { descriptor, what, signal }: BlobDownload,
  title: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const attempts = transport.attempts()
  let size = descriptor.size
  let offset = 0
  let etag: string | undefined
  let byRange = true
  for (;;) {
    const first = byRange ? offset : 0
    try {
      const response = await transport.send({
        method: 'GET',
        path: `blobs/${descriptor.digest}`,
        action: 'pull',
        headers: rangeHeaders(first, etag),
        signal,
        attempts,
        expect: first === 0 ? [] : [416],
        timeoutMs: Number.POSITIVE_INFINITY,
        task: `Reading ${what}`,
      })
      const start = startOf(response, first, size)
      if (start === undefined) {
        // It answers ranges in a way of its own: from the start then, past what is there already.
        response.discard()
        byRange = false
        if (await attempts.again(signal)) continue
        throw new CosignetError(
          'BAD_RESPONSE',
          `Reading ${what} failed: it is not sent on from byte ${first}.`,
        )
      }
      if (size === UNKNOWN_SIZE) size = Number(response.headers['content-length'] ?? size)
      checkLength(response, start, size, title)
      etag = strongTag(response)
      let position = start
      for await (const chunk of response.body) {
        const fresh = position < offset ? chunk.subarray(offset - position) : chunk
        position += chunk.byteLength
        if (fresh.byteLength === 0) continue
        offset += fresh.byteLength
        attempts.progress(fresh.byteLength)
        yield fresh
      }
      return
    } catch (error) {
      // With the last byte there, how the connection ended is no matter.
      if (offset === size && isCosignetError(error, 'UNAVAILABLE')) return
      if (!isCosignetError(error, 'UNAVAILABLE', 'TIMEOUT') || !(await attempts.again(signal))) throw error
    }
  }
}

function rangeHeaders(first: number, etag: string | undefined): Readonly<Record<string, string>> {
  if (first === 0) return {}
  return { range: `bytes=${first}-`, ...(etag === undefined ? {} : { 'if-range': etag }) }
}

/** The first byte that an answer holds; undefined if it is neither all of the blob nor all the rest from `first`. */
function startOf({ status, headers }: HttpResponse, first: number, size: number): number | undefined {
  if (status !== 206) return status === 416 ? undefined : 0
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(?:(\d{1,15})|\*)$/.exec(headers['content-range'] ?? '')
  if (match === null || Number(match[1]) !== first || Number(match[2]) !== size - 1) return undefined
  return match[3] === undefined || Number(match[3]) === size ? first : undefined
}

/** What is announced to be of another size need not be read. */
function checkLength(response: HttpResponse, start: number, size: number, title: string): void {
  const length = response.headers['content-length']
  if (length === undefined || Number(length) === size - start) return
  response.discard()
  throw new CosignetError(
    'DIGEST_MISMATCH',
    `${title} is announced with ${quote(length)} bytes instead of ${size - start}.`,
  )
}

/** A weak tag stands for content that is alike, which is not enough to put two parts of it together. */
function strongTag({ headers }: HttpResponse): string | undefined {
  const { etag } = headers
  return etag !== undefined && /^"[\x21\x23-\x7e]{0,256}"$/.test(etag) ? etag : undefined
}
