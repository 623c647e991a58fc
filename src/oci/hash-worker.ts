import type { Hash } from 'node:crypto'
import type { Worker } from 'node:worker_threads'
import { CosignetError, reasonOf } from '../core/index.ts'

/** Bytes that are handed over at once; less costs messages, more makes the end of a blob wait longer. */
const BLOCK_BYTES = 512 * 1024
/** Blocks of one blob that are filled or being hashed. */
const BLOCKS = 4
/** More threads than this are not kept busy by one network. */
const WORKERS_MAX = 4

/** A hash that another thread computes over chunks as they pass. */
export interface RemoteHash {
  /**
   * Takes a chunk, which may change afterwards.
   * @returns something to wait for if the other thread is behind.
   * @throws INTERNAL if the other thread failed.
   */
  update(chunk: Uint8Array): Promise<void> | undefined
  /** The digest of all chunks, as hex. @throws INTERNAL if the other thread failed. */
  finish(): Promise<string>
  /** Gives back what the hash holds, finished or not. */
  close(): void
}

type Request =
  | { readonly id: number; readonly algorithm: string; readonly memory: SharedArrayBuffer }
  | { readonly id: number; readonly offset: number; readonly length: number }
  | { readonly id: number; readonly end: 'digest' | 'drop' }

type Reply = { readonly id: number; readonly digest?: string }

/** A thread and the hashes that it computes. */
interface HashThread {
  readonly worker: Worker
  readonly hashes: Map<number, SharedHash>
}

const threads: HashThread[] = []
const spareMemory: SharedArrayBuffer[] = []
let lastId = 0

/**
 * Starts a hash on another thread; threads are started when they are first needed.
 * @returns undefined where no processor is to spare, or a thread cannot be had. The calling thread moves the bytes, and
 * the system's or the other side's work on them takes a second processor: on two of them, a copy with a third thread
 * was measured to take a fifth more processor time and 30 MB more, and to end no sooner.
 */
export function startRemoteHash(algorithm: string): RemoteHash | undefined {
  const spare = process.getBuiltinModule('node:os').availableParallelism() - 2
  const thread = spare < 1 ? undefined : pickThread(Math.min(spare, WORKERS_MAX))
  return thread === undefined ? undefined : new SharedHash(thread, algorithm)
}

function pickThread(most: number): HashThread | undefined {
  const [idlest] = threads.toSorted((a, b) => a.hashes.size - b.hashes.size)
  if (idlest !== undefined && (idlest.hashes.size === 0 || threads.length >= most)) return idlest
  return startThread() ?? idlest
}

function startThread(): HashThread | undefined {
  const { Worker } = process.getBuiltinModule('node:worker_threads')
  let worker: Worker
  try {
    // As text, so that it is there in whatever file this code was bundled into.
    worker = new Worker(`(${hashMessages.toString()})()`, { eval: true, execArgv: [] })
  } catch {
    return undefined
  }
  const thread: HashThread = { worker, hashes: new Map() }
  const fail = (reason: string, cause?: unknown): void => {
    if (threads.includes(thread)) threads.splice(threads.indexOf(thread), 1)
    for (const hash of thread.hashes.values()) {
      hash.fail(new CosignetError('INTERNAL', `The thread that computes digests ${reason}.`, { cause }))
    }
  }
  worker.on('message', (reply: Reply) => thread.hashes.get(reply.id)?.take(reply))
  worker.on('messageerror', (error) => fail('sent what cannot be read', error))
  worker.on('error', (error) => fail(`failed: ${reasonOf(error)}`, error))
  worker.on('exit', () => fail('ended'))
  // It keeps the process alive while somebody waits for it, and only then.
  worker.unref()
  threads.push(thread)
  return thread
}

/** One blob's share of a thread: memory that both see, filled here block by block in turn. */
class SharedHash implements RemoteHash {
  readonly #thread: HashThread
  readonly #id: number
  readonly #memory: SharedArrayBuffer
  readonly #bytes: Uint8Array
  /** Blocks handed over and not given back. */
  #busy = 0
  /** Which block is being filled, and how far. */
  #block = 0
  #filled = 0
  #digest: string | undefined
  #failure: CosignetError | undefined
  #wake: (() => void) | undefined

