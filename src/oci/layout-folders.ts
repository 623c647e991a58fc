import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { errnoOf } from '../core/index.ts'

/**
 * Makes a folder and those above it. Unlike a recursive `mkdir`, fails with the reason of the file system.
 * @param path absolute.
 * @returns those that were not there, the outermost first.
 */
export async function makeFolders(path: string): Promise<readonly string[]> {
  try {
    await mkdir(path)
    return [path]
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EEXIST') return []
    if (errno !== 'ENOENT' || dirname(path) === path) throw error
  }
  const above = await makeFolders(dirname(path))
  return [...above, ...(await makeFolders(path))]
}
