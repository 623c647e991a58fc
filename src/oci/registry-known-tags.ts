import { isCosignetError } from '../core/index.ts'
import { listFirstTags } from './registry-tags.ts'
import type { RegistryTransport } from './registry-transport.ts'

/** Tags that are named after the digest of an image: its signatures, and where there is no API its referrers. */
const OF_A_DIGEST = /^sha256-[0-9a-f]{64}(?:\.[a-z]+)?$/

/** Tags that are asked for one by one before the list is worth its request. */
const ASKED_FIRST = 12

/**
 * Knows which tags beside images a repository does not have, for who looks at many images in it: once it was asked for
 * some, it reads the list of tags, and what is not in it is not asked for. What others push later is not seen.
 */
export class KnownTags {
  readonly #transport: RegistryTransport
  readonly #name: string
  readonly #asked = new Set<string>()
  #tags: Promise<ReadonlySet<string> | undefined> | undefined

  /** @param name of the repository, for messages. */
  constructor(transport: RegistryTransport, name: string) {
    this.#transport = transport
    this.#name = name
  }

  /** Whether it is certain that there is no such tag. @throws ABORTED */
  async lacks(tag: string, signal: AbortSignal | undefined): Promise<boolean> {
    if (!OF_A_DIGEST.test(tag)) return false
    if (this.#asked.size < ASKED_FIRST || this.#asked.has(tag)) {
      this.#asked.add(tag)
      return false
    }
    this.#tags ??= this.#read(signal)
    const tags = await this.#tags
    return tags !== undefined && !tags.has(tag)
  }

  /** Undefined where the list cannot be had, or goes on over more pages: then each tag is asked for. */
  async #read(signal: AbortSignal | undefined): Promise<ReadonlySet<string> | undefined> {
    try {
      return await listFirstTags(this.#transport, this.#name, signal)
    } catch (error) {
      if (isCosignetError(error) && error.code !== 'ABORTED') return undefined
      throw error
    }
  }
}
