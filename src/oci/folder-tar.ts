import type { Stats } from 'node:fs'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CosignetError, fileError, quote } from '../core/index.ts'
import { type LayerEntry, packLayer, refuseWhiteout } from './build-layer.ts'

/**
 * Packs what a folder holds as a tar stream (POSIX ustar, pax where it must) that is the same wherever the files are:
 * sorted names, time 0, owner 0, mode 0755 for folders and programs and 0644 for the rest. Symbolic links are kept and
 * never followed.
 *
 * The stream fails with INVALID_IMAGE for sockets, pipes and devices, for a name that a layer reserves (`.wh.`), and
 * for a file that changes while it is read; with FILE for what cannot be read.
 */
export function packFolder(folder: string): AsyncIterable<Uint8Array> {
  return packLayer(walk(folder, ''), 0)
}

async function* walk(folder: string, prefix: string): AsyncGenerator<LayerEntry, void, undefined> {
  for (const child of await readNames(join(folder, prefix))) {
    const name = prefix === '' ? child : `${prefix}/${child}`
    const path = join(folder, name)
    refuseWhiteout(child, path)
    const stats = await describeErrors(path, () => lstat(path))
    yield await toEntry(name, path, stats)
    if (stats.isDirectory()) yield* walk(folder, name)
  }
}

/** The names in a folder, in the order of their bytes. @throws FILE */
export async function readNames(path: string): Promise<readonly string[]> {
  const names = await describeErrors(path, () => readdir(path))
  return names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
}

/** Reads from a file system and says which path failed. @throws FILE */
export async function describeErrors<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw fileError(error, `${quote(path)} cannot be read`)
  }
}

/** Refuses what is not a file, folder or symbolic link. @throws INVALID_IMAGE */
export function refuseSpecial(stats: Stats, path: string): void {
  if (stats.isFile() || stats.isDirectory() || stats.isSymbolicLink()) return
  throw new CosignetError(
    'INVALID_IMAGE',
    `${quote(path)} is not a file, folder or symbolic link, so it cannot be in an image.`,
  )
}

async function toEntry(name: string, path: string, stats: Stats): Promise<LayerEntry> {
  refuseSpecial(stats, path)
  const owner = { uid: 0, gid: 0 }
  if (stats.isDirectory()) return { kind: 'folder', name, mode: 0o755, ...owner }
  if (stats.isSymbolicLink()) {
    const target = await describeErrors(path, () => readlink(path))
    return { kind: 'link', name, mode: 0o777, ...owner, target }
  }
  const mode = (stats.mode & 0o111) === 0 ? 0o644 : 0o755
  const source = { path, size: stats.size, inode: stats.ino, device: stats.dev }
  return { kind: 'file', name, mode, ...owner, source }
}
