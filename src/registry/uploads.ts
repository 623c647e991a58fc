import { isCosignetError } from '../core/index.ts'
import { type Digest, isDigest, parseDigest } from '../oci/index.ts'
import { refusal } from './errors.ts'
import { bodyOf, contentLengthOf, type Exchange } from './exchange.ts'
import { isRepositoryName } from './names.ts'

/**
 * POST: starts an upload; with `digest` it is done at once, with `mount` it may need no upload at all, also without
 * `from` (distribution-spec 1.1, "Pushing blobs"). Whoever may write here may read every repository, so that a mount
 * hands out nothing that the client could not fetch.
 */
export async function startUpload(exchange: Exchange): Promise<Response> {
  const { storage, repository, query } = exchange
  const mounted = await mountBlob(exchange)
  if (mounted !== undefined) return created(exchange, mounted)
  const digest = query.has('digest') ? digestOfQuery(query) : undefined
  const id = await storage.startUpload(repository)
  if (digest === undefined) return status(exchange, id, 0, 202)
  try {
    await storage.appendUpload(repository, id, bodyOf(exchange))
    await storage.finishUpload(repository, id, digest)
  } finally {
    await storage.cancelUpload(repository, id)
  }
  return created(exchange, digest)
}

/** PATCH: appends a chunk, or a stream of any length. */
export async function appendUpload(exchange: Exchange): Promise<Response> {
  const size = await receiveChunk(exchange)
  return status(exchange, exchange.untrustedTail, size, 202)
}

/** PUT: appends the body, if there is one, and turns the upload into a blob. */
export async function finishUpload(exchange: Exchange): Promise<Response> {
  const { storage, repository, query, untrustedTail } = exchange
  const digest = digestOfQuery(query)
  await receiveChunk(exchange)
  await storage.finishUpload(repository, untrustedTail, digest)
  return created(exchange, digest)
}

/** GET: how much has arrived. */
export async function getUpload(exchange: Exchange): Promise<Response> {
  const size = await exchange.storage.uploadSize(exchange.repository, exchange.untrustedTail)
  if (size === undefined) throw refusal('BLOB_UPLOAD_UNKNOWN', 'There is no such upload.')
  return status(exchange, exchange.untrustedTail, size, 204)
}

/** DELETE: drops the upload. */
export async function cancelUpload(exchange: Exchange): Promise<Response> {
  const found = await exchange.storage.cancelUpload(exchange.repository, exchange.untrustedTail)
  if (!found) throw refusal('BLOB_UPLOAD_UNKNOWN', 'There is no such upload.')
  return new Response(null, { status: 204 })
}

async function mountBlob(exchange: Exchange): Promise<Digest | undefined> {
  const { storage, homes, repository, query } = exchange
  const mount = query.get('mount')
  // A source that cannot be is as good as one that is not there: the client uploads.
  if (mount === null || !isDigest(mount)) return undefined
  const from = query.get('from') ?? homes.find(mount)
  if (from === undefined || !isRepositoryName(from)) return undefined
  return (await storage.mountBlob(from, repository, mount)) ? mount : undefined
}

/** Appends the body where Content-Range says that it belongs, and returns the size after it. */
async function receiveChunk(exchange: Exchange): Promise<number> {
  const { storage, repository, request, untrustedTail } = exchange
  const range = readContentRange(request)
  try {
    const size = await storage.appendUpload(repository, untrustedTail, bodyOf(exchange), range?.first)
    if (range !== undefined && size !== range.last + 1) {
      throw refusal('SIZE_INVALID', 'The chunk does not have the length that its Content-Range says.')
    }
    return size
  } catch (error) {
    if (!isCosignetError(error, 'CONFLICT')) throw error
    const size = (await storage.uploadSize(repository, untrustedTail)) ?? 0
    const { headers } = status(exchange, untrustedTail, size, 202)
    throw refusal('RANGE_INVALID', error.message, { headers: Object.fromEntries(headers) })
  }
}

/** `<first>-<last>`, both included: the form of the specification, without unit and total. */
function readContentRange(request: Request): { first: number; last: number } | undefined {
  const header = request.headers.get('content-range')
  if (header === null) return undefined
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(header)
  const range = { first: Number(match?.[1]), last: Number(match?.[2]) }
  const length = contentLengthOf(request)
  const announced = range.last - range.first + 1
  if (match === null || announced < 1 || (length !== undefined && length !== announced)) {
    throw refusal('SIZE_INVALID', 'The Content-Range is not that of the chunk.')
  }
  return range
}

function digestOfQuery(query: URLSearchParams): Digest {
  return parseDigest(query.get('digest') ?? '')
}

function status(exchange: Exchange, id: string, size: number, code: 202 | 204): Response {
  return new Response(null, {
    status: code,
    headers: {
      location: `/v2/${exchange.repository}/blobs/uploads/${id}`,
      range: `0-${Math.max(size - 1, 0)}`,
      'docker-upload-uuid': id,
    },
  })
}

function created({ homes, repository }: Exchange, digest: Digest): Response {
  homes.remember(digest, repository)
  return new Response(null, {
    status: 201,
    headers: { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest },
  })
}
