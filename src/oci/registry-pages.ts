import { CosignetError, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'

/** Pages of one list that are read. */
export const PAGES_MAX = 1000

/**
 * The URL of the next page of a list, from its Link header (distribution-spec, "Listing Tags" and "Listing
 * Referrers"); undefined at the last page.
 * @throws BAD_RESPONSE if it leads to another origin: no other server speaks for the registry.
 */
export function nextPage({ headers, url }: HttpResponse): URL | undefined {
  const target = /<([^<>]*)>\s*;[^,]*\brel="?next"?/.exec(headers['link'] ?? '')?.[1]
  if (target === undefined) return undefined
  const next = URL.parse(target, url.href)
  if (next === null || next.origin !== url.origin) {
    throw new CosignetError('BAD_RESPONSE', `${url.origin} names a next page elsewhere: ${quote(target)}.`)
  }
  return next
}
