import { join } from 'node:path'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { compareSync } from 'bcryptjs'
import { CosignetError, LIMITS } from '../core/index.ts'

/** Whether a password is the one of a bcrypt hash. @throws UNAVAILABLE if too many are waiting */
export type PasswordVerifier = (password: string, hash: string) => Promise<boolean>

interface Question {
  readonly id: number
  readonly password: string
  readonly hash: string
}

interface Answer {
  readonly id: number
  readonly right: boolean
}

const ROLE = 'cosignet-passwords'

/** The file that a thread starts from: this one, or the bundle that holds it. */
const SELF = typeof __filename === 'string' ? __filename : join(import.meta.dirname, 'password-thread.ts')

if (!isMainThread && workerData === ROLE) answerQuestions()

/**
 * Makes a verifier that computes on one thread of its own, started with the first password: bcrypt takes tens of
 * milliseconds on purpose, in which a server would answer nobody. So guessing is no faster with many connections, and
 * at most `LIMITS.registryLogins` wait. The thread keeps the process alive only while one waits.
 */
export function createPasswordVerifier(): PasswordVerifier {
  const waiting = new Map<number, PromiseWithResolvers<boolean>>()
  let thread: Worker | undefined
  let count = 0
  const start = (): Worker => {
    const started = new Worker(SELF, { workerData: ROLE, env: {}, execArgv: [] })
    started.on('message', ({ id, right }: Answer) => {
      waiting.get(id)?.resolve(right)
      waiting.delete(id)
      if (waiting.size === 0) started.unref()
    })
    started.once('error', (cause) => {
      thread = undefined
      for (const { reject } of waiting.values()) reject(cause)
      waiting.clear()
    })
    return started
  }
  return (password, hash) => {
    if (waiting.size >= LIMITS.registryLogins) {
      throw new CosignetError('UNAVAILABLE', 'Too many passwords are waiting to be checked.')
    }
    thread ??= start()
    count += 1
    const answer = Promise.withResolvers<boolean>()
    waiting.set(count, answer)
    thread.ref()
    thread.postMessage({ id: count, password, hash } satisfies Question)
    return answer.promise
  }
}

function answerQuestions(): void {
  parentPort?.on('message', ({ id, password, hash }: Question) => {
    parentPort?.postMessage({ id, right: compareSync(password, hash) } satisfies Answer)
  })
}
