import { createReadStream } from 'node:fs'
import { type FileHandle, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolder, syncDirectory } from '../core/index.ts'
import type { UploadSink } from './upload-sessions.ts'

/** A file that is being written and gets its name when it is whole. */
export interface FileSink extends UploadSink {
  /** Syncs what was written and moves it to `path`, which it replaces; durable when the promise resolves. */
  moveTo(path: string): Promise<void>
}

/** Creates a file of its own at `temporary`, readable by its owner only, on the file system of its final place. */
export async function createFileSink(temporary: string): Promise<FileSink> {
  let file: FileHandle | undefined = await open(temporary, 'wx', 0o600)
  const opened = async (): Promise<FileHandle> => {
    file ??= await open(temporary, 'a')
    return file
  }
  const pause = async (): Promise<void> => {
    await file?.close()
    file = undefined
  }
  return {
    write: async (chunks) => writeAll(await opened(), chunks),
    pause,
    read: () => createReadStream(temporary),
    moveTo: async (path) => {
      await (await opened()).sync()
      await makeDirectory(dirname(path))
      await rename(temporary, path)
      await syncDirectory(dirname(path))
    },
    discard: async () => {
      await pause()
      await unlink(temporary).catch(() => undefined)
    },
  }
}

/** The system may write a part only, and tells why at the next try. */
async function writeAll(file: FileHandle, chunks: Uint8Array[]): Promise<void> {
  let rest = chunks
  while (rest.length > 0) {
    let { bytesWritten } = await file.writev(rest)
    rest = rest.flatMap((chunk) => {
      const skipped = Math.min(bytesWritten, chunk.byteLength)
      bytesWritten -= skipped
      return skipped === chunk.byteLength ? [] : [chunk.subarray(skipped)]
    })
  }
}

/** The last directory that was asked for. */
let making: Promise<void> = Promise.resolve()

/**
 * Makes a directory and those above it durable, for its owner only. One after the other: who finds a directory that
 * another request has just made must not answer before its name is durable.
 */
export function makeDirectory(path: string): Promise<void> {
  const made = making.then(() => makeAndSync(path))
  making = made.catch(() => undefined)
  return made
}

async function makeAndSync(path: string): Promise<void> {
  const made = await makeFolder(path, 0o700)
  for (const folder of made.toReversed()) await syncDirectory(dirname(folder))
}
