import type { Digest } from '../oci/index.ts'

/** Entity tag of content: its digest, quoted (RFC 9110, section 8.8.3). */
export function entityTag(digest: Digest): string {
  return `"${digest}"`
}

/**
 * Whether the If-Match header, if there is one, lets the request change what is `current` (RFC 9110, section 13.1.1).
 * @param current digest that the target has; undefined if there is no such target.
 */
export function ifMatchHolds(request: Request, current: Digest | undefined): boolean {
  const header = request.headers.get('if-match')
  if (header === null) return true
  if (current === undefined) return false
  return header.trim() === '*' || entityTags(header).includes(entityTag(current))
}

/** Whether the If-None-Match header, if there is one, lets the request go on (RFC 9110, section 13.1.2). */
export function ifNoneMatchHolds(request: Request, current: Digest | undefined): boolean {
  const header = request.headers.get('if-none-match')
  if (header === null || current === undefined) return true
  return header.trim() !== '*' && !entityTags(header).map(withoutWeakness).includes(entityTag(current))
}

function entityTags(header: string): string[] {
  // A digest has no comma in it, so that a tag with one is none of ours.
  return header.split(',').map((tag) => tag.trim())
}

function withoutWeakness(tag: string): string {
  return tag.startsWith('W/') ? tag.slice(2) : tag
}
