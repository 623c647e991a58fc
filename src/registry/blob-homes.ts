import { LIMITS } from '../core/index.ts'
import type { Digest } from '../oci/index.ts'

/**
 * Remembers in which repository a blob was last put or read, so that a client that mounts it without knowing from
 * where (distribution-spec 1.1, "Mounting a blob from another repository") need not send it again. It is a hint: at
 * most `LIMITS.registryBlobHomes` of them, those of this process alone, and the blob may be gone.
 */
export class BlobHomes {
  /** In the order in which they were last touched. */
  readonly #homes = new Map<Digest, string>()

  remember(digest: Digest, repository: string): void {
    this.#homes.delete(digest)
    this.#homes.set(digest, repository)
    if (this.#homes.size <= LIMITS.registryBlobHomes) return
    const [oldest] = this.#homes.keys()
    if (oldest !== undefined) this.#homes.delete(oldest)
  }

  find(digest: Digest): string | undefined {
    return this.#homes.get(digest)
  }
}