  constructor(thread: HashThread, algorithm: string) {
    lastId += 1
    this.#id = lastId
    this.#thread = thread
    this.#memory = spareMemory.pop() ?? new SharedArrayBuffer(BLOCKS * BLOCK_BYTES)
    this.#bytes = new Uint8Array(this.#memory)
    if (thread.hashes.size === 0) thread.worker.ref()
    thread.hashes.set(this.#id, this)
    this.#post({ id: this.#id, algorithm, memory: this.#memory })
  }

  update(chunk: Uint8Array): Promise<void> | undefined {
    const taken = this.#fill(chunk)
    return taken === chunk.byteLength ? undefined : this.#fillRest(chunk.subarray(taken))
  }

  async finish(): Promise<string> {
    if (this.#filled > 0) this.#handOver()
    this.#post({ id: this.#id, end: 'digest' })
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure
      if (this.#digest !== undefined) return this.#digest
      await this.#news()
    }
  }

  close(): void {
    const { hashes, worker } = this.#thread
    if (!hashes.delete(this.#id)) return
    if (hashes.size === 0) worker.unref()
    // Memory that the thread may still read is left to the collector.
    if (this.#digest !== undefined) spareMemory.push(this.#memory)
    else this.#post({ id: this.#id, end: 'drop' })
  }

  /** What the thread answers: a block is free again, or the digest. */
  take({ digest }: Reply): void {
    if (digest === undefined) this.#busy -= 1
    else this.#digest = digest
    this.#wake?.()
  }

  fail(error: CosignetError): void {
    this.#failure ??= error
    this.#wake?.()
  }

  /** Copies as much of a chunk as there are free blocks for. */
  #fill(chunk: Uint8Array): number {
    if (this.#failure !== undefined) throw this.#failure
    let taken = 0
    while (taken < chunk.byteLength && this.#busy < BLOCKS) {
      const part = chunk.subarray(taken, taken + BLOCK_BYTES - this.#filled)
      this.#bytes.set(part, this.#block * BLOCK_BYTES + this.#filled)
      this.#filled += part.byteLength
      taken += part.byteLength
      if (this.#filled === BLOCK_BYTES) this.#handOver()
    }
    return taken
  }

  async #fillRest(chunk: Uint8Array): Promise<void> {
    for (let rest = chunk; rest.byteLength > 0; ) {
      await this.#news()
      rest = rest.subarray(this.#fill(rest))
    }
  }

  #handOver(): void {
    this.#post({ id: this.#id, offset: this.#block * BLOCK_BYTES, length: this.#filled })
    this.#busy += 1
    this.#block = (this.#block + 1) % BLOCKS
    this.#filled = 0
  }

  #post(request: Request): void {
    this.#thread.worker.postMessage(request)
  }

  async #news(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve
    })
    this.#wake = undefined
  }
}

/** What the thread runs. Nothing outside of it is there. */
function hashMessages(): void {
  const { parentPort } = process.getBuiltinModule('node:worker_threads')
  const crypto = process.getBuiltinModule('node:crypto')
  const hashes = new Map<number, { readonly hash: Hash; readonly bytes: Uint8Array }>()
  parentPort?.on('message', (request: Request) => {
    if ('memory' in request) {
      const hash = crypto.createHash(request.algorithm)
      hashes.set(request.id, { hash, bytes: new Uint8Array(request.memory) })
      return
    }
    const running = hashes.get(request.id)
    if (running === undefined) throw new Error(`there is no hash ${request.id}`)
    if ('offset' in request) {
      running.hash.update(running.bytes.subarray(request.offset, request.offset + request.length))
      parentPort.postMessage({ id: request.id } satisfies Reply)
      return
    }
    hashes.delete(request.id)
    if (request.end === 'drop') return
    parentPort.postMessage({ id: request.id, digest: running.hash.digest('hex') } satisfies Reply)
  })
}
