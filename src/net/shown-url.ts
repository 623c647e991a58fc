/** A scheme, with which the secrets of a URL do not begin yet. */
const SCHEME = /^(?:[a-z][a-z0-9+.-]*:\/\/|https?:\/*)?/i

/**
 * What a message can show of a text that may be no URL but was meant for one: a user and password, which stand before
 * the last `@`, and query and fragment are left out. Where both could be meant, nothing but the scheme is shown.
 */
export function shownUrl(text: string): string {
  const [scheme = ''] = SCHEME.exec(text) ?? []
  const rest = text.slice(scheme.length)
  const at = rest.lastIndexOf('@')
  const query = rest.search(/[?#]/)
  if (query !== -1 && query < at) return `${scheme}…`
  const shown = rest.slice(Math.max(at, 0), query === -1 ? undefined : query)
  return at === -1 ? `${scheme}${shown}` : `${scheme}…${shown}`
}
