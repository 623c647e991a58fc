import type { Digest } from '../oci/index.ts'
import { refusal } from './errors.ts'
import { digestOfPath, type Exchange } from './exchange.ts'
import { entityTag, ifNoneMatchHolds } from './preconditions.ts'
import type { ByteRange } from './storage.ts'

/** GET and HEAD of a blob, whole or one range (distribution-spec 1.1, "Pulling blobs"; RFC 9110, section 14). */
export async function getBlob(exchange: Exchange): Promise<Response> {
  const { storage, repository, request } = exchange
  const digest = digestOfPath(exchange)
  const size = await storage.blobSize(repository, digest)
  if (size === undefined) throw unknownBlob(digest)
  exchange.homes.remember(digest, repository)
  const headers = {
    'content-type': 'application/octet-stream',
    'docker-content-digest': digest,
    etag: entityTag(digest),
    'accept-ranges': 'bytes',
  }
  if (!ifNoneMatchHolds(request, digest)) return new Response(null, { status: 304, headers })
  const range = request.method === 'GET' ? readRange(request, size) : undefined
  const length = range === undefined ? size : range.last - range.first + 1
  const body =
    request.method === 'HEAD' ? null : ReadableStream.from(storage.readBlob(repository, digest, range))
  return new Response(body, {
    status: range === undefined ? 200 : 206,
    headers: {
      ...headers,
      'content-length': String(length),
      ...(range === undefined ? {} : { 'content-range': `bytes ${range.first}-${range.last}/${size}` }),
    },
  })
}

/** DELETE of a blob: from this repository, whatever refers to it. */
export async function deleteBlob(exchange: Exchange): Promise<Response> {
  const digest = digestOfPath(exchange)
  if (!(await exchange.storage.deleteBlob(exchange.repository, digest))) throw unknownBlob(digest)
  return new Response(null, { status: 202, headers: { 'docker-content-digest': digest } })
}

function unknownBlob(digest: Digest): Error {
  return refusal('BLOB_UNKNOWN', `The blob ${digest} is not here.`)
}

/** The one range that is asked for; a header that is not of that form is ignored (RFC 9110, section 14.2). */
function readRange(request: Request, size: number): ByteRange | undefined {
  const match = /^bytes=(?:(\d{1,15})-(\d{1,15})?|-(\d{1,15}))$/.exec(request.headers.get('range') ?? '')
  if (match === null) return undefined
  const [, first, last, suffix] = match
  const range =
    suffix === undefined
      ? { first: Number(first), last: Math.min(Number(last ?? size - 1), size - 1) }
      : { first: Math.max(size - Number(suffix), 0), last: size - 1 }
  const backwards = last !== undefined && Number(last) < Number(first)
  if (backwards || range.first >= size || suffix === '0') {
    throw refusal('RANGE_INVALID', `The blob has ${size} bytes.`, {
      headers: { 'content-range': `bytes */${size}` },
    })
  }
  return range
}
