import { CosignetError, isCosignetError, quote } from '../core/index.ts'
import {
  type AuthKey,
  type AuthStore,
  authFileToWrite,
  parseReference,
  readRegistriesConf,
} from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { placeOf } from './registry-access.ts'

const DOCKER_HUB_NAMES = ['index.docker.io', 'registry-1.docker.io']

/**
 * Reads what a login is for: `HOST[:PORT][/PATH]`. Of a URL, only the host counts, as for podman and skopeo.
 * @throws USAGE
 */
export function parseAuthKey(text: string): AuthKey {
  const url = /^https?:\/\/([^/]*)/.exec(text)
  const [host = '', ...rest] = (url?.[1] ?? text).split('/')
  const registry = DOCKER_HUB_NAMES.includes(host) ? 'docker.io' : host
  const key: AuthKey = { registry, ...(rest.length === 0 ? {} : { path: rest.join('/') }) }
  if (isName(key)) return key
  throw new CosignetError('USAGE', `${quote(text)} is not a registry such as ghcr.io or localhost:5000.`)
}

/** A registry, with its path if it has one, as in a reference. */
export function formatAuthKey({ registry, path }: AuthKey): string {
  return path === undefined ? registry : `${registry}/${path}`
}

/** Where this user's logins are kept: in the file given, else where podman and skopeo look. @throws as `readRegistriesConf` */
export async function openAuthStore(cli: Cli, authfile: string | undefined): Promise<AuthStore> {
  const place = placeOf(cli)
  const { environment } = cli
  if (authfile !== undefined) return { path: authfile, environment }
  const [helper] = (await readRegistriesConf(place)).credentialHelpers
  const isProgram = helper !== undefined && helper !== 'containers-auth.json'
  return { path: authFileToWrite(place), environment, ...(isProgram ? { helper } : {}) }
}

function isName({ registry, path }: AuthKey): boolean {
  // Below another part, so that no name of Docker Hub is filled in.
  const repository = path === undefined ? 'any/any' : `any/${path}`
  try {
    const reference = parseReference(`${registry}/${repository}`)
    return (
      reference.registry === registry && reference.repository === repository && reference.tag === 'latest'
    )
  } catch (error) {
    if (isCosignetError(error)) return false
    throw error
  }
}
