/** Query parameters whose value is shown; all others may be a token, a signature or a credential. */
const PUBLIC_PARAMETERS: ReadonlySet<string> = new Set([
  'account',
  'artifactType',
  'client_id',
  'digest',
  'fieldSelector',
  'from',
  'labelSelector',
  'last',
  'limit',
  'mount',
  'n',
  'scope',
  'service',
])

const BLOT = '***'

/** One line for a request: `> GET https://host/path (accept, authorization)`; header values are never shown. */
export function traceRequest(method: string, url: URL, headers: Readonly<Record<string, unknown>>): string {
  return `> ${method} ${redactUrl(url)}${headerNames(headers)}`
}

/** One line for an answer: `< 200 GET https://host/path (content-type)`. */
export function traceResponse(
  status: number,
  method: string,
  url: URL,
  headers: Readonly<Record<string, unknown>>,
): string {
  return `< ${status} ${method} ${redactUrl(url)}${headerNames(headers)}`
}

/** Writes a URL without user, password, fragment and any query value that is not known to be public. */
export function redactUrl(url: URL): string {
  const copy = new URL(url)
  copy.username = ''
  copy.password = ''
  copy.hash = ''
  for (const name of new Set(copy.searchParams.keys())) {
    if (!PUBLIC_PARAMETERS.has(name)) copy.searchParams.set(name, BLOT)
  }
  return copy.href
}

function headerNames(headers: Readonly<Record<string, unknown>>): string {
  const names = Object.keys(headers).map((name) => name.toLowerCase())
  return names.length === 0 ? '' : ` (${names.join(', ')})`
}
