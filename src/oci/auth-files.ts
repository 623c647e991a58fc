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
import { askCredentialHelper, type CredentialHelper } from './credential-helper.ts'
import type { AccountCredentials, CredentialProvider } from './credentials.ts'

export interface AuthFileOptions extends AuthFilePaths {
  /**
   * Credential helpers to ask, in their order, `containers-auth.json` standing for the files (`credential-helpers` of
   * containers-registries.conf(5)). Default: the files alone.
   */
  readonly credentialHelpers?: readonly string[]
}

/** A credential provider that knows accounts alone. */
export type AccountProvider = (
  ...asked: Parameters<CredentialProvider>
) => Promise<AccountCredentials | undefined>

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
export function createAuthFileCredentials(options: AuthFileOptions): AccountProvider {
  const { environment, credentialHelpers = [] } = options
  const helpers = credentialHelpers.length === 0 ? [AUTH_FILES] : credentialHelpers
  return async (registry, repository) => {
    for (const helper of helpers) {
      const found =
        helper === AUTH_FILES
          ? await findInFiles(options, registry, repository)
          : await askCredentialHelper({ name: helper, server: registry, environment })
      if (found !== undefined) return found
    }
    return undefined
  }
}

async function findInFiles(
  options: AuthFilePaths,
  registry: string,
  repository: string,
): Promise<AccountCredentials | undefined> {
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
): Promise<AccountCredentials | undefined> {
  const helper = helperOf(document, path, registry)
  if (helper !== undefined) return await askCredentialHelper({ ...helper, environment })
  const found = matchAuths(authSection(document, 'auths', path), path, registry, repository)
  if (found !== undefined) return found
  const store = storeOf(document, registry)
  return store === undefined ? undefined : await askCredentialHelper({ ...store, environment })
}

type NamedHelper = Pick<CredentialHelper, 'name' | 'server'>

/** The helper that a file names for one registry; it knows the registry by the key itself. @throws INVALID_CONFIG */
export function helperOf(document: JsonObject, path: string, registry: string): NamedHelper | undefined {
  const entries = Object.entries(authSection(document, 'credHelpers', path))
  const entry =
    entries.find(([key]) => key === registry) ?? entries.find(([key]) => normaliseAuthKey(key) === registry)
  if (entry === undefined) return undefined
  const [server, name] = entry
  return typeof name === 'string' && name !== '' ? { name, server } : undefined
}

/** The helper that a file names for all registries that have none of their own (Docker's `credsStore`). */
export function storeOf(document: JsonObject, registry: string): NamedHelper | undefined {
  const name = document['credsStore']
  if (typeof name !== 'string' || name === '') return undefined
  return { name, server: registry === 'docker.io' ? DOCKER_HUB_SERVER : registry }
}

function matchAuths(
  auths: JsonObject,
  path: string,
  registry: string,
  repository: string,
): AccountCredentials | undefined {
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
export function readAuthEntry(value: JsonValue, key: string, path: string): AccountCredentials | undefined {
  const entry = asObject(value)
  if (entry === undefined) throw brokenAuthFile(path, `its entry for ${quote(key)} is not an object`)
  const { auth, username, password, identitytoken } = entry
  if (typeof username === 'string' && username !== '' && typeof password === 'string') {
    return { kind: 'basic', username, password }
  }
  const pair = typeof auth === 'string' ? decodeUtf8(Buffer.from(auth, 'base64')) : undefined
  const colon = pair?.indexOf(':') ?? -1
  if (typeof identitytoken === 'string' && identitytoken !== '') {
    const account = pair === undefined || colon < 1 ? {} : { username: pair.slice(0, colon) }
    return { kind: 'identity-token', token: identitytoken, ...account }
  }
  if (auth === undefined || auth === null || auth === '') return undefined
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
