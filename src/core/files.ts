import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { collectBytes } from './bytes.ts'
import { CosignetError, quote, reasonOf } from './errors.ts'

const READ_BYTES = 64 * 1024

/**
 * Reads a file of at most `limit` bytes.
 * @param what names the kind of file in messages, for example "key file".
 * @throws FILE if it cannot be read; TOO_LARGE
 */
export async function readFileBounded(path: string, limit: number, what: string): Promise<Uint8Array> {
  try {
    const file = await open(path, constants.O_RDONLY)
    try {
      return await collectBytes(chunksOf(file), limit, `The ${what} ${quote(path)}`)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(error, `The ${what} ${quote(path)} cannot be read`)
  }
}

/** Plain reads: a stream would cost a short command more than the file does. */
async function* chunksOf(file: FileHandle): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { bytesRead, buffer } = await file.read({ buffer: Buffer.allocUnsafe(READ_BYTES) })
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}

export interface WriteFileOptions {
  /** Permission bits of a new file, for example 0o600. */
  readonly mode: number
  /** Refuse with ALREADY_EXISTS if the file is there. Default: replace it. */
  readonly exclusive?: boolean
}

/**
 * Writes a file so that a reader (or a power cut) sees all of it or nothing: temporary name, sync, rename.
 * @throws ALREADY_EXISTS, FILE
 */
export async function writeFileAtomically(
  path: string,
  bytes: Uint8Array,
  options: WriteFileOptions,
): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  try {
    await makeFolder(directory)
    const file = await open(temporary, 'wx', options.mode)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    try {
      // A link fails where the name exists; a rename would replace it.
      if (options.exclusive === true) await link(temporary, path)
      else await rename(temporary, path)
    } catch (error) {
      if (errnoOf(error) !== 'EEXIST') throw error
      throw new CosignetError('ALREADY_EXISTS', `The file ${quote(path)} exists already.`, { cause: error })
    } finally {
      await unlink(temporary).catch(() => undefined)
    }
    await syncDirectory(directory)
  } catch (error) {
    await unlink(temporary).catch(() => undefined)
    throw fileError(error, `The file ${quote(path)} cannot be written`)
  }
}

/**
 * Makes a folder and those above it, if they are not there. Not by Node's own recursion, which never ends where the
 * system says of every new name that its parent is not there (`/proc`).
 * @param mode permission bits of the folders that are made. Default: 0o777, less the umask.
 * @returns those that were not there, the outermost first.
 * @throws the error of the system
 */
export async function makeFolder(path: string, mode = 0o777): Promise<readonly string[]> {
  const made = await tryFolder(path, mode)
  if (made !== undefined) return made
  const above = await makeFolder(dirname(path), mode)
  const last = await tryFolder(path, mode)
  if (last !== undefined) return [...above, ...last]
  await mkdir(path, { mode })
  return [...above, path]
}

/** Makes one folder; undefined if the one above it is not there. */
async function tryFolder(path: string, mode: number): Promise<readonly string[] | undefined> {
  try {
    await mkdir(path, { mode })
    return [path]
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST' && (await stat(path)).isDirectory()) return []
    if (errno === 'ENOENT' && dirname(path) !== path) return undefined
    throw error
  }
}

/** Makes the names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, constants.O_RDONLY)
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

/** The operating system's name of a failure ("ENOENT"), if `error` carries one. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return undefined
}

/** What the operating system's name of a failure means to a person. */
const FILE_REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of its path is a file and not a folder',
  // Where the system says so of what is not the name itself, a folder was to be made where a file is.
  EEXIST: 'a part of its path is a file and not a folder',
  ENOSPC: 'there is no space left on the device',
  ENAMETOOLONG: 'its name is too long',
  EPIPE: 'its reader has gone',
}

/**
 * The error for a file or folder that could not be worked with; a `CosignetError` is returned as it is.
 * @param message how the sentence begins, for example `The file "a" cannot be read`.
 */
export function fileError(error: unknown, message: string): CosignetError {
  if (error instanceof CosignetError) return error
  const reason = FILE_REASONS[errnoOf(error) ?? ''] ?? reasonOf(error)
  return new CosignetError('FILE', `${message}: ${reason}.`, { cause: error })
}
