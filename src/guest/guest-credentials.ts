import {
  CosignetError,
  decodeBase64,
  decodeUtf8,
  isCosignetError,
  type JsonValue,
  parseJson,
} from '../core/index.ts'
import type { CredentialProvider, Credentials } from '../oci/index.ts'

/**
 * Reads an auth.json as the guest does (image-rs, `auth/`): every entry of `auths` needs `auth`, helpers are not
 * known, and one broken entry spoils the file. The longest matching key wins, then any key with the same host.
 * @throws INVALID_CONFIG where the guest says "Invalid registry auth file".
 */
export function parseGuestCredentials(bytes: Uint8Array, what: string): CredentialProvider {
  const auths = readAuths(bytes, what)
  return async (registry, repository) => {
    const parts = `${registry}/${repository}`.split('/')
    for (let count = parts.length; count > 0; count -= 1) {
      const auth = auths.get(parts.slice(0, count).join('/'))
      if (auth !== undefined) return decodeAuth(auth, what)
    }
    const host = normalHost(registry)
    const same = [...auths].find(([key]) => hostOf(key) === host)
    return same === undefined ? undefined : decodeAuth(same[1], what)
  }
}

function readAuths(bytes: Uint8Array, what: string): ReadonlyMap<string, string> {
  const auths = memberOf(parse(bytes, what), 'auths')
  if (auths === null || typeof auths !== 'object' || Array.isArray(auths))
    throw invalid(what, 'it has no object "auths"')
  return new Map(
    Object.entries(auths as { readonly [key: string]: JsonValue }).map(([key, entry]): [string, string] => {
      const auth = memberOf(entry, 'auth')
      if (typeof auth !== 'string') throw invalid(what, 'an entry of "auths" has no "auth"')
      return [key, auth]
    }),
  )
}

function parse(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(bytes, what)
  } catch (error) {
    // Without the cause: it may quote what is secret.
    if (isCosignetError(error, 'INVALID_JSON')) throw invalid(what, 'it is not JSON')
    throw error
  }
}

function memberOf(value: JsonValue, key: string): JsonValue {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return null
  return (value as { readonly [key: string]: JsonValue })[key] ?? null
}

function decodeAuth(auth: string, what: string): Credentials {
  try {
    const pair = decodeUtf8(decodeBase64(auth, 'auth')) ?? ''
    const colon = pair.indexOf(':')
    if (colon < 0) throw invalid(what, 'an "auth" is not the base64 of user:password')
    const password = pair.slice(colon + 1).replace(/^\n+|\n+$/g, '')
    return { kind: 'basic', username: pair.slice(0, colon), password }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_BASE64')) throw error
    throw invalid(what, 'an "auth" is not the base64 of user:password')
  }
}

function hostOf(key: string): string {
  return normalHost(key.replace(/^https?:\/\/([^/]*).*$/, '$1'))
}

/** The three names of Docker Hub are one. */
function normalHost(host: string): string {
  return host === 'docker.io' || host === 'registry-1.docker.io' ? 'index.docker.io' : host
}

function invalid(what: string, reason: string): CosignetError {
  return new CosignetError(
    'INVALID_CONFIG',
    `${what} is not a registry auth file that the guest reads: ${reason}.`,
  )
}
