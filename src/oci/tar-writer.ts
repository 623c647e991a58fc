import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, lstat, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { CosignetError, errnoOf, fileError, makeFolder, quote, syncDirectory } from '../core/index.ts'
import { encodePaxRecord, encodeTarHeader, fitsTarHeader, TAR_BLOCK_BYTES, tarPadding } from './tar-header.ts'
import { readAt, writeAll } from './tar-spool.ts'

type Content = Uint8Array | (() => AsyncIterable<Uint8Array>)

const CHUNK_BYTES = 1024 * 1024

/**
 * Opens a tar file for writing. What is at `path` stays as it is until `commit`; a pipe or a device there
 * (`/dev/stdout`) gets all of the archive then.
 * @param options.temporaryFolder where the archive grows if `path` is not the name of a file.
 * @throws FILE
 */
export async function createTar(
  path: string,
  options: { readonly temporaryFolder: string },
): Promise<TarWriter> {
  const what = `The archive ${quote(path)}`
  try {
    const inPlace = await isSpecial(path)
    const folder = inPlace ? options.temporaryFolder : dirname(path)
    const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
    await makeFolder(folder)
    const file = await open(temporary, 'wx+', inPlace ? 0o600 : 0o644)
    return new TarWriter({ path, what, file, temporary, inPlace })
  } catch (error) {
    throw fileError(error, `${what} cannot be written`)
  }
}

/**
 * Opens a tar file for writing that gets no name: `finish` gives its bytes, `abort` drops it.
 * @param folder where it grows; it is made if it is not there.
 * @param what names the archive in messages.
 * @throws FILE
 */
export async function createTemporaryTar(folder: string, what: string): Promise<TarWriter> {
  const temporary = join(folder, `cosignet-${randomBytes(8).toString('hex')}.tmp`)
  try {
    await makeFolder(folder)
    return new TarWriter({ path: undefined, what, file: await open(temporary, 'wx+', 0o600), temporary })
  } catch (error) {
    throw fileError(error, `${what} cannot be written`)
  }
}

interface Target {
  /** Where the archive goes; undefined if it gets no name. */
  readonly path: string | undefined
  readonly what: string
  readonly file: FileHandle
  readonly temporary: string
  /** Whether the archive is written into what is at `path`, and not put in its place. Default: false. */
  readonly inPlace?: boolean
}

/** An archive that has ended, and no name. */
export interface FinishedTar {
  /** Bytes. */
  readonly length: number
  /** Streams the archive, each time from its start. */
  open(): AsyncIterable<Uint8Array>
}

/**
 * A tar file that grows under a temporary name. Owners, times and modes are fixed, so that the same members give the
 * same bytes. Members whose size is known are written side by side, each to the place that it got when it was added; a
 * member whose size is not known has the end of the file for itself.
 */
export class TarWriter {
  readonly #target: Target
  /** Where the next member starts. */
  #end = 0
  /** Resolves when the end of the file is free. */
  #turn: Promise<void> = Promise.resolve()
  /** Places of members that failed, by size of the place, to be taken by the next try. */
  readonly #gaps = new Map<number, number[]>()
  #isFinished = false

  /** @param target as `createTar` makes it */
  constructor(target: Target) {
    this.#target = target
  }

  /**
   * Adds a member. If it fails it can be added again.
   * @param name of parts that are neither empty nor `.` nor `..`, without a slash in front.
   * @param size bytes of the content, enforced.
   * @throws FILE, INTERNAL for such a name or another size, and as the stream does
   */
  async add(name: string, size: number, content: Content): Promise<void> {
    const header = encodeHeaders(checkName(name), size)
    const length = header.byteLength + size + tarPadding(size)
    const start = await this.#reserve(length)
    try {
      await this.#write(start, header)
      const written = await this.#writeContent(start + header.byteLength, content, size)
      if (written !== size)
        throw new CosignetError('INTERNAL', `${quote(name)} has ${written} bytes, not ${size}.`)
      await this.#write(start + header.byteLength + size, Buffer.alloc(tarPadding(size)))
    } catch (error) {
      this.#gaps.set(length, [...(this.#gaps.get(length) ?? []), start])
      throw this.#failure(error)
    }
  }

  /**
   * Adds a folder, which is there for all to read.
   * @param name as for `add`, of at most 99 bytes.
   * @throws FILE, INTERNAL
   */
  async addFolder(name: string): Promise<void> {
    const header = encodeTarHeader(`${checkName(name)}/`, 0, { type: '5', mode: 0o755 })
    const start = await this.#reserve(header.byteLength)
    try {
      await this.#write(start, header)
    } catch (error) {
      throw this.#failure(error)
    }
  }

