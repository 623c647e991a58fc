import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { CosignetError, fileError, quote } from '../core/index.ts'

/** What SQLite answers where another connection has the lock (SQLITE_BUSY). */
const BUSY = 5

/**
 * Takes a folder for this process, until the function that comes back is called or the process ends in any way: the
 * kernel keeps the lock, so none is left behind. It is that of an empty database, since Node offers no other lock of
 * the system. It holds between containers of one machine too; between machines, if their file system has locks.
 * @throws CONFLICT if the folder is taken, also by this process; FILE
 */
export function lockFolder(directory: string): () => void {
  const path = join(directory, 'lock')
  try {
    const database = new DatabaseSync(path, { timeout: 0 })
    try {
      // No journal: nothing is ever written.
      database.exec('PRAGMA journal_mode = OFF; BEGIN EXCLUSIVE')
    } catch (error) {
      database.close()
      throw error
    }
    return () => database.close()
  } catch (error) {
    if (error instanceof Error && 'errcode' in error && error.errcode === BUSY) {
      throw new CosignetError('CONFLICT', `The folder ${quote(directory)} is in use by another registry.`, {
        cause: error,
        hint: 'Stop the other one, give this one a folder of its own, or serve with --read-only.',
      })
    }
    throw fileError(error, `The lock ${quote(path)} of the registry cannot be taken`)
  }
}
