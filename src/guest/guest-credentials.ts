import {
  CosignetError,
  decodeBase64,
  decodeUtf8,
  isCosignetError,
  type JsonNode,
  parseJsonTree,
} from '../core/index.ts'
import type { Credentials, Reference } from '../oci/index.ts'
import { memberOf, type Shape, STRING, shapeFault } from './pull-json.ts'

/**
 * Finds the log-in that the guest uses for an image, before it asks the registry for anything.
 * @returns undefined: the guest pulls anonymously.
 * @throws INVALID_CONFIG where the guest says "Illegal registry auth"; UNSUPPORTED where its choice is by chance.
 */
export type GuestCredentials = (
  reference: Pick<Reference, 'registry' | 'repository'>,
) => Credentials | undefined

/**
 * Reads an auth.json as the guest does (image-rs, `auth/`): every entry of `auths` needs `auth`, helpers are not
 * known, and one broken entry spoils the file. The longest matching key wins, then any key with the same host.
 * @throws INVALID_CONFIG where the guest says "Invalid registry auth file".
 */
export function parseGuestCredentials(bytes: Uint8Array, what: string): GuestCredentials {
  const auths = readAuths(bytes, what)
  return ({ registry, repository }) => {
    const parts = `${registry}/${repository}`.split('/')
    for (let count = parts.length; count > 0; count -= 1) {
      const auth = auths.get(parts.slice(0, count).join('/'))
      if (auth !== undefined) return decodeAuth(auth, what)
    }
    const host = normalHost(registry)
    const same = new Set([...auths].filter(([key]) => hostOf(key) === host).map(([, auth]) => auth))
    if (same.size > 1) {
      throw new CosignetError(
        'UNSUPPORTED',
        `${what} has ${same.size} different log-ins for ${registry}; which one the guest takes is a matter of chance.`,
      )
    }
    const [auth] = same
    return auth === undefined ? undefined : decodeAuth(auth, what)
  }
}

/** image-rs, `DockerConfigFile`. */
const AUTH_FILE: Shape = {
  kind: 'struct',
  required: {
    auths: { kind: 'map', values: { kind: 'struct', required: { auth: STRING }, optional: {} } },
  },
  optional: {},
}

function readAuths(bytes: Uint8Array, what: string): ReadonlyMap<string, string> {
  const file = parse(bytes, what)
  const fault = shapeFault(file, AUTH_FILE, 'the file')
  if (fault !== undefined) throw invalid(what, fault)
  const auths = memberOf(file, 'auths')
  const members = auths?.kind === 'object' ? auths.members : []
  return new Map(
    members.map(({ key, value }): [string, string] => {
      const auth = memberOf(value, 'auth')
      return [key, auth?.kind === 'string' ? auth.value : '']
    }),
  )
}

function parse(bytes: Uint8Array, what: string): JsonNode {
  try {
    return parseJsonTree(bytes, what)
  } catch (error) {
    // Without the cause: it may quote what is secret.
    if (isCosignetError(error, 'INVALID_JSON')) throw invalid(what, 'it is not JSON')
    throw error
  }
}

function decodeAuth(auth: string, what: string): Credentials {
  try {
    const pair = decodeUtf8(decodeBase64(auth, 'auth')) ?? ''
    const colon = pair.indexOf(':')
    if (colon >= 0) {
      const password = pair.slice(colon + 1).replace(/^\n+|\n+$/g, '')
      return { kind: 'basic', username: pair.slice(0, colon), password }
    }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_BASE64')) throw error
  }
  throw invalid(what, 'an "auth" is not the base64 of user:password')
}

/** Of a URL the host; anything else is taken whole. */
function hostOf(key: string): string {
  return normalHost(key.replace(/^https?:\/\/([^/]*).*$/s, '$1'))
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
