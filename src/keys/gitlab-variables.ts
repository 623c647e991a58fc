import { CosignetError, decodeUtf8, encodeUtf8, isCosignetError, quote, reasonOf } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import { callStore, type StoreApi, storeBase } from './store-api.ts'
import type { GitLabKeys } from './store-reference.ts'
import { type KeyPairFiles, type PutKeyPairOptions, type ReadableKeyStore, SECRET_NAMES } from './stores.ts'

export interface GitLabOptions {
  readonly http: Pick<HttpClient, 'request'>
  /** May use the API (scope `api`) as a maintainer. */
  readonly token: string
  /** Of an own GitLab: a URL or host name. Default: gitlab.com. */
  readonly host?: string
}

/**
 * Keeps a key pair in the CI/CD variables of a project, or of the group of that name, as cosign does
 * (pkg/cosign/git/gitlab): neither masked nor protected, for all environments. Variables that are there are updated and
 * keep their settings; GitLab must not expand `$` in any.
 */
export function openGitLabVariables(place: GitLabKeys, options: GitLabOptions): ReadableKeyStore {
  const gitlab: GitLab = {
    name: `gitlab://${place.path}`,
    id: encodeURIComponent(place.path),
    api: {
      product: 'GitLab',
      http: options.http,
      base: storeBase('GITLAB_HOST', options.host ?? 'https://gitlab.com', 'api/v4/'),
      headers: { accept: 'application/json', 'private-token': options.token },
    },
  }
  const open = rememberOpened(gitlab)

  const readValue = async (key: string, signal: AbortSignal | undefined): Promise<Uint8Array> => {
    const value = await readVariable(gitlab, await open(signal), key, signal)
    if (value !== undefined) return encodeUtf8(value)
    throw new CosignetError('NOT_FOUND', `There is no variable ${key} at ${quote(gitlab.name)}.`)
  }

  return {
    name: gitlab.name,
    existing: async (signal) => {
      const folder = await open(signal)
      const found: string[] = []
      for (const key of Object.values(SECRET_NAMES)) {
        if ((await readVariable(gitlab, folder, key, signal)) !== undefined) found.push(key)
      }
      return found
    },
    put: async (pair, putOptions) => await put(gitlab, await open(putOptions.signal), pair, putOptions),
    readPublicKey: async (signal) => await readValue(SECRET_NAMES.publicKey, signal),
    readPrivateKey: async (signal) => ({
      privateKey: await readValue(SECRET_NAMES.privateKey, signal),
      password: await readValue(SECRET_NAMES.password, signal),
    }),
  }
}

interface GitLab {
  readonly name: string
  /** Number or path of the project or group, as one segment of a path. */
  readonly id: string
  readonly api: StoreApi
}

/** Where variables are: `projects/ID/variables` or `groups/ID/variables`; looked up once. */
function rememberOpened(gitlab: GitLab): (signal: AbortSignal | undefined) => Promise<string> {
  let folder: string | undefined
  return async (signal) => {
    folder ??= await findFolder(gitlab, signal)
    return folder
  }
}

/** A project, else a group; what is not "not found" is an error, where cosign takes any for it. */
async function findFolder({ name, id, api }: GitLab, signal: AbortSignal | undefined): Promise<string> {
  for (const kind of ['projects', 'groups']) {
    const path = `${kind}/${id}`
    const found = await callStore(api, { method: 'GET', path, what: `tell of ${name}`, signal })
    if (found !== undefined) return `${path}/variables`
  }
  throw new CosignetError(
    'NOT_FOUND',
    `GitLab at ${api.base.host} has no project or group ${quote(name.slice('gitlab://'.length))} that the token may see.`,
    { hint: 'Check the path; for a GitLab of your own, set GITLAB_HOST to its address.' },
  )
}

