import { decodeUtf8, type JsonValue, quote } from '../core/index.ts'
import {
  type AuthFilePaths,
  asObject,
  authFilesToRead,
  authSection,
  brokenAuthFile,
  DOCKER_HUB_SERVER,
  type JsonObject,
  normaliseAuthKey,
  readAuthDocument,
} from './auth-document.ts'
import { askCredentialHelper } from './credential-helper.ts'
import type { CredentialProvider, Credentials } from './credentials.ts'

export interface AuthFileOptions extends AuthFilePaths {
  /**
   * Credential helpers to ask, in their order, `containers-auth.json` standing for the files (`credential-helpers` of
   * containers-registries.conf(5)). Default: the files alone.
   */
  readonly credentialHelpers?: readonly string[]
}

/** The name of the files among credential helpers. */
const AUTH_FILES = 'containers-auth.json'

/**
 * Finds credentials where docker, podman, skopeo and cosign keep them: in the file that the user names and then nothing
 * else, or in the first of `$XDG_RUNTIME_DIR/containers/auth.json`, `$XDG_CONFIG_HOME/containers/auth.json`,
 * `$DOCKER_CONFIG/config.json`, `~/.dockercfg` that has an entry for the repository (containers-auth.json(5)). In a
 * file, `credHelpers` of the host come first; then the longest matching key wins, `host/ns/repo`, `host/ns`, `host`;
 * then `credsStore`.
 *
 * The provider throws INVALID_CONFIG for a broken file, naming it and never what it holds.
 */
export function createAuthFileCredentials(options: AuthFileOptions): CredentialProvider {
  const { environment, credentialHelpers = [] } = options
  const helpers = credentialHelpers.length === 0 ? [AUTH_FILES] : credentialHelpers
  return async (registry, repository) => {
    for (const helper of helpers) {
      const found =
        helper === AUTH_FILES
          ? await findInFiles(options, registry, repository)
          : await askCredentialHelper(helper, registry, environment)
      if (found !== undefined) return found
    }
    return undefined
  }
}

async function findInFiles(
  options: AuthFilePaths,
  registry: string,
  repository: string,
): Promise<Credentials | undefined> {
  for (const file of authFilesToRead(options)) {
    const document = await readAuthDocument(file)
    if (document === undefined) continue
    const found = await findInDocument(document, file.path, registry, repository, options.environment)
    if (found !== undefined) return found
  }
  return undefined
}

async function findInDocument(
  document: JsonObject,
  path: string,
  registry: string,
  repository: string,
  environment: AuthFilePaths['environment'],
): Promise<Credentials | undefined> {
  const helper = helperOf(document, path, registry)
  if (helper !== undefined) return await askCredentialHelper(helper.name, helper.server, environment)
  const found = matchAuths(authSection(document, 'auths', path), path, registry, repository)
  if (found !== undefined) return found
  const store = document['credsStore']
  if (typeof store !== 'string' || store === '') return undefined
  return await askCredentialHelper(
    store,
    registry === 'docker.io' ? DOCKER_HUB_SERVER : registry,
    environment,
  )
}

/** The helper that a file names for a registry, and the name that it knows the registry by: the key itself. */
export function helperOf(
  document: JsonObject,
  path: string,
  registry: string,
): { readonly name: string; readonly server: string } | undefined {
  const entries = Object.entries(authSection(document, 'credHelpers', path))
  const entry =
    entries.find(([key]) => key === registry) ?? entries.find(([key]) => normaliseAuthKey(key) === registry)
  if (entry === undefined) return undefined
  const [server, name] = entry
  return typeof name === 'string' && name !== '' ? { name, server } : undefined
}

function matchAuths(
  auths: JsonObject,
  path: string,
  registry: string,
  repository: string,
): Credentials | undefined {
  const byKey = new Map(Object.entries(auths).map(([key, value]) => [normaliseAuthKey(key), { key, value }]))
  // What is written out counts before what is an older spelling of it.
  for (const [key, value] of Object.entries(auths)) byKey.set(key, { key, value })
  const parts = repository.split('/')
  for (let count = parts.length; count >= 0; count -= 1) {
    const entry = byKey.get([registry, ...parts.slice(0, count)].join('/'))
    const found = entry === undefined ? undefined : readAuthEntry(entry.value, entry.key, path)
    if (found !== undefined) return found
  }
  return undefined
}

/**
 * The credentials in an entry of `auths`.
 * @returns undefined for an entry without: it stands for "in the credential store".
 * @throws INVALID_CONFIG
 */
export function readAuthEntry(value: JsonValue, key: string, path: string): Credentials | undefined {
  const entry = asObject(value)
  if (entry === undefined) throw brokenAuthFile(path, `its entry for ${quote(key)} is not an object`)
  const { auth, username, password, identitytoken } = entry
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    return { kind: 'identity-token', token: identitytoken }
  }
  if (typeof username === 'string' && username !== '' && typeof password === 'string') {
    return { kind: 'basic', username, password }
  }
  if (auth === undefined || auth === null || auth === '') return undefined
  const pair = typeof auth === 'string' ? decodeUtf8(Buffer.from(auth, 'base64')) : undefined
  const colon = pair?.indexOf(':') ?? -1
  if (pair === undefined || colon < 1) {
    throw brokenAuthFile(path, `its entry for ${quote(key)} has no user:password in "auth"`)
  }
  // Docker pads with zero bytes.
  return {
    kind: 'basic',
    username: pair.slice(0, colon),
    password: pair.slice(colon + 1).replace(/\0+$/, ''),
  }
}
