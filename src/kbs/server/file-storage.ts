import { createHash } from 'node:crypto'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import {
  errnoOf,
  fileError,
  isCosignetError,
  LIMITS,
  makeFolder,
  quote,
  readFileBounded,
  syncDirectory,
  writeFileAtomically,
} from '../../core/index.ts'
import { withFileLock } from './file-lock.ts'
import { checkStorageName, isStorageKey, type KbsStorage, type StoredValue } from './storage.ts'

/** How Trustee writes the `/` of a key in a file name: these four characters. */
const SLASH = '\\x2F'
/** Beside the namespaces, so that Trustee does not list locks as keys. */
const LOCKS = '.locks'

/**
 * A storage in a folder, laid out as Trustee's LocalFs (deps/key-value-storage/src/local_fs): `<directory>/<namespace>/
 * <key>`, a `/` in the key written as the four characters `\x2F`. Files are readable by their owner alone, appear whole
 * or not at all and are synced before `put` answers. Any number of processes may share the folder; Trustee itself may
 * read it, but knows nothing of the locks. The version of a value is the SHA-256 of its bytes.
 */
export function fileStorage(directory: string): KbsStorage {
  const pathOf = (namespace: string, key: string): string => {
    checkStorageName(namespace, key)
    return join(directory, namespace, key.replaceAll('/', SLASH))
  }
  const locked = <T>(
    namespace: string,
    key: string,
    action: (assertHeld: () => Promise<void>) => Promise<T>,
  ): Promise<T> =>
    withFileLock(join(directory, LOCKS, `${namespace}${SLASH}${key.replaceAll('/', SLASH)}`), action)

  return {
    async get(namespace, key) {
      return await read(pathOf(namespace, key))
    },
    async put(namespace, key, value, condition) {
      const path = pathOf(namespace, key)
      return await locked(namespace, key, async (assertHeld) => {
        if (condition !== undefined) {
          const version = (await read(path))?.version ?? null
          if (version !== condition.version) return 'conflict'
        }
        await makeFolder(join(directory, namespace), 0o700)
        await assertHeld()
        await writeFileAtomically(path, value, { mode: 0o600 })
        return 'stored'
      })
    },
    async delete(namespace, key) {
      const path = pathOf(namespace, key)
      return await locked(namespace, key, async (assertHeld) => {
        await assertHeld()
        const existed = await remove(path)
        if (existed) await syncDirectory(join(directory, namespace))
        return existed
      })
    },
    async list(namespace) {
      checkStorageName(namespace)
      const names = await listNames(join(directory, namespace))
      // What is not a key is a temporary file, or nothing of ours.
      return names
        .map((name) => name.replaceAll(SLASH, '/'))
        .filter(isStorageKey)
        .sort()
    },
  }
}

async function read(path: string): Promise<StoredValue | undefined> {
  try {
    const value = await readFileBounded(path, LIMITS.resourceBytes, 'KBS storage file')
    return { value, version: createHash('sha256').update(value).digest('hex') }
  } catch (error) {
    if (isCosignetError(error, 'FILE') && errnoOf(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

async function remove(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw fileError(error, `The file ${quote(path)} cannot be removed`)
  }
}

async function listNames(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return []
    throw fileError(error, `The folder ${quote(directory)} cannot be read`)
  }
}
