import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CosignetError, chunksOf, errnoOf, fileError, makeFolder, syncDirectory } from '../core/index.ts'
import type { Descriptor } from './manifest.ts'
import { verifiedStream } from './verified-stream.ts'

type BlobName = Pick<Descriptor, 'digest' | 'size'>

/** Bytes of one read, and about what is gathered for one write. */
const CHUNK_BYTES = 1024 * 1024

/** What may wait for the disk while more of the blob comes: were it all, its end would wait for the disk alone. */
const SYNC_BYTES = 16 * 1024 * 1024

/** A part of a blob, in bytes. */
export interface BlobRange {
  readonly offset: number
  readonly length: number
}

/**
 * Streams a file that holds a blob, in chunks of up to 1 MiB, each in memory of its own that the reader may keep. Who
 * has read it whole without an error has the right bytes. Of a range only the length is checked.
 * @param what names the blob in messages: "The blob sha256:… of oci:path".
 * @throws NOT_FOUND if there is no such file; DIGEST_MISMATCH, FILE
 */
export function readBlobFile(
  path: string,
  descriptor: BlobName,
  what: string,
  range?: BlobRange,
): AsyncIterable<Uint8Array> {
  if (range !== undefined) return readRange(path, descriptor, what, range)
  return verifiedStream(readRange(path, descriptor, what, wholeOf(descriptor)), descriptor, what)
}

/**
 * Writes a blob to a file, in place of one that is there: temporary name beside it, size and digest checked, sync,
 * rename. Nothing is left if any of it fails. Folders are made as needed; the file gets the mode 0644 less the umask.
 * @param content bytes, or a function that opens the stream.
 * @param what names the blob in messages: "The blob sha256:… of oci:path".
 * @throws DIGEST_MISMATCH, FILE, and as the stream does
 */
export async function writeBlobFile(
  path: string,
  descriptor: BlobName,
  content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  what: string,
): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await makeFolder(directory)
    const file = await open(temporary, 'wx', 0o644)
    try {
      const chunks = content instanceof Uint8Array ? chunksOf(content) : content()
      await writeChunks(file, verifiedStream(chunks, descriptor, what))
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
    await syncDirectory(directory)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw fileError(error, `${what} cannot be written`)
  }
}

async function* readRange(
  path: string,
  { size }: BlobName,
  what: string,
  { offset, length }: BlobRange,
): AsyncGenerator<Uint8Array, void, undefined> {
  const file = await openBlob(path, size, what)
  try {
    const end = offset + length
    for (let position = offset; position < end; ) {
      const bytes = Math.min(CHUNK_BYTES, end - position)
      const buffer = Buffer.allocUnsafeSlow(bytes)
      const { bytesRead } = await file.read(buffer, 0, bytes, position)
      if (bytesRead === 0) throw wrongSize(what, position, size)
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw fileError(error, `${what} cannot be read`)
  } finally {
    await file.close()
  }
}

/** Opens a file without waiting for a writer, should it be a pipe, and looks what it is before anything is read. */
async function openBlob(path: string, size: number, what: string): Promise<FileHandle> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stats = await file.stat()
      if (!stats.isFile()) throw new CosignetError('FILE', `${what} cannot be read: it is not a file.`)
      if (stats.size !== size) throw wrongSize(what, stats.size, size)
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new CosignetError('NOT_FOUND', `${what} is not there.`, { cause: error })
    }
    throw fileError(error, `${what} cannot be read`)
  }
}

/** Gathers chunks as small as a socket gives them, and reads on while the system writes. */
async function writeChunks(file: FileHandle, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let writing: Promise<void> = Promise.resolve()
  let syncing: Promise<void> | undefined
  let unsyncable: { readonly error: unknown } | undefined
  let gathered: Uint8Array[] = []
  let bytes = 0
  let unsynced = 0
  const flush = async (): Promise<void> => {
    await writing
    writing = writeAll(file, gathered)
    // Its failure is met by whoever awaits it next; until then it is nobody's.
    writing.catch(() => undefined)
    unsynced += bytes
    gathered = []
    bytes = 0
    if (unsynced < SYNC_BYTES || syncing !== undefined) return
    unsynced = 0
    syncing = file
      .datasync()
      .catch((error: unknown) => {
        // The system tells it once, so the sync at the end would know nothing of it.
        unsyncable = { error }
      })
      .finally(() => {
        syncing = undefined
      })
  }
  try {
    for await (const chunk of chunks) {
      gathered.push(chunk)
      bytes += chunk.byteLength
      if (bytes >= CHUNK_BYTES) await flush()
    }
    await flush()
  } finally {
    // The file must not be closed under a write.
    await Promise.allSettled([writing, syncing])
    await writing
  }
  if (unsyncable !== undefined) throw unsyncable.error
}

/** The system may write a part only, and tells why at the next try. */
async function writeAll(file: FileHandle, chunks: Uint8Array[]): Promise<void> {
  let rest = chunks
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest)
    const left: Uint8Array[] = []
    for (const chunk of rest) {
      const skipped = Math.min(bytesWritten, chunk.byteLength)
      bytesWritten -= skipped
      if (skipped < chunk.byteLength) left.push(chunk.subarray(skipped))
    }
    rest = left
  }
}

function wholeOf({ size }: BlobName): BlobRange {
  return { offset: 0, length: size }
}

function wrongSize(what: string, actual: number, size: number): CosignetError {
  return new CosignetError('DIGEST_MISMATCH', `${what} has ${actual} bytes instead of ${size}.`)
}
