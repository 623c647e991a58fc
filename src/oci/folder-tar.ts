import { constants, type Stats } from 'node:fs'
import { lstat, open, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { createTarPacker, type TarHeader, type TarPackController } from 'modern-tar'
import { CosignetError, fileError, quote } from '../core/index.ts'

const READ_BYTES = 256 * 1024
const EPOCH = new Date(0)

interface Entry {
  /** Below the folder, with `/`. */
  readonly name: string
  readonly path: string
  readonly stats: Stats
}

/**
 * Packs what a folder holds as a tar stream (POSIX ustar, pax where it must) that is the same wherever the files are:
 * sorted names, time 0, owner 0, mode 0755 for folders and programs and 0644 for the rest. Symbolic links are kept and
 * never followed.
 *
 * The stream fails with INVALID_IMAGE for sockets, pipes and devices, for a name that a layer reserves (`.wh.`), and
 * for a file that changes while it is read; with FILE for what cannot be read.
 */
export async function* packFolder(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  const { readable, controller } = createTarPacker()
  const packing = pack(folder, controller).catch((error: unknown) => controller.error(error))
  const reader = readable.getReader()
  try {
    for (;;) {
      const next = await reader.read()
      if (next.done) break
      yield next.value
    }
  } finally {
    await reader.cancel()
    await packing
  }
}

async function pack(folder: string, controller: TarPackController): Promise<void> {
  for await (const entry of walk(folder, '')) await packEntry(entry, controller)
  controller.finalize()
}

async function* walk(folder: string, prefix: string): AsyncGenerator<Entry, void, undefined> {
  for (const child of await readNames(join(folder, prefix))) {
    const name = prefix === '' ? child : `${prefix}/${child}`
    const path = join(folder, name)
    if (child.startsWith('.wh.')) {
      throw new CosignetError(
        'INVALID_IMAGE',
        `${quote(path)} cannot be in an image: names that start with ".wh." delete files.`,
      )
    }
    const stats = await describeErrors(path, () => lstat(path))
    yield { name, path, stats }
    if (stats.isDirectory()) yield* walk(folder, name)
  }
}

async function readNames(path: string): Promise<readonly string[]> {
  const names = await describeErrors(path, () => readdir(path))
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

async function packEntry({ name, path, stats }: Entry, controller: TarPackController): Promise<void> {
  const common = { mtime: EPOCH, uid: 0, gid: 0, uname: '', gname: '', size: 0 }
  if (stats.isDirectory()) {
    return await packEmpty(controller, { ...common, name: `${name}/`, type: 'directory', mode: 0o755 })
  }
  if (stats.isSymbolicLink()) {
    const linkname = await describeErrors(path, () => readlink(path))
    return await packEmpty(controller, { ...common, name, type: 'symlink', mode: 0o777, linkname })
  }
  if (!stats.isFile()) {
    throw new CosignetError(
      'INVALID_IMAGE',
      `${quote(path)} is not a file, folder or symbolic link, so it cannot be in an image.`,
    )
  }
  const mode = (stats.mode & 0o111) === 0 ? 0o644 : 0o755
  await packFile(path, stats, controller, { ...common, name, type: 'file', mode, size: stats.size })
}

async function packEmpty(controller: TarPackController, header: TarHeader): Promise<void> {
  await controller.add(header).close()
}

async function packFile(
  path: string,
  stats: Stats,
  controller: TarPackController,
  header: TarHeader,
): Promise<void> {
  await describeErrors(path, async () => {
    // A link that was put in its place in the meantime must not lead out of the folder.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      const now = await file.stat()
      if (now.ino !== stats.ino || now.dev !== stats.dev || now.size !== stats.size) throw changed(path)
      const writer = controller.add(header).getWriter()
      let read = 0
      for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: READ_BYTES })) {
        read += (chunk as Uint8Array).byteLength
        if (read > stats.size) throw changed(path)
        await writer.write(chunk as Uint8Array)
      }
      if (read < stats.size) throw changed(path)
      await writer.close()
    } finally {
      await file.close()
    }
  })
}

function changed(path: string): CosignetError {
  return new CosignetError('INVALID_IMAGE', `The file ${quote(path)} changed while it was read.`)
}

async function describeErrors<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw fileError(error, `${quote(path)} cannot be read`)
  }
}
