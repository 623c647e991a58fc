import { CosignetError, quote } from '../../core/index.ts'

/** A value as it was read. */
export interface StoredValue {
  readonly value: Uint8Array
  /** Names this very content; opaque, for the condition of a later `put`. */
  readonly version: string
}

/**
 * Where a KBS keeps everything: resources, sessions, its signing key. Several replicas may share one storage; each
 * operation is atomic, and `put` with a condition is a compare-and-set. Keys and namespaces are checked by
 * `checkStorageName`.
 */
export interface KbsStorage {
  get(namespace: string, key: string): Promise<StoredValue | undefined>

  /**
   * Stores a value whole or not at all.
   * @param condition only where the value still has this version; `null`: only where there is none. Default: always.
   * @returns `conflict` if the condition does not hold.
   */
  put(
    namespace: string,
    key: string,
    value: Uint8Array,
    condition?: { readonly version: string | null },
  ): Promise<'stored' | 'conflict'>

  /** @returns whether there was a value. */
  delete(namespace: string, key: string): Promise<boolean>

  /** The keys of a namespace, sorted. */
  list(namespace: string): Promise<string[]>
}

/** Namespaces of Trustee (kbs/src/plugins/implementations/resource/backend.rs, kbs/src/attestation/backend.rs), and ours. */
export const NAMESPACES = {
  resources: 'repository',
  sessions: 'kbs_protocol_session',
  signer: 'attestation_service_signer',
} as const

/**
 * Checks what becomes a file name or a column: letters, digits, `-`, `_`, `.`, and `/` in keys (Trustee's
 * `is_valid_key`); no part empty or beginning with `.`.
 * @throws INVALID_REQUEST
 */
export function checkStorageName(namespace: string, key?: string): void {
  if (!/^[A-Za-z0-9_-]+$/.test(namespace)) throw invalid('namespace', namespace)
  if (key !== undefined && !isStorageKey(key)) throw invalid('key', key)
}

/** Whether `key` is one that `checkStorageName` takes. */
export function isStorageKey(key: string): boolean {
  return /^[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*$/.test(key)
}

function invalid(kind: string, name: string): CosignetError {
  return new CosignetError('INVALID_REQUEST', `${quote(name)} is not a ${kind} of the KBS storage.`)
}
