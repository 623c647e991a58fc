import { CosignetError, isCosignetError } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import type { Descriptor } from './manifest.ts'
import type { RegistryTransport } from './registry-transport.ts'
import { verifiedStream } from './verified-stream.ts'

const UPLOADS_MAX = 3

/**
 * Uploads a blob in one piece (distribution-spec, "POST then PUT"). An upload that breaks off starts again from the
 * beginning.
 */
export async function uploadBlob(
  transport: RegistryTransport,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const open = content instanceof Uint8Array ? () => once(content) : content
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await uploadOnce(transport, descriptor, open, what, signal)
    } catch (error) {
      const again = isCosignetError(error, 'UNAVAILABLE', 'TIMEOUT') && attempt + 1 < UPLOADS_MAX
      if (!again) throw error
      await transport.pause(attempt, signal)
    }
  }
}

async function uploadOnce(
  transport: RegistryTransport,
  descriptor: Pick<Descriptor, 'digest' | 'size'>,
  open: () => AsyncIterable<Uint8Array>,
  what: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const task = `Writing ${what}`
  const started = await transport.send({
    method: 'POST',
    path: 'blobs/uploads/',
    action: 'push',
    signal,
    task,
  })
  started.discard()
  const title = `The ${what.slice('the '.length)}`
  const finished = await transport.send({
    method: 'PUT',
    path: uploadUrl(started, descriptor, task),
    action: 'push',
    headers: { 'content-type': 'application/octet-stream' },
    body: { length: descriptor.size, open: () => verifiedStream(open(), descriptor, title) },
    signal,
    blob: true,
    task,
  })
  finished.discard()
  if (finished.status !== 201 && finished.status !== 204) {
    throw new CosignetError('BAD_RESPONSE', `${task} failed: the registry answers ${finished.status}.`)
  }
}

/** The Location is opaque: the digest is added to its query, and nothing else is touched. */
function uploadUrl(started: HttpResponse, { digest }: Pick<Descriptor, 'digest'>, task: string): URL {
  const url = URL.parse(started.headers['location'] ?? '', started.url.href)
  const downgraded = started.url.protocol === 'https:' && url?.protocol !== 'https:'
  if (started.headers['location'] === undefined || url === null || downgraded) {
    throw new CosignetError('BAD_RESPONSE', `${task} failed: the registry names no place to upload to.`)
  }
  url.search += `${url.search === '' ? '?' : '&'}digest=${encodeURIComponent(digest)}`
  return url
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes
}
