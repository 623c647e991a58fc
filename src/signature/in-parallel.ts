/** Requests for signatures of one image that are under way at once. */
const PARALLEL = 6

/** Works on a few items at a time and keeps their order; where one fails, the rest is stopped and not waited for. */
export async function inParallel<T, R>(
  items: readonly T[],
  signal: AbortSignal | undefined,
  work: (item: T, signal: AbortSignal) => Promise<R>,
): Promise<readonly R[]> {
  if (items.length === 0) return []
  const failed = new AbortController()
  const either = signal === undefined ? failed.signal : AbortSignal.any([signal, failed.signal])
  const results: R[] = []
  const queue = items.entries()
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item, either)
  }
  try {
    await Promise.all(Array.from({ length: Math.min(PARALLEL, items.length) }, lane))
  } catch (error) {
    failed.abort()
    throw error
  }
  return results
}
