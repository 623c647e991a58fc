import { CosignetError, quote } from '../core/index.ts'
import { isAddressHost, isLoopbackHost, isPrivateHost } from '../net/index.ts'

/** The token server that a registry names, and whether it may see the credentials for that registry. */
export interface Realm {
  readonly url: URL
  readonly mayHaveCredentials: boolean
}

/** Domains under which anybody registers: `co.uk`, `com.au`. A common parent of this kind binds nobody. */
const SHARED_SUFFIX = /^(?:ac|co|com|edu|gob|gov|ne|net|or|org)\.[a-z]{2}$/

/**
 * Reads the realm of a Bearer challenge. The registry's word is not trusted: whoever can shape one answer of it could
 * point anywhere (CVE-2026-48978).
 *
 * - The realm is asked over https; over plain http only for a registry that itself is asked so, on the same host, or
 *   both on loopback, and then never with credentials.
 * - It is not on a loopback, private or link-local address, unless the registry is too.
 * - Credentials go to the registry's own host, and to its parent domain and what is below it
 *   (`registry-1.docker.io` to `auth.docker.io`, `registry.gitlab.com` to `gitlab.com`). Any other realm is asked
 *   anonymously.
 *
 * Addresses are judged as they are written; names are not looked up.
 * @throws BAD_RESPONSE
 */
export function readRealm(text: string, registry: URL): Realm {
  const url = URL.parse(text)
  if (url === null || !isAllowed(url, registry) || url.username !== '' || url.password !== '') {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The registry ${registry.host} names a token server that is not trusted: ${quote(text)}.`,
      { hint: 'A token server is asked over https, and on a private address only for a registry on one.' },
    )
  }
  const mayHaveCredentials = url.protocol === 'https:' && isSameHouse(url.hostname, registry.hostname)
  return { url, mayHaveCredentials }
}

function isAllowed(realm: URL, registry: URL): boolean {
  const sameHost = realm.hostname === registry.hostname
  if (realm.protocol === 'http:') {
    const bothLoopback = isLoopbackHost(realm.hostname) && isLoopbackHost(registry.hostname)
    return registry.protocol === 'http:' && (sameHost || bothLoopback)
  }
  if (realm.protocol !== 'https:') return false
  return sameHost || !isPrivateHost(realm.hostname) || isPrivateHost(registry.hostname)
}

function isSameHouse(realm: string, registry: string): boolean {
  if (realm === registry) return true
  if (isAddressHost(registry) || isAddressHost(realm)) return false
  if (realm.endsWith(`.${registry}`)) return registry.includes('.')
  const parent = registry.slice(registry.indexOf('.') + 1)
  if (!parent.includes('.') || SHARED_SUFFIX.test(parent)) return false
  return realm === parent || realm.endsWith(`.${parent}`)
}
