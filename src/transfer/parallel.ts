import { CosignetError } from '../core/index.ts'

/**
 * Works on items, so many at once, in their order; answers in their order. The first failure stops the others by
 * their signal, and is the one that is told.
 * @param width how many at once.
 * @param what the task, for the message when `outer` stops it: "Copying oci:a".
 * @throws ABORTED, and what `work` throws
 */
export async function parallel<Item, Result>(
  items: readonly Item[],
  width: number,
  what: string,
  outer: AbortSignal | undefined,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): Promise<readonly Result[]> {
  const stop = new AbortController()
  const signal = outer === undefined ? stop.signal : AbortSignal.any([outer, stop.signal])
  const results = new Array<Result>(items.length)
  const queue = items.entries()
  let failure: { readonly error: unknown } | undefined
  const worker = async (): Promise<void> => {
    try {
      for (const [i, item] of queue) {
        signal.throwIfAborted()
        results[i] = await work(item, signal)
      }
    } catch (error) {
      failure ??= { error }
      stop.abort(error)
    }
  }
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker))
  if (failure === undefined) return results
  if (failure.error instanceof CosignetError || outer?.aborted !== true) throw failure.error
  throw new CosignetError('ABORTED', `${what} was stopped.`, { cause: failure.error })
}
