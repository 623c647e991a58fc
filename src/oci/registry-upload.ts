import { CosignetError, chunksOf, isCosignetError, LIMITS } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import type { Descriptor } from './manifest.ts'
import { refuseHtml } from './registry-answers.ts'
import { type Attempts, RETRIED_STATUSES } from './registry-attempts.ts'
import type { RegistryTransport } from './registry-transport.ts'
import type { BlobOutcome } from './store.ts'
import { verifiedStream } from './verified-stream.ts'

/** A blob to write. */
export interface BlobUpload {
  readonly descriptor: Pick<Descriptor, 'digest' | 'size'>
  readonly content: Uint8Array | (() => AsyncIterable<Uint8Array>)
  /** Names the blob in messages: "the blob sha256:… of ghcr.io/a/b". */
  readonly what: string
  readonly signal: AbortSignal | undefined
}

/** Milliseconds that a registry is given to cancel a session, which is of use to it alone. */
const CANCEL_MS = 1000

/**
 * Stores a blob (distribution-spec 1.1, "Pushing blobs"): not at all if it is there, by a mount if the transport has a
 * repository for it, and else in one piece, "POST then PUT". An upload that breaks off starts again with a session,
 * a stream and, where it ran out, a token of its own. The session of a failed upload is cancelled.
 * @throws DIGEST_MISMATCH, what the content throws, and as `RegistryTransport.send`
 */
export async function uploadBlob(transport: RegistryTransport, upload: BlobUpload): Promise<BlobOutcome> {
  const { what, signal } = upload
  if (await hasBlob(transport, upload)) return 'present'
  const mount = await mountBlob(transport, upload)
  if (mount === 'mounted') return mount
  const attempts = transport.attempts()
  const source = openWatched(upload)
  let session = mount
  for (let tries = 0, renewed = false; ; tries += 1, session = undefined) {
    let failure: unknown
    let retryAfter: string | undefined
    try {
      // Perhaps no more than the answer of the last try was lost.
      if (tries > 0 && (await hasBlob(transport, upload, attempts))) return 'written'
      session ??= await openSession(transport, upload, attempts)
      const response = await putContent(transport, upload, source.open, session)
      if (response.status < 400) return 'written'
      retryAfter = response.headers['retry-after']
      failure = await transport.errorOf(response, `Writing ${what}`)
    } catch (error) {
      failure = error
    }
    if (session !== undefined) await cancelSession(transport, session, what)
    // The content's own error, and no matter of this registry.
    if (source.failed()) throw failure
    // A token may run out while a large blob is on its way: that is no failure of the registry.
    const expired = isCosignetError(failure, 'UNAUTHORIZED') && session !== undefined && !renewed
    if (expired) renewed = true
    else if (!isTransient(failure, session) || !(await attempts.again(signal, retryAfter))) throw failure
  }
}

/** A session that is not known any more (404) went with the replica or the restart that it was on. */
function isTransient(error: unknown, session: Session | undefined): boolean {
  if (session !== undefined && isCosignetError(error, 'NOT_FOUND')) return true
  return isCosignetError(error, 'UNAVAILABLE', 'TIMEOUT')
}

async function hasBlob(
  transport: RegistryTransport,
  { descriptor, what, signal }: BlobUpload,
  attempts?: Attempts,
): Promise<boolean> {
  const response = await transport.send({
    method: 'HEAD',
    path: `blobs/${descriptor.digest}`,
    action: 'push',
    signal,
    expect: [404],
    task: `Looking for ${what}`,
    ...(attempts === undefined ? {} : { attempts }),
  })
  response.discard()
  if (response.status === 404) return false
  refuseHtml(response, `${transport.host}/${transport.repository}`)
  // What is there under a wrong size is not the blob.
  const length = response.headers['content-length']
  return length === undefined || Number(length) === descriptor.size
}

/** The place that a registry names for the bytes of an upload. */
interface Session {
  readonly url: URL
  /** Whether it is at the registry itself, and not at a storage beside it. */
  readonly own: boolean
}

