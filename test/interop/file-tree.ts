import { createHash } from 'node:crypto'
import type { Stats } from 'node:fs'
import { lstat, lutimes, readdir, readFile, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** A line for each file, folder and link below a folder, by its path. */
export type FileTree = Readonly<Record<string, string>>

/**
 * Reads all that an image keeps of a file tree: type, mode, content, target of a link, which names are hard links of one
 * file, time of a file to the second, and owners where this process may set them.
 */
export async function readFileTree(root: string): Promise<FileTree> {
  const names = (await listTree(root)).sort()
  const firstNames = new Map<number, string>()
  const lines: Record<string, string> = {}
  for (const name of names) {
    const path = join(root, name)
    const stats = await lstat(path)
    const first = firstNames.get(stats.ino)
    firstNames.set(stats.ino, first ?? name)
    const owner = process.getuid?.() === 0 ? ` ${stats.uid}:${stats.gid}` : ''
    lines[name] = `${(stats.mode & 0o7777).toString(8)}${owner} ${await describeContent(path, stats, first)}`
  }
  return lines
}

/** Gives all below a folder the same time, in seconds since 1970. */
export async function setTreeTimes(root: string, time: number): Promise<void> {
  for (const name of await listTree(root)) await lutimes(join(root, name), time, time)
}

/** Paths of all below a folder; unlike `readdir` with `recursive`, follows no links, which may lead out of it. */
async function listTree(root: string, folder = ''): Promise<string[]> {
  const names: string[] = []
  for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
    const name = join(folder, entry.name)
    names.push(name)
    if (entry.isDirectory()) names.push(...(await listTree(root, name)))
  }
  return names
}

async function describeContent(path: string, stats: Stats, first: string | undefined): Promise<string> {
  if (stats.isDirectory()) return 'folder'
  if (stats.isSymbolicLink()) return `link to ${await readlink(path)}`
  if (!stats.isFile()) return 'something else'
  if (first !== undefined) return `the same file as ${first}`
  const hash = createHash('sha256').update(await readFile(path))
  return `file of ${Math.floor(stats.mtimeMs / 1000)} ${hash.digest('hex')}`
}
