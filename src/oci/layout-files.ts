import { opendir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CosignetError, errnoOf, fileError, quote, readFileBounded } from '../core/index.ts'
import { readBlobFile } from './blob-files.ts'
import type { Descriptor } from './manifest.ts'
import { verifiedStream } from './verified-stream.ts'

/**
 * The files of an image by their names below its folder: on disk, or in an archive. Names are made of fixed words and
 * digests only, so that no document can name a file outside (CVE-2024-3727).
 */
export interface ImageFiles {
  /** What holds them, for messages: `oci:path`. */
  readonly name: string
  /** Reads a file of at most `limit` bytes. @throws NOT_FOUND, TOO_LARGE, FILE */
  readSmall(file: string, limit: number): Promise<Uint8Array>
  /** Streams a blob as a source does. @throws NOT_FOUND, DIGEST_MISMATCH, ABORTED, FILE */
  readBlob(
    file: string,
    blob: Pick<Descriptor, 'digest' | 'size'>,
    signal: AbortSignal | undefined,
  ): AsyncIterable<Uint8Array>
  /** Names in a folder (`''` is the whole), in no order; none if there is no such folder. @throws FILE */
  list(folder: string): AsyncIterable<string>
}

/**
 * The files of a folder. A file may be a link, even one that leads out, as build tools lay their outputs out: a blob is
 * what its digest says wherever it lies, and what is no blob is read as JSON and goes nowhere. Devices and pipes are
 * not read.
 */
export function folderFiles(path: string, name: string): ImageFiles {
  return {
    name,
    readSmall: async (file, limit) => await readSmallFile(join(path, file), limit, name),
    readBlob: (file, blob, signal) => {
      const what = `The blob ${blob.digest} of ${name}`
      const whole = { offset: 0, length: blob.size }
      const read = (): AsyncIterable<Uint8Array> => readBlobFile(join(path, file), blob, what, whole)
      return verifiedStream(async () => stoppable(read(), signal, name), blob, what)
    },
    list: (folder) => listFolder(join(path, folder)),
  }
}

/** Passes a stream on until the signal says stop: files end no sooner by themselves. @throws ABORTED */
export async function* stoppable(
  chunks: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
  name: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of chunks) {
    if (signal?.aborted === true) {
      throw new CosignetError('ABORTED', `Reading ${name} was stopped.`, { cause: signal.reason })
    }
    yield chunk
  }
}

async function readSmallFile(path: string, limit: number, name: string): Promise<Uint8Array> {
  try {
    const stats = await stat(path)
    if (!stats.isFile()) {
      throw new CosignetError('FILE', `The file ${quote(path)} cannot be read: it is not a file.`)
    }
    return await readFileBounded(path, limit, 'file')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') {
      throw new CosignetError('NOT_FOUND', `${name} has no file ${quote(path)}.`, { cause: error })
    }
    throw fileError(error, `The file ${quote(path)} cannot be read`)
  }
}

async function* listFolder(path: string): AsyncGenerator<string, void, undefined> {
  try {
    for await (const { name } of await opendir(path)) yield name
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw fileError(error, `The folder ${quote(path)} cannot be read`)
  }
}
