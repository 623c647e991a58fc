import { open, unlink } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { CosignetError, errnoOf, quote } from '../core/index.ts'

const POLL_MS = 50
/** The lock is held for one read and one write of a small file. */
const WAIT_MS = 10_000

/** Waits for that many milliseconds. */
export type Sleep = (ms: number) => Promise<unknown>

/**
 * Does `work` while no other process of ours does its own under the same lock: a file that exists as long.
 * @param path of the lock file, in a folder that is there.
 * @param sleep Default: a timer.
 * @throws CONFLICT if the lock is not free within ten seconds; what `work` throws
 */
export async function withLock<T>(path: string, work: () => Promise<T>, sleep: Sleep = wait): Promise<T> {
  for (let waited = 0; !(await tryLock(path)); waited += POLL_MS) {
    if (waited >= WAIT_MS) {
      throw new CosignetError('CONFLICT', `${quote(path)} is held by another process.`, {
        hint: 'If no process is writing there, one was killed: remove the file.',
      })
    }
    await sleep(POLL_MS)
  }
  try {
    return await work()
  } finally {
    await unlink(path).catch(() => undefined)
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    await (await open(path, 'wx')).close()
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}
