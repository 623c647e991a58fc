import { join } from 'node:path'
import {
  CosignetError,
  decodeUtf8,
  errnoOf,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { askCredentialHelper } from './credential-helper.ts'
import type { CredentialProvider, Credentials } from './credentials.ts'

export interface AuthFileOptions {
  /** REGISTRY_AUTH_FILE, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG; passed on to credential helpers. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** The home folder. */
  readonly home: string
  /** The numeric user, for `/run/containers/UID`; undefined where the system has none. */
  readonly uid?: number
}

type JsonObject = { readonly [key: string]: JsonValue }

/** What Docker's own tools call Docker Hub in their files. */
const DOCKER_HUB_KEYS = ['docker.io', 'index.docker.io', 'registry-1.docker.io']
const DOCKER_HUB_SERVER = 'https://index.docker.io/v1/'

/**
 * Reads credentials where docker, podman, skopeo and cosign keep them: `$REGISTRY_AUTH_FILE` and then nothing else, or
 * the first of `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json`,
 * `$DOCKER_CONFIG/config.json` that has an entry for the repository (containers-auth.json(5)). In a file, the longest
 * matching key wins: `host/ns/repo`, `host/ns`, `host`; then `credHelpers` and `credsStore`.
 *
 * The provider throws INVALID_CONFIG for a broken file, naming it and never what it holds.
 */
export function createAuthFileCredentials(options: AuthFileOptions): CredentialProvider {
  return async (registry, repository) => {
    for (const { path, required } of authFiles(options)) {
      const document = await readAuthFile(path, required)
      if (document === undefined) continue
      const found = await findCredentials(document, path, registry, repository, options.environment)
      if (found !== undefined) return found
    }
    return undefined
  }
}

function authFiles({ environment, home, uid }: AuthFileOptions): { path: string; required: boolean }[] {
  const explicit = environment['REGISTRY_AUTH_FILE']
  if (explicit !== undefined && explicit !== '') return [{ path: explicit, required: true }]
  const runtime = environment['XDG_RUNTIME_DIR'] || (uid === undefined ? '' : `/run/containers/${uid}`)
  const config = environment['XDG_CONFIG_HOME'] || join(home, '.config')
  const docker = environment['DOCKER_CONFIG'] || join(home, '.docker')
  const runtimeFile =
    environment['XDG_RUNTIME_DIR'] === undefined
      ? join(runtime, 'auth.json')
      : join(runtime, 'containers/auth.json')
  return [
    ...(runtime === '' ? [] : [runtimeFile]),
    join(config, 'containers/auth.json'),
    join(docker, 'config.json'),
  ].map((path) => ({ path, required: false }))
}

async function readAuthFile(path: string, required: boolean): Promise<JsonObject | undefined> {
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
    throw broken(path, 'it is not JSON')
  }
  return asObject(document) ?? fail(path, 'it is not an object')
}

async function findCredentials(
  document: JsonObject,
  path: string,
  registry: string,
  repository: string,
  environment: AuthFileOptions['environment'],
): Promise<Credentials | undefined> {
  const helpers = section(document, 'credHelpers', path)
  const helper = hostNames(registry)
    .map((host) => helpers[host])
    .find((name) => typeof name === 'string' && name !== '')
  const server = registry === 'docker.io' ? DOCKER_HUB_SERVER : registry
  if (typeof helper === 'string') return await askCredentialHelper(helper, server, environment)
  const found = matchAuths(section(document, 'auths', path), path, registry, repository)
  if (found !== undefined) return found
  const store = document['credsStore']
  if (typeof store === 'string' && store !== '') return await askCredentialHelper(store, server, environment)
  return undefined
}

function matchAuths(
  auths: JsonObject,
  path: string,
  registry: string,
  repository: string,
): Credentials | undefined {
  const byKey = new Map(Object.entries(auths).map(([key, value]) => [normaliseKey(key), { key, value }]))
  const parts = repository.split('/')
  for (let count = parts.length; count >= 0; count -= 1) {
    for (const host of hostNames(registry)) {
      const entry = byKey.get([host, ...parts.slice(0, count)].join('/'))
      const found = entry === undefined ? undefined : readEntry(entry.value, entry.key, path)
      if (found !== undefined) return found
    }
  }
  return undefined
}

/** Older files name a server by URL, `https://host/v1/`; only the host counts then. */
function normaliseKey(key: string): string {
  const url = /^https?:\/\/([^/]+)(?:\/.*)?$/.exec(key)
  return url?.[1] ?? key.replace(/\/+$/, '')
}

function hostNames(registry: string): readonly string[] {
  return registry === 'docker.io' ? DOCKER_HUB_KEYS : [registry]
}

function readEntry(value: JsonValue, key: string, path: string): Credentials | undefined {
  const entry = asObject(value) ?? fail(path, `its entry for ${quote(key)} is not an object`)
  const { auth, username, password, identitytoken } = entry
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    return { kind: 'identity-token', token: identitytoken }
  }
  if (typeof username === 'string' && username !== '' && typeof password === 'string') {
    return { kind: 'basic', username, password }
  }
  // An entry without credentials stands for "in the credential store".
  if (auth === undefined || auth === null || auth === '') return undefined
  const pair = typeof auth === 'string' ? decodeUtf8(Buffer.from(auth, 'base64')) : undefined
  const colon = pair?.indexOf(':') ?? -1
  if (pair === undefined || colon < 1)
    return fail(path, `its entry for ${quote(key)} has no user:password in "auth"`)
  // Docker pads with zero bytes.
  return {
    kind: 'basic',
    username: pair.slice(0, colon),
    password: pair.slice(colon + 1).replace(/\0+$/, ''),
  }
}

function section(document: JsonObject, name: string, path: string): JsonObject {
  const value = document[name]
  if (value === undefined || value === null) return {}
  return asObject(value) ?? fail(path, `its ${quote(name)} is not an object`)
}

function asObject(value: JsonValue): JsonObject | undefined {
  const isObject = value !== null && typeof value === 'object' && !Array.isArray(value)
  return isObject ? (value as JsonObject) : undefined
}

function fail(path: string, reason: string): never {
  throw broken(path, reason)
}

/** Without a cause: the parser's message may quote the file. */
function broken(path: string, reason: string): CosignetError {
  return new CosignetError(
    'INVALID_CONFIG',
    `The file of registry credentials ${quote(path)} is broken: ${reason}.`,
    {
      hint: 'Log in to the registry again, or repair the file.',
    },
  )
}