/**
 * Asks for a mount ("Mounting a blob from another repository").
 * @returns the session that a registry opens in its place; undefined where it does neither: that it will not mount is
 * no error.
 */
async function mountBlob(
  transport: RegistryTransport,
  { descriptor, what, signal }: BlobUpload,
): Promise<'mounted' | Session | undefined> {
  const { mountFrom } = transport
  if (mountFrom === undefined) return undefined
  const task = `Mounting ${what}`
  try {
    const path = `blobs/uploads/?${new URLSearchParams({ mount: descriptor.digest, from: mountFrom })}`
    const response = await transport.send({ method: 'POST', path, action: 'mount', signal, task })
    response.discard()
    if (response.status === 201) return 'mounted'
    return response.status === 202 ? readSession(response, task) : undefined
  } catch (error) {
    if (isCosignetError(error, 'ABORTED')) throw error
    // What is not allowed for one blob is not for the next.
    if (isCosignetError(error, 'UNAUTHORIZED', 'FORBIDDEN')) transport.stopMounting()
    return undefined
  }
}

async function openSession(
  transport: RegistryTransport,
  { what, signal }: BlobUpload,
  attempts: Attempts,
): Promise<Session> {
  const task = `Writing ${what}`
  const path = 'blobs/uploads/'
  const response = await transport.send({ method: 'POST', path, action: 'push', signal, attempts, task })
  response.discard()
  return readSession(response, task)
}

function readSession({ headers, url: asked }: HttpResponse, task: string): Session {
  const location = headers['location']
  const url = location === undefined ? null : URL.parse(location, asked.href)
  if (url === null || (asked.protocol === 'https:' && url.protocol !== 'https:')) {
    throw new CosignetError('BAD_RESPONSE', `${task} failed: the registry names no place to upload to.`)
  }
  return { url, own: url.origin === asked.origin }
}

/** @returns an answer of success, or one that says to come again later. */
async function putContent(
  transport: RegistryTransport,
  { descriptor, what, signal }: BlobUpload,
  open: () => AsyncIterable<Uint8Array>,
  session: Session,
): Promise<HttpResponse> {
  const { size, digest } = descriptor
  // The Location is opaque: the digest is added to its query, and nothing else is touched.
  const url = new URL(session.url)
  url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`
  const task = `Writing ${what}`
  const response = await transport.send({
    method: 'PUT',
    path: url,
    action: 'push',
    headers: { 'content-type': 'application/octet-stream' },
    body: { length: size, open },
    signal,
    once: true,
    expect: [...RETRIED_STATUSES],
    timeoutMs: Number.POSITIVE_INFINITY,
    // Some registries write a large blob once more, or to another storage, before they answer.
    answerMs: LIMITS.requestMs + (Math.min(size, LIMITS.blobBytes) / LIMITS.storeBytesPerSecond) * 1000,
    task,
  })
  if (response.status >= 400) return response
  response.discard()
  if (response.status === 201 || response.status === 204) return response
  throw new CosignetError('BAD_RESPONSE', `${task} failed: the registry answers ${response.status}.`)
}

/** Lets the registry drop what it has got; it would do so in time. The caller's own signal may be what ended it. */
async function cancelSession(transport: RegistryTransport, session: Session, what: string): Promise<void> {
  if (!session.own) return
  try {
    const response = await transport.send({
      method: 'DELETE',
      path: session.url,
      action: 'delete',
      once: true,
      timeoutMs: CANCEL_MS,
      task: `Cancelling ${what}`,
    })
    response.discard()
  } catch {}
}

/** Opens the content, checked on its way, and remembers whether it failed by itself. */
function openWatched({ descriptor, content, what }: BlobUpload): {
  readonly open: () => AsyncIterable<Uint8Array>
  readonly failed: () => boolean
} {
  const title = `The ${what.slice('the '.length)}`
  const openContent = content instanceof Uint8Array ? () => chunksOf(content) : content
  let failed = false
  const open = async function* (): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      yield* verifiedStream(openContent(), descriptor, title)
    } catch (error) {
      failed = true
      throw error
    }
  }
  return { open, failed: () => failed }
}
