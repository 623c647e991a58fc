import { createHash, type Hash, randomUUID } from 'node:crypto'
import { CosignetError, LIMITS } from '../core/index.ts'
import { type Digest, DigestVerifier, digestParts } from '../oci/index.ts'

/** Where the bytes of one upload go. */
export interface UploadSink {
  /** Appends all chunks. */
  write(chunks: Uint8Array[]): Promise<void>
  /** Nothing is written for a while: holds no more than it must. */
  pause(): Promise<void>
  /** What was written, once more. */
  read(): AsyncIterable<Uint8Array>
  /** Lets go of everything that the upload holds. */
  discard(): Promise<void>
}

interface Session<Sink> {
  readonly repository: string
  readonly sink: Sink
  /** SHA-256 of what was written, in step with it: nearly every blob is named by it. */
  readonly hash: Hash
  size: number
  busy: boolean
}

/**
 * The unfinished uploads of one process. A session takes one writer at a time. When there are as many as `LIMITS`
 * allows, the one that was left alone the longest gives way.
 */
export class UploadSessions<Sink extends UploadSink> {
  /** In the order in which they were last touched. */
  readonly #sessions = new Map<string, Session<Sink>>()

  /**
   * Opens a session on the sink that `createSink` makes for its id.
   * @throws UNAVAILABLE if too many are being written to
   */
  async open(repository: string, createSink: (id: string) => Promise<Sink>): Promise<string> {
    await this.#makeRoom()
    const id = randomUUID()
    const sink = await createSink(id)
    await sink.pause()
    this.#sessions.set(id, { repository, sink, hash: createHash('sha256'), size: 0, busy: false })
    return id
  }

  /** Bytes received so far; undefined if there is no such session in this repository. */
  size(repository: string, id: string): number | undefined {
    const session = this.#sessions.get(id)
    return session?.repository === repository ? session.size : undefined
  }

  /** @throws NOT_FOUND, CONFLICT, TOO_LARGE */
  async append(
    repository: string,
    id: string,
    content: AsyncIterable<Uint8Array>,
    offset: number | undefined,
  ): Promise<number> {
    const session = this.#claim(repository, id)
    let writing: Promise<void> = Promise.resolve()
    try {
      if (offset !== undefined && offset !== session.size) {
        throw new CosignetError('CONFLICT', `The upload continues at byte ${session.size}, not ${offset}.`)
      }
      for await (const batch of gather(content)) {
        await writing
        if (session.size + batch.bytes > LIMITS.blobBytes) {
          throw new CosignetError(
            'TOO_LARGE',
            `The blob is larger than the limit of ${LIMITS.blobBytes} bytes.`,
          )
        }
        writing = this.#write(id, session, batch)
        // The next batch arrives meanwhile; a failure is met by whoever awaits it.
        writing.catch(() => undefined)
      }
      await writing
      return session.size
    } finally {
      await writing.catch(() => undefined)
      await session.sink.pause()
      session.busy = false
    }
  }

  /**
   * Ends a session and hands its sink to `commit`, if what was written has the digest.
   * @throws NOT_FOUND, CONFLICT, DIGEST_MISMATCH
   */
  async finish(
    repository: string,
    id: string,
    digest: Digest,
    commit: (sink: Sink) => Promise<void>,
  ): Promise<void> {
    const session = this.#claim(repository, id)
    this.#sessions.delete(id)
    try {
      await verify(session, digest)
      await commit(session.sink)
    } finally {
      await session.sink.discard()
    }
  }

  /** Drops a session; false if there was none. @throws CONFLICT */
  async cancel(repository: string, id: string): Promise<boolean> {
    if (this.size(repository, id) === undefined) return false
    const session = this.#claim(repository, id)
    this.#sessions.delete(id)
    await session.sink.discard()
    return true
  }

  #claim(repository: string, id: string): Session<Sink> {
    const session = this.#sessions.get(id)
    if (session?.repository !== repository) throw new CosignetError('NOT_FOUND', 'There is no such upload.')
    if (session.busy) throw new CosignetError('CONFLICT', 'The upload is being written to.')
    session.busy = true
    this.#sessions.delete(id)
    this.#sessions.set(id, session)
    return session
  }

  async #write(id: string, session: Session<Sink>, { chunks, bytes }: Batch): Promise<void> {
    try {
      const written = session.sink.write(chunks)
      // Hashed while the disk is at work.
      for (const chunk of chunks) session.hash.update(chunk)
      await written
      session.size += bytes
    } catch (error) {
      // How much of it was written is not known, so hash and content may disagree.
      this.#sessions.delete(id)
      await session.sink.discard()
      throw error
    }
  }

  async #makeRoom(): Promise<void> {
    if (this.#sessions.size < LIMITS.registryUploads) return
    const idle = [...this.#sessions].find(([, session]) => !session.busy)
    if (idle === undefined) throw new CosignetError('UNAVAILABLE', 'Too many uploads are under way.')
    const [id, session] = idle
    this.#sessions.delete(id)
    await session.sink.discard()
  }
}

/** Bytes of one write, about: a socket gives far less at once. */
const BATCH_BYTES = 1024 * 1024

interface Batch {
  readonly chunks: Uint8Array[]
  readonly bytes: number
}

/** Gathers small chunks; what arrived before `content` failed comes first. */
async function* gather(content: AsyncIterable<Uint8Array>): AsyncGenerator<Batch> {
  let batch: { chunks: Uint8Array[]; bytes: number } = { chunks: [], bytes: 0 }
  let failure: { readonly error: unknown } | undefined
  try {
    for await (const chunk of content) {
      batch.chunks.push(chunk)
      batch.bytes += chunk.byteLength
      if (batch.bytes < BATCH_BYTES) continue
      yield batch
      batch = { chunks: [], bytes: 0 }
    }
  } catch (error) {
    failure = { error }
  }
  if (batch.bytes > 0) yield batch
  if (failure !== undefined) throw failure.error
}

async function verify(session: Session<UploadSink>, digest: Digest): Promise<void> {
  const { algorithm, hex } = digestParts(digest)
  if (algorithm !== 'sha256') {
    const verifier = new DigestVerifier(digest, 'The upload')
    for await (const chunk of session.sink.read()) verifier.update(chunk)
    verifier.finish()
    return
  }
  const actual = session.hash.digest('hex')
  if (actual !== hex) {
    throw new CosignetError('DIGEST_MISMATCH', `The upload has the digest sha256:${actual}, not ${digest}.`)
  }
}
