import { CosignetError } from '../core/index.ts'

/** How long a step of an exchange may take, in milliseconds. */
export interface Patience {
  /** To connect, TLS included. */
  readonly connectMs: number
  /** Without one byte in either direction. */
  readonly idleMs: number
}

/**
 * What ends an exchange before its time: the caller's signal, the time for all of it, or the time for the step that it
 * is waiting for. Whoever waits listens to `signal`; its reason is the error to throw.
 */
export class Lifeline {
  readonly #what: string
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal | undefined
  readonly #patience: Patience
  #peerMs: number
  #total: NodeJS.Timeout | undefined
  #step: NodeJS.Timeout | undefined
  #closed = false

  /** @param totalMs milliseconds for all of the exchange; `Infinity` for none. */
  constructor(what: string, totalMs: number, outer: AbortSignal | undefined, patience: Patience) {
    this.#what = what
    this.#outer = outer
    this.#patience = patience
    this.#peerMs = patience.idleMs
    if (outer?.aborted === true) this.#onAbort()
    else outer?.addEventListener('abort', this.#onAbort, { once: true })
    if (Number.isFinite(totalMs)) {
      this.#total = this.#after(totalMs, `took longer than ${seconds(totalMs)} and was given up`)
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** The error of an exchange that was given up. */
  get failure(): CosignetError | undefined {
    const { reason } = this.signal
    return reason instanceof CosignetError ? reason : undefined
  }

  /** Waits for the connection from now on. */
  awaitConnection(): void {
    const { connectMs } = this.#patience
    this.#arm(connectMs, `failed: no connection within ${seconds(connectMs)}`)
  }

  /** Waits for the peer to send or take a byte from now on. */
  awaitPeer(): void {
    this.#arm(this.#peerMs, `failed: the server was silent for ${seconds(this.#peerMs)}`)
  }

  /** Gives the peer another time for each of its steps from now on; `undefined` is the usual one again. */
  expectWithin(ms: number | undefined): void {
    this.#peerMs = ms ?? this.#patience.idleMs
  }

  /** Waits for nobody but the caller, which may take its time. */
  rest(): void {
    clearTimeout(this.#step)
  }

  /** Ends the watch; nothing is aborted any more. */
  close(): void {
    this.#closed = true
    clearTimeout(this.#step)
    clearTimeout(this.#total)
    this.#outer?.removeEventListener('abort', this.#onAbort)
  }

  #arm(ms: number, message: string): void {
    clearTimeout(this.#step)
    if (!this.#closed) this.#step = this.#after(ms, message)
  }

  /** The timer alone keeps no process alive: while it matters, a socket does. */
  #after(ms: number, message: string): NodeJS.Timeout {
    return setTimeout(() => this.#fail(new CosignetError('TIMEOUT', `${this.#what} ${message}.`)), ms).unref()
  }

  readonly #onAbort = (): void => {
    this.#fail(
      new CosignetError('ABORTED', `${this.#what} was stopped before its end.`, {
        cause: this.#outer?.reason,
      }),
    )
  }

  #fail(error: CosignetError): void {
    this.close()
    this.#controller.abort(error)
  }
}

function seconds(ms: number): string {
  return `${ms / 1000} s`
}
