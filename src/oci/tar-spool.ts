import { randomBytes } from 'node:crypto'
import { type FileHandle, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CosignetError, fileError, LIMITS, makeFolder, quote } from '../core/index.ts'
import { decompress } from './tar-compression.ts'

/** A file that is gone when it is closed. */
export interface SpooledFile {
  readonly file: FileHandle
  readonly size: number
  close(): Promise<void>
}

/**
 * Copies an archive that cannot be read at any place, unpacked if it is compressed, to a temporary file that only this
 * user may read.
 * @param folder is made if it is not there.
 * @param what names the archive in messages.
 * @throws FILE, TOO_LARGE, INVALID_IMAGE, UNSUPPORTED, and as the stream does
 */
export async function spoolArchive(
  chunks: AsyncIterable<Uint8Array>,
  folder: string,
  what: string,
): Promise<SpooledFile> {
  const file = await openNameless(folder)
  try {
    let size = 0
    for await (const chunk of decompress(chunks, LIMITS.unpackedLayerBytes, what)) {
      await writeAll(file, chunk, size)
      size += chunk.byteLength
    }
    return { file, size, close: () => file.close() }
  } catch (error) {
    await file.close()
    throw fileError(error, `A temporary file in ${quote(folder)} cannot be written`)
  }
}

/** Bytes of one read. */
export const READ_BYTES = 1024 * 1024

/**
 * Streams a part of a file, in chunks of up to `READ_BYTES`, each in memory of its own.
 * @throws FILE, also if the file ends before
 */
export async function* readAt(
  file: FileHandle,
  offset: number,
  length: number,
  what: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  const end = offset + length
  try {
    for (let position = offset; position < end; ) {
      const bytes = Math.min(READ_BYTES, end - position)
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(bytes), 0, bytes, position)
      if (bytesRead === 0) throw new CosignetError('FILE', `${what} became shorter while it was read.`)
      position += bytesRead
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw fileError(error, `${what} cannot be read`)
  }
}

/** Writes all of `bytes`; the system may write a part only, and tells why at the next try. */
export async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let written = 0; written < bytes.byteLength; ) {
    const { bytesWritten } = await file.write(bytes, written, bytes.byteLength - written, position + written)
    if (bytesWritten === 0) throw new CosignetError('FILE', 'A file takes no more bytes.')
    written += bytesWritten
  }
}

/** Its name is taken away at once, so that nothing is left behind however the process ends. */
async function openNameless(folder: string): Promise<FileHandle> {
  const path = join(folder, `cosignet-${randomBytes(8).toString('hex')}.tmp`)
  try {
    await makeFolder(folder)
    const file = await open(path, 'wx+', 0o600)
    try {
      await unlink(path)
      return file
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (error) {
    throw fileError(error, `A temporary file in ${quote(folder)} cannot be made`)
  }
}
