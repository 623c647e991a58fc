import { setTimeout as wait } from 'node:timers/promises'
import { type Clock, CosignetError } from '../core/index.ts'

export interface AttemptsOptions {
  /** How often what failed is tried again. */
  readonly retries: number
  readonly clock: Clock
  /** Default: a timer. */
  readonly sleep?: ((ms: number, signal?: AbortSignal) => Promise<void>) | undefined
  /** Who is waited for, for messages. */
  readonly host: string
}

/** Statuses by which a server says that it may do later what it does not do now. */
export const RETRIED_STATUSES: ReadonlySet<number> = new Set([429, 500, 502, 503, 504])

const FIRST_WAIT_MS = 500
/** The longest wait, also where a registry asks for a longer one by Retry-After. */
const WAIT_MS_MAX = 60_000
/** Progress that is worth a full budget of tries; less could be had for ever from a server that cuts each answer. */
const REAL_PROGRESS_BYTES = 1024 * 1024

/** The budget of tries for one task; a long transfer earns it anew by getting on. */
export class Attempts {
  readonly #options: AttemptsOptions
  #failures = 0
  #progress = 0

  constructor(options: AttemptsOptions) {
    this.#options = options
  }

  /** Counts bytes that are had for good. */
  progress(bytes: number): void {
    this.#progress += bytes
    if (this.#progress >= REAL_PROGRESS_BYTES) this.#failures = 0
  }

  /**
   * Counts a failure and waits before the next try: half a second, doubled each time, or what the server asks for.
   * @param retryAfter the header of that name (RFC 9110, section 10.2.3): seconds, or an HTTP date.
   * @returns false at once if there is no try left.
   * @throws ABORTED
   */
  async again(signal: AbortSignal | undefined, retryAfter?: string): Promise<boolean> {
    const { retries, clock, sleep = timer, host } = this.#options
    if (this.#failures >= retries) return false
    const ms = askedFor(retryAfter, clock().getTime()) ?? FIRST_WAIT_MS * 2 ** this.#failures
    this.#failures += 1
    this.#progress = 0
    try {
      await sleep(Math.min(ms, WAIT_MS_MAX), signal)
    } catch (error) {
      throw new CosignetError('ABORTED', `Waiting for ${host} was stopped.`, { cause: error })
    }
    return true
  }
}

function askedFor(retryAfter: string | undefined, now: number): number | undefined {
  if (retryAfter === undefined) return undefined
  if (/^[0-9]{1,9}$/.test(retryAfter)) return Number(retryAfter) * 1000
  // Only the one form that is generated today (IMF-fixdate): Date.parse would take nearly anything.
  if (!/^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$/.test(retryAfter)) return undefined
  const date = Date.parse(retryAfter)
  return Number.isNaN(date) ? undefined : Math.max(date - now, 0)
}

async function timer(ms: number, signal?: AbortSignal): Promise<void> {
  await wait(ms, undefined, signal === undefined ? {} : { signal })
}