  /**
   * Adds a member whose size, and so name, is known only when its content ended. Nothing of it stays if it fails.
   * @param nameOf is called when the content ended; of at most 100 bytes, and as for `add`. undefined drops the content.
   * @returns bytes of the content.
   * @throws FILE, INTERNAL, and as the stream does
   */
  async addUnsized(
    content: () => AsyncIterable<Uint8Array>,
    nameOf: () => string | undefined,
  ): Promise<number> {
    return await this.#alone(async () => {
      const start = this.#end
      try {
        const size = await this.#writeContent(start + TAR_BLOCK_BYTES, content, Number.MAX_SAFE_INTEGER)
        const name = nameOf()
        if (name === undefined) return size
        const padding = Buffer.alloc(tarPadding(size))
        await this.#write(start + TAR_BLOCK_BYTES + size, padding)
        await this.#write(start, encodeTarHeader(checkName(name), size))
        this.#end = start + TAR_BLOCK_BYTES + size + padding.byteLength
        return size
      } catch (error) {
        throw this.#failure(error)
      }
    })
  }

  /** Ends the archive and gives it its name, synced. @throws FILE */
  async commit(): Promise<void> {
    const { path, file, temporary, inPlace } = this.#target
    if (path === undefined) throw new CosignetError('INTERNAL', `${this.#target.what} has no name.`)
    try {
      const finished = await this.finish()
      if (inPlace === true) return await copyTo(path, finished.open())
      await file.sync()
      await file.close()
      await rename(temporary, path)
      await syncDirectory(dirname(path))
    } catch (error) {
      throw this.#failure(error)
    } finally {
      await this.#discard()
    }
  }

  /** Ends the archive. Nothing may be added afterwards; it can be read until `abort`. @throws FILE */
  async finish(): Promise<FinishedTar> {
    return await this.#alone(async () => {
      const { file, what } = this.#target
      try {
        if (this.#gaps.size > 0) throw new CosignetError('INTERNAL', `${what} lacks a member.`)
        // What a member left behind that failed or was dropped must not stand after the end.
        await file.truncate(this.#end)
        await this.#write(this.#end, Buffer.alloc(2 * TAR_BLOCK_BYTES))
      } catch (error) {
        throw this.#failure(error)
      }
      this.#isFinished = true
      const length = this.#end + 2 * TAR_BLOCK_BYTES
      return { length, open: () => readAt(file, 0, length, what) }
    })
  }

  /** Drops the archive. Does nothing after `commit`. */
  async abort(): Promise<void> {
    this.#isFinished = true
    await this.#discard()
  }

  async #discard(): Promise<void> {
    await this.#target.file.close().catch(() => undefined)
    await unlink(this.#target.temporary).catch(() => undefined)
  }

  /** Waits until nobody has the end of the file for himself, and takes a part of it. */
  async #reserve(length: number): Promise<number> {
    const gap = this.#gaps.get(length)?.pop()
    if (gap !== undefined) {
      if (this.#gaps.get(length)?.length === 0) this.#gaps.delete(length)
      return gap
    }
    return await this.#alone(async () => {
      const start = this.#end
      this.#end += length
      return start
    })
  }

  async #alone<T>(task: () => Promise<T>): Promise<T> {
    const before = this.#turn
    const turn = Promise.withResolvers<void>()
    this.#turn = turn.promise
    await before
    try {
      if (this.#isFinished) throw new CosignetError('INTERNAL', `${this.#target.what} is closed.`)
      return await task()
    } finally {
      turn.resolve()
    }
  }

  /** Gathers chunks as small as a socket gives them, and reads on while the system writes. */
  async #writeContent(start: number, content: Content, limit: number): Promise<number> {
    if (content instanceof Uint8Array) {
      if (content.byteLength <= limit) await this.#write(start, content)
      return content.byteLength
    }
    let size = 0
    let writing: Promise<void> = Promise.resolve()
    let gathered: Uint8Array[] = []
    let bytes = 0
    const flush = async (): Promise<void> => {
      await writing
      const [first, ...others] = gathered
      const joined = first !== undefined && others.length === 0 ? first : Buffer.concat(gathered, bytes)
      writing = this.#write(start + size - bytes, joined)
      // Its failure is met by whoever awaits it next; until then it is nobody's.
      writing.catch(() => undefined)
      gathered = []
      bytes = 0
    }
    try {
      for await (const chunk of content()) {
        size += chunk.byteLength
        bytes += chunk.byteLength
        if (size > limit) throw new CosignetError('INTERNAL', `A member is longer than its ${limit} bytes.`)
        gathered.push(chunk)
        if (bytes >= CHUNK_BYTES) await flush()
      }
      await flush()
    } finally {
      await writing
    }
    return size
  }

  async #write(position: number, bytes: Uint8Array): Promise<void> {
    await writeAll(this.#target.file, bytes, position)
  }

  #failure(error: unknown): CosignetError {
    return fileError(error, `${this.#target.what} cannot be written`)
  }
}

async function copyTo(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  const out = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC)
  try {
    for await (const chunk of chunks) await out.writeFile(chunk)
  } finally {
    await out.close()
  }
}

/** Whether there is something that must not be replaced by a file: a pipe, a device, a link to one. */
async function isSpecial(path: string): Promise<boolean> {
  try {
    const stats = await lstat(path)
    if (stats.isDirectory())
      throw new CosignetError('FILE', `${quote(path)} cannot be written: it is a folder.`)
    return !stats.isFile()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}

/** A member must not be written outside its folder by whoever unpacks the archive. */
function checkName(name: string): string {
  const parts = name.split('/')
  if (!name.includes('\0') && !parts.some((part) => part === '' || part === '.' || part === '..')) return name
  throw new CosignetError('INTERNAL', `${quote(name)} is not a name for a member of an archive.`)
}

function encodeHeaders(name: string, size: number): Uint8Array {
  if (fitsTarHeader(name)) return encodeTarHeader(name, size)
  const records = encodePaxRecord('path', name)
  const short = name.slice(-100)
  return Buffer.concat([
    encodeTarHeader('pax', records.byteLength, { type: 'x' }),
    records,
    Buffer.alloc(tarPadding(records.byteLength)),
    encodeTarHeader(fitsTarHeader(short) ? short : 'pax', size),
  ])
}
