import { checkStorageName, type KbsStorage, type StoredValue } from './storage.ts'

/** A storage that lives as long as the process: for tests and demonstrations. */
export function memoryStorage(): KbsStorage {
  const namespaces = new Map<string, Map<string, StoredValue>>()
  let writes = 0
  const valuesOf = (namespace: string, key?: string): Map<string, StoredValue> => {
    checkStorageName(namespace, key)
    const values = namespaces.get(namespace) ?? new Map<string, StoredValue>()
    namespaces.set(namespace, values)
    return values
  }
  return {
    async get(namespace, key) {
      const stored = valuesOf(namespace, key).get(key)
      return stored && { value: Uint8Array.from(stored.value), version: stored.version }
    },
    async put(namespace, key, value, condition) {
      const values = valuesOf(namespace, key)
      if (condition !== undefined && (values.get(key)?.version ?? null) !== condition.version)
        return 'conflict'
      writes += 1
      values.set(key, { value: Uint8Array.from(value), version: String(writes) })
      return 'stored'
    },
    async delete(namespace, key) {
      return valuesOf(namespace, key).delete(key)
    },
    async list(namespace) {
      return [...valuesOf(namespace).keys()].sort()
    },
  }
}
