import { join } from 'node:path'
import {
  CosignetError,
  errnoOf,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
  readFileBounded,
} from '../core/index.ts'

export type JsonObject = { readonly [key: string]: JsonValue }

/** Where files of registry credentials are looked for. */
export interface AuthFilePaths {
  /** REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG; passed on to credential helpers. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The home folder. */
  readonly home: string
  /** The numeric user, for `/run/containers/UID`; undefined where the system has none. */
  readonly uid?: number
  /** The only file. Default: `$REGISTRY_AUTH_FILE`, else those that containers-auth.json(5) names. */
  readonly authFile?: string
}

/** A file that may hold credentials. */
export interface AuthFile {
  readonly path: string
  /** Named by the user, so that it must be there. */
  readonly required: boolean
  /** `.dockercfg`, which is nothing but the entries. */
  readonly bare?: boolean
}

/** The files to read, in the order of containers-auth.json(5). */
export function authFilesToRead(paths: AuthFilePaths): readonly AuthFile[] {
  const explicit = explicitFile(paths)
  if (explicit !== undefined) return [{ path: explicit, required: true }]
  const { environment, home } = paths
  const config = environment['XDG_CONFIG_HOME'] || join(home, '.config')
  const docker = environment['DOCKER_CONFIG'] || join(home, '.docker')
  const runtime = runtimeFile(paths)
  return [
    ...(runtime === undefined ? [] : [{ path: runtime, required: false }]),
    { path: join(config, 'containers/auth.json'), required: false },
    { path: join(docker, 'config.json'), required: false },
    { path: join(home, '.dockercfg'), required: false, bare: true },
  ]
}

/** The file that a login goes to, as podman and skopeo choose it: Docker's only where `$DOCKER_CONFIG` names it. */
export function authFileToWrite(paths: AuthFilePaths): string {
  const { environment, home } = paths
  const docker = environment['DOCKER_CONFIG'] || undefined
  return (
    explicitFile(paths) ??
    (docker === undefined ? undefined : join(docker, 'config.json')) ??
    runtimeFile(paths) ??
    join(home, '.config/containers/auth.json')
  )
}

function explicitFile({ environment, authFile }: AuthFilePaths): string | undefined {
  return authFile ?? (environment['REGISTRY_AUTH_FILE'] || undefined)
}

function runtimeFile({ environment, uid }: AuthFilePaths): string | undefined {
  const runtime = environment['XDG_RUNTIME_DIR']
  if (runtime) return join(runtime, 'containers/auth.json')
  return uid === undefined ? undefined : `/run/containers/${uid}/auth.json`
}

/**
 * Reads a file of credentials. What it holds never enters a message.
 * @returns undefined if there is no such file and none is required.
 * @throws FILE, TOO_LARGE, INVALID_CONFIG
 */
export async function readAuthDocument({ path, required, bare }: AuthFile): Promise<JsonObject | undefined> {
  let bytes: Uint8Array
  try {
    bytes = await readFileBounded(path, LIMITS.jsonBytes, 'file of registry credentials')
  } catch (error) {
    const missing =
      isCosignetError(error, 'FILE') && ['ENOENT', 'ENOTDIR'].includes(errnoOf(error.cause) ?? '')
    if (missing && !required) return undefined
    throw error
  }
  // An empty file is what `--authfile` of a first login leaves.
  if (bytes.byteLength === 0) return {}
  let document: JsonValue
  try {
    document = parseJson(bytes, 'the file')
  } catch {
    throw brokenAuthFile(path, 'it is not JSON')
  }
  const object = asObject(document)
  if (object === undefined) throw brokenAuthFile(path, 'it is not an object')
  return bare === true ? { auths: object } : object
}

/** A member of the document that is an object; empty if there is none. @throws INVALID_CONFIG */
export function authSection(
  document: JsonObject,
  name: 'auths' | 'credHelpers',
  path: string,
): Readonly<JsonObject> {
  const value = document[name]
  if (value === undefined || value === null) return {}
  const section = asObject(value)
  if (section === undefined) throw brokenAuthFile(path, `its ${quote(name)} is not an object`)
  return section
}

export function asObject(value: JsonValue): JsonObject | undefined {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value)
  return isObject ? (value as JsonObject) : undefined
}

/** Without a cause: the parser's message may quote the file. */
export function brokenAuthFile(path: string, reason: string): CosignetError {
  return new CosignetError(
    'INVALID_CONFIG',
    `The file of registry credentials ${quote(path)} is broken: ${reason}.`,
    { hint: 'Log in to the registry again, or repair the file.' },
  )
}

/** What Docker's own tools call Docker Hub in their files. */
const DOCKER_HUB_KEYS = ['docker.io', 'index.docker.io', 'registry-1.docker.io']

/** What Docker asks a credential helper for, and names Docker Hub by in `auths`. */
export const DOCKER_HUB_SERVER = 'https://index.docker.io/v1/'

/**
 * A key of a file as `host[:port][/path]`: older files name a server by URL, `https://host/v1/`, and only its host
 * counts then. All names of Docker Hub are `docker.io`.
 */
export function normaliseAuthKey(key: string): string {
  const url = /^https?:\/\/([^/]+)(?:\/.*)?$/.exec(key)
  const [host = '', ...path] = (url?.[1] ?? key.replace(/\/+$/, '')).split('/')
  return [DOCKER_HUB_KEYS.includes(host) ? 'docker.io' : host, ...path].join('/')
}
