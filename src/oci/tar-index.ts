import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CosignetError, collectBytes, fileError, quote } from '../core/index.ts'
import { detectCompression, MAGIC_BYTES } from './tar-compression.ts'
import { findMembers, type TarEntry } from './tar-members.ts'
import { READ_BYTES, readAt, type SpooledFile, spoolArchive } from './tar-spool.ts'

/** A tar file that is open for reading at any place, by many readers at a time. */
export interface TarFile {
  /** For messages: `The archive "a.tar"`. */
  readonly what: string
  /**
   * Files by name, normalised (`a/b`, never absolute, no `.` or `..` in it); a link within the archive stands for the
   * file that it leads to.
   */
  readonly entries: ReadonlyMap<string, TarEntry>
  /** Reads a member whole. @throws NOT_FOUND, TOO_LARGE, FILE */
  readSmall(name: string, limit: number): Promise<Uint8Array>
  /**
   * Streams a part of a content, by default all of it, in chunks of up to 1 MiB, each in memory of its own. Nothing of
   * what it holds is verified. Fails with FILE if the tar file became shorter.
   */
  readRange(
    entry: TarEntry,
    range?: { readonly offset: number; readonly length: number },
  ): AsyncIterable<Uint8Array>
  /** Closes the file, and removes what was unpacked for it. */
  close(): Promise<void>
}

export interface TarOptions {
  /** Where an archive is copied to that cannot be read as it is. */
  readonly temporaryFolder: string
}

/**
 * Opens a tar file: reads its headers, never its contents, and unpacks nothing, so that no name in it can reach a file
 * of this machine. What is not a plain file (a pipe), or is compressed with gzip or zstd, is first copied to a file in
 * `temporaryFolder`.
 *
 * Two members of one name are refused, unless they hold the same bytes: `tar` and Docker take the last one,
 * containers/image takes the first, so they are two images for two readers (CVE-2021-41190 in spirit).
 * @throws INVALID_IMAGE if it is not a tar file, is truncated, or has a member with a name or link that leads out of
 * the archive, a sparse file, or a type that is not known; UNSUPPORTED for bzip2 and xz; TOO_LARGE, FILE
 */
export async function openTar(path: string, options: TarOptions): Promise<TarFile> {
  const what = `The archive ${quote(path)}`
  return await openIndexed(await openFile(path, what, options.temporaryFolder), what)
}

/**
 * Opens a tar file that comes as a stream, by way of a file in `temporaryFolder`.
 * @param what names the archive in messages: `The archive "a.tar"`.
 * @throws as `openTar`, and as the stream does
 */
export async function openTarStream(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
  options: TarOptions,
): Promise<TarFile> {
  return await openIndexed(await spoolArchive(chunks, options.temporaryFolder, what), what)
}

async function openIndexed(source: SpooledFile, what: string): Promise<TarFile> {
  const { file, size } = source
  try {
    const entries = await findMembers(file, size, what)
    return {
      what,
      entries,
      readSmall: async (name, limit) => {
        const entry = entries.get(name)
        if (entry === undefined) throw new CosignetError('NOT_FOUND', `${what} has no ${quote(name)}.`)
        return await collectBytes(
          readAt(file, entry.offset, entry.size, what),
          limit,
          `${what}: ${quote(name)}`,
        )
      },
      readRange: (entry, range = { offset: 0, length: entry.size }) =>
        readAt(file, entry.offset + range.offset, range.length, what),
      close: () => source.close(),
    }
  } catch (error) {
    await source.close()
    throw error
  }
}

async function openFile(path: string, what: string, temporaryFolder: string): Promise<SpooledFile> {
  try {
    const file = await open(path, constants.O_RDONLY)
    try {
      const stats = await file.stat()
      if (stats.isDirectory()) throw new CosignetError('FILE', `${what} cannot be read: it is a folder.`)
      if (stats.isFile() && !(await isCompressed(file))) {
        return { file, size: stats.size, close: () => file.close() }
      }
      const spooled = await spoolArchive(streamOf(file, what), temporaryFolder, what)
      await file.close()
      return spooled
    } catch (error) {
      await file.close()
      throw error
    }
  } catch (error) {
    throw fileError(error, `${what} cannot be read`)
  }
}

async function isCompressed(file: FileHandle): Promise<boolean> {
  const { bytesRead, buffer } = await file.read(Buffer.alloc(MAGIC_BYTES), 0, MAGIC_BYTES, 0)
  return detectCompression(buffer.subarray(0, bytesRead)) !== undefined
}

/** Reads on from where the file stands: a pipe has no places. */
async function* streamOf(file: FileHandle, what: string): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    for (;;) {
      const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafeSlow(READ_BYTES) })
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (error) {
    throw fileError(error, `${what} cannot be read`)
  }
}
