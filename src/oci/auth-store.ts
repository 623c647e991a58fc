import { realpath } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import {
  CosignetError,
  encodeUtf8,
  fileError,
  makeFolder,
  quote,
  writeFileAtomically,
} from '../core/index.ts'
import {
  authSection,
  DOCKER_HUB_SERVER,
  type JsonObject,
  normaliseAuthKey,
  readAuthDocument,
} from './auth-document.ts'
import { helperOf, storeOf } from './auth-files.ts'
import {
  type CredentialHelper,
  eraseFromCredentialHelper,
  listCredentialHelper,
  storeInCredentialHelper,
} from './credential-helper.ts'
import type { AccountCredentials } from './credentials.ts'

/** Where logins are kept. */
export interface AuthStore {
  /** The file (`authFileToWrite`). It need not be there yet. */
  readonly path: string
  /** Passed on to credential helpers. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** A credential helper for all registries, in place of the file. */
  readonly helper?: string
}

/** What a login is for: `registry` as in a reference, and maybe a path below it. */
export interface AuthKey {
  readonly registry: string
  /** A repository, or a part of its path from the left. */
  readonly path?: string
}

/** A login that is to be kept. */
export type Login = AccountCredentials & { readonly username: string }

/**
 * Keeps a login where docker, podman and skopeo find it: in the credential helper that the file names for the registry
 * (`credHelpers`, `credsStore`), else in the file itself (mode 0600, not encrypted). An older login for the same
 * registry is replaced, whatever spelling of its name it has; all else in the file stays.
 * @returns the name of the helper; undefined if the login is in the file.
 * @throws INVALID_CONFIG, FILE, TOO_LARGE, TIMEOUT; UNSUPPORTED for a path where a helper keeps whole registries
 */
export async function storeLogin(store: AuthStore, key: AuthKey, login: Login): Promise<string | undefined> {
  const document = (await readAuthDocument({ path: store.path, required: false })) ?? {}
  const helper = helperFor(store, document, key)
  if (helper !== undefined && key.path !== undefined) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The credential helper ${quote(helper.name)} keeps logins for whole registries, not for ${quote(keyText(key))}.`,
      { hint: `Log in to ${key.registry}, or name another file by --authfile.` },
    )
  }
  if (helper !== undefined) await storeInCredentialHelper(helper, login)
  // The plain file is not needed where a helper has all of it.
  if (store.helper !== undefined) return store.helper
  const auths = authSection(document, 'auths', store.path)
  const [spelling = preferredSpelling(store.path, key)] = spellings(auths, key)
  const entry: JsonObject = helper === undefined ? authEntry(login) : {}
  await write(store.path, { ...document, auths: { ...without(auths, key), [spelling]: entry } })
  return helper?.name
}

/**
 * Forgets a login, in the file and in the credential helper that it names.
 * @returns whether there was one.
 * @throws INVALID_CONFIG, FILE, TOO_LARGE, TIMEOUT
 */
export async function eraseLogin(store: AuthStore, key: AuthKey): Promise<boolean> {
  const document = (await readAuthDocument({ path: store.path, required: false })) ?? {}
  const helper = key.path === undefined ? helperFor(store, document, key) : undefined
  const erased = helper !== undefined && (await eraseFromCredentialHelper(helper))
  const auths = authSection(document, 'auths', store.path)
  if (spellings(auths, key).length === 0) return erased
  await write(store.path, { ...document, auths: without(auths, key) })
  return true
}

/**
 * Forgets all logins of a file, and in the credential helpers that it names for registries; the names of the helpers
 * stay in it.
 * @returns what they were for.
 * @throws INVALID_CONFIG, FILE, TOO_LARGE, TIMEOUT
 */
export async function eraseAllLogins(store: AuthStore): Promise<readonly string[]> {
  const { path, helper, environment } = store
  const document = (await readAuthDocument({ path, required: false })) ?? {}
  const auths = authSection(document, 'auths', path)
  const keys = [
    ...Object.keys(auths),
    ...Object.keys(authSection(document, 'credHelpers', path)),
    ...(helper === undefined ? [] : await listCredentialHelper({ name: helper, environment })),
  ]
  const names = new Set(keys.map(normaliseAuthKey))
  const erasedNames: string[] = []
  for (const name of names) {
    const own = name.includes('/') ? undefined : helperFor(store, document, { registry: name })
    const erased = own !== undefined && (await eraseFromCredentialHelper(own))
    if (erased || Object.keys(auths).some((key) => normaliseAuthKey(key) === name)) erasedNames.push(name)
  }
  if (Object.keys(auths).length > 0) await write(path, { ...document, auths: {} })
  return erasedNames
}

function helperFor(
  store: AuthStore,
  document: JsonObject,
  { registry }: AuthKey,
): CredentialHelper | undefined {
  const { path, environment, helper } = store
  if (helper !== undefined) return { name: helper, server: registry, environment }
  const found = helperOf(document, path, registry) ?? storeOf(document, registry)
  return found === undefined ? undefined : { ...found, environment }
}

function keyText({ registry, path }: AuthKey): string {
  return path === undefined ? registry : `${registry}/${path}`
}

/** The keys of `auths` that mean the same registry or path. */
function spellings(auths: JsonObject, key: AuthKey): readonly string[] {
  return Object.keys(auths).filter((other) => normaliseAuthKey(other) === keyText(key))
}

function without(auths: JsonObject, key: AuthKey): JsonObject {
  return Object.fromEntries(
    Object.entries(auths).filter(([other]) => normaliseAuthKey(other) !== keyText(key)),
  )
}

/** Docker finds Docker Hub in its own file by this name alone; podman and skopeo know both. */
function preferredSpelling(path: string, key: AuthKey): string {
  const text = keyText(key)
  return text === 'docker.io' && basename(path) === 'config.json' ? DOCKER_HUB_SERVER : text
}

function authEntry(login: Login): JsonObject {
  const password = login.kind === 'basic' ? login.password : ''
  const auth = Buffer.from(`${login.username}:${password}`, 'utf8').toString('base64')
  return login.kind === 'basic' ? { auth } : { auth, identitytoken: login.token }
}

async function write(path: string, document: JsonObject): Promise<void> {
  try {
    await makeFolder(dirname(path), 0o700)
  } catch (error) {
    throw fileError(error, `The folder ${quote(dirname(path))} cannot be made`)
  }
  // A link to the file stays one; the file that it names is replaced.
  const target = await realpath(path).catch(() => path)
  const text = JSON.stringify(document, undefined, '\t')
  await writeFileAtomically(target, encodeUtf8(text), { mode: 0o600 })
}
