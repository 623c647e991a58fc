import { type BigIntStats, constants } from 'node:fs'
import { open, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CosignetError, errnoOf, fileError, makeFolder, quote } from '../../core/index.ts'

/** Milliseconds after which a lock that never changed hands is taken for one that a dead process left. */
const STALE_MS = 30_000
const POLL_MS = { least: 2, most: 20 } as const

/**
 * Runs an action while holding a lock that all processes with the same file system see: a file that only one can
 * create. A lock whose holder died is broken after `staleMs` of watching it unchanged, so that no clock of another
 * machine counts.
 * @param action gets a check to call right before what it does becomes visible; it fails with CONFLICT if the lock was
 * broken in the meantime, because this process had stood still for that long.
 * @param staleMs milliseconds; default 30 s, far beyond what one write takes.
 * @throws FILE, CONFLICT
 */
export async function withFileLock<T>(
  path: string,
  action: (assertHeld: () => Promise<void>) => Promise<T>,
  staleMs: number = STALE_MS,
): Promise<T> {
  const mine = await acquire(path, staleMs)
  const isMine = async () => identityOf(await statOrNothing(path)) === mine
  try {
    return await action(async () => {
      if (!(await isMine())) {
        throw new CosignetError('CONFLICT', `The lock ${quote(path)} was lost: this process stood still.`)
      }
    })
  } finally {
    if (await isMine()) await unlink(path).catch(() => undefined)
  }
}

async function acquire(path: string, staleMs: number): Promise<string> {
  let watched: string | undefined
  let watchedSince = 0
  for (;;) {
    const created = await create(path)
    if (created !== undefined) return created
    const seen = identityOf(await statOrNothing(path))
    if (seen !== watched) {
      watched = seen
      watchedSince = performance.now()
    } else if (seen !== undefined) {
      const unchanged = performance.now() - watchedSince
      if (unchanged > 2 * staleMs) throw cannotBreak(path)
      if (unchanged > staleMs) await breakLock(path, seen)
    }
    await sleep(POLL_MS.least + Math.random() * (POLL_MS.most - POLL_MS.least))
  }
}

/** Creates the lock file; `undefined` if another has it. */
async function create(path: string): Promise<string | undefined> {
  try {
    const file = await open(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600)
    try {
      return identityOf(await file.stat({ bigint: true }))
    } finally {
      await file.close()
    }
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return undefined
    if (errnoOf(error) === 'ENOENT') {
      await makeFolder(dirname(path), 0o700)
      return undefined
    }
    throw fileError(error, `The lock ${quote(path)} cannot be taken`)
  }
}

/** Removes the lock that was watched, and no other: those who would break it take turns by a second file. */
async function breakLock(path: string, watched: string): Promise<void> {
  const turn = turnOf(path)
  if ((await create(turn)) === undefined) return
  try {
    if (identityOf(await statOrNothing(path)) === watched) await unlink(path)
  } finally {
    await unlink(turn)
  }
}

function turnOf(path: string): string {
  return `${path}.breaking`
}

function cannotBreak(path: string): CosignetError {
  return new CosignetError('FILE', `The lock ${quote(path)} is stale, and so is ${quote(turnOf(path))}.`, {
    hint: 'If no KBS is running on this storage, remove both files and try again.',
  })
}

async function statOrNothing(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true })
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

function identityOf(stats: BigIntStats): string
function identityOf(stats: BigIntStats | undefined): string | undefined
function identityOf(stats: BigIntStats | undefined): string | undefined {
  return stats && `${stats.dev}:${stats.ino}:${stats.mtimeNs}`
}