async function put(
  gitlab: GitLab,
  folder: string,
  pair: KeyPairFiles,
  { replace, signal }: PutKeyPairOptions,
): Promise<readonly string[]> {
  const changes: Change[] = []
  for (const [part, key] of Object.entries(SECRET_NAMES)) {
    const old = await readVariable(gitlab, folder, key, signal)
    if (old !== undefined && !replace) {
      throw new CosignetError(
        'ALREADY_EXISTS',
        `The variable ${key} exists already at ${quote(gitlab.name)}.`,
        {
          hint: 'Choose another place: who loses a private key cannot sign with it again.',
        },
      )
    }
    changes.push({ key, old, value: textOf(pair[part as keyof KeyPairFiles], key) })
  }
  const done: Change[] = []
  for (const change of changes) {
    try {
      await write(gitlab, folder, change, signal)
    } catch (error) {
      // What got no answer may have been done. Not with the signal: a command that is stopped must undo, too.
      const unsure = isCosignetError(error, 'ABORTED', 'TIMEOUT', 'UNAVAILABLE') ? [change] : []
      throw afterwards(error, await undo(gitlab, folder, [...done, ...unsure]))
    }
    done.push(change)
  }
  return done.map(({ key }) => key)
}

interface Change {
  readonly key: string
  readonly value: string
  /** What it was; undefined if it was not there. */
  readonly old: string | undefined
}

async function write(
  gitlab: GitLab,
  folder: string,
  { key, value, old }: Change,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { api } = gitlab
  const what = `set the variable ${key}`
  const settings = { value, raw: true }
  const answer =
    old === undefined
      ? await callStore(api, {
          method: 'POST',
          path: folder,
          body: {
            key,
            ...settings,
            variable_type: 'env_var',
            protected: false,
            masked: false,
            environment_scope: '*',
          },
          what,
          signal,
        })
      : await callStore(api, { method: 'PUT', path: `${folder}/${key}`, body: settings, what, signal })
  if (answer === undefined)
    throw new CosignetError('NOT_FOUND', `The variable ${key} is gone from ${quote(gitlab.name)}.`)
}

/** Puts back what was changed. @returns the variables for which that failed. */
async function undo(gitlab: GitLab, folder: string, done: readonly Change[]): Promise<readonly string[]> {
  const failed: string[] = []
  for (const { key, old, value } of done.toReversed()) {
    try {
      if (old === undefined) {
        const path = `${folder}/${key}`
        await callStore(gitlab.api, { method: 'DELETE', path, what: `delete the variable ${key}` })
      } else await write(gitlab, folder, { key, value: old, old: value }, undefined)
    } catch {
      failed.push(key)
    }
  }
  return failed
}

function afterwards(error: unknown, failed: readonly string[]): unknown {
  if (failed.length === 0 || !(error instanceof CosignetError)) return error
  return new CosignetError(
    error.code,
    `${reasonOf(error)}. Written, and not to be undone: ${failed.join(', ')}; they do not go with the rest.`,
    { cause: error, hint: 'Run the command again: it sets all three.' },
  )
}

/** @throws CONFLICT if there are several of that name, for different environments; BAD_RESPONSE if it is hidden */
async function readVariable(
  { api, name }: GitLab,
  folder: string,
  key: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  const what = `read the variable ${key}`
  const answer = await callStore(api, { method: 'GET', path: `${folder}/${key}`, what, signal })
  if (answer === undefined) return undefined
  const { value } = answer
  if (typeof value === 'string') return value
  throw new CosignetError(
    'BAD_RESPONSE',
    `The variable ${key} at ${quote(name)} is hidden: GitLab does not give it out.`,
    { hint: 'Make it again as one that is not hidden.' },
  )
}

function textOf(bytes: Uint8Array, key: string): string {
  const text = decodeUtf8(bytes)
  if (text !== undefined && !text.includes('\0')) return text
  throw new CosignetError('INVALID_PASSWORD', `What is to be the variable ${key} is not UTF-8 text.`)
}
