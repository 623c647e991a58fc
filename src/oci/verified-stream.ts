import { CosignetError } from '../core/index.ts'
import { type Digest, DigestVerifier, digestParts, requireDigest } from './digest.ts'
import { type RemoteHash, startRemoteHash } from './hash-worker.ts'
import type { Descriptor } from './manifest.ts'

type BlobName = Pick<Descriptor, 'digest' | 'size'>
type Chunks = AsyncIterable<Uint8Array>

/** From this size on, another thread computes the digest: below, it is done before that thread has started. */
const REMOTE_BYTES = 16 * 1024 * 1024

/** What each stream that was made here promises to who reads it from its start. */
const promises = new WeakMap<Chunks, BlobName>()

/**
 * Passes a blob on and checks size and digest as it goes: fails as soon as it is too long, or at its end, before its
 * last chunk is passed on. Who has read it whole without an error has the right bytes. A stream that promises the same
 * already is returned as it is, so that no byte is hashed twice.
 * @param chunks the blob, or what opens it when it is first read; each chunk in memory of its own.
 * @throws DIGEST_MISMATCH; INTERNAL if the thread that computes the digest fails; and as the chunks do
 */
export function verifiedStream(
  chunks: Chunks | (() => Promise<Chunks>),
  { digest, size }: BlobName,
  what: string,
): Chunks {
  if (typeof chunks !== 'function') {
    const promised = promises.get(chunks)
    if (promised?.digest === digest && promised.size === size) return chunks
  }
  return promise(verify(chunks, { digest, size }, what), { digest, size })
}

/**
 * Tells how many bytes each chunk of a stream has as it passes; a verified stream stays one.
 * @param onBytes must not throw.
 */
export function watchedStream(chunks: Chunks, onBytes: (bytes: number) => void): Chunks {
  const watched = watch(chunks, onBytes)
  const promised = promises.get(chunks)
  return promised === undefined ? watched : promise(watched, promised)
}

/** Holds until the first read: who is given the rest only must not take it for the whole. */
function promise(chunks: Chunks, blob: BlobName): Chunks {
  const promising: Chunks = {
    [Symbol.asyncIterator]: () => {
      promises.delete(promising)
      return chunks[Symbol.asyncIterator]()
    },
  }
  promises.set(promising, blob)
  return promising
}

async function* verify(
  chunks: Chunks | (() => Promise<Chunks>),
  { digest, size }: BlobName,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const hash = startHash(digest, size, what)
  try {
    let read = 0
    let held: Uint8Array | undefined
    for await (const chunk of typeof chunks === 'function' ? await chunks() : chunks) {
      if (held !== undefined) yield held
      read += chunk.byteLength
      if (read > size) throw new CosignetError('DIGEST_MISMATCH', `${what} is longer than its ${size} bytes.`)
      const behind = hash.update(chunk)
      if (behind !== undefined) await behind
      held = chunk
    }
    if (read < size) {
      throw new CosignetError('DIGEST_MISMATCH', `${what} has ${read} bytes instead of ${size}.`)
    }
    await hash.finish()
    if (held !== undefined) yield held
  } finally {
    hash.close()
  }
}

async function* watch(
  chunks: Chunks,
  onBytes: (bytes: number) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    onBytes(chunk.byteLength)
    yield chunk
  }
}

interface RunningHash {
  update(chunk: Uint8Array): Promise<void> | undefined
  finish(): Promise<void>
  close(): void
}

function startHash(digest: Digest, size: number, what: string): RunningHash {
  const remote = size < REMOTE_BYTES ? undefined : startRemoteHash(digestParts(digest).algorithm)
  return remote === undefined ? hashHere(digest, what) : hashElsewhere(remote, digest, what)
}

function hashHere(digest: Digest, what: string): RunningHash {
  const verifier = new DigestVerifier(digest, what)
  return {
    update: (chunk) => {
      verifier.update(chunk)
      return undefined
    },
    finish: async () => verifier.finish(),
    close: () => undefined,
  }
}

function hashElsewhere(remote: RemoteHash, digest: Digest, what: string): RunningHash {
  return {
    update: (chunk) => remote.update(chunk),
    finish: async () => requireDigest(await remote.finish(), digest, what),
    close: () => remote.close(),
  }
}
