import { unlink } from 'node:fs/promises'
import {
  CosignetError,
  encodeUtf8,
  errnoOf,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
  writeFileAtomically,
} from '../core/index.ts'
import {
  encryptPrivateKey,
  formatPublicKey,
  type GitHubKeys,
  type GitLabKeys,
  type KeyStore,
  type KubernetesKeys,
  openGitHubSecrets,
  openGitLabVariables,
  parseKeyReference,
  type ReadableKeyStore,
  type SigningKey,
} from '../keys/index.ts'
import type { Cli } from './cli.ts'
import { confirm } from './confirm.ts'
import { httpOptions, openHttp, trustedCertificates } from './http-access.ts'
import { placeOf } from './registry-access.ts'

/** How the servers are reached that keep keys. */
export interface KeyServerOptions {
  /** PEM file of authorities to trust beside the known ones. */
  readonly ca?: string | undefined
}

/** A place outside this machine that a key pair can be put to. */
export type StoreReference = KubernetesKeys | GitLabKeys | GitHubKeys

/**
 * Reads where a key pair is to be put: `k8s://namespace/name`, `gitlab://project-or-group`, `github://owner[/repository]`.
 * @throws USAGE for what can only be read from; as `parseKeyReference`
 */
export function parseStoreReference(text: string): StoreReference {
  const reference = parseKeyReference(text)
  if (reference.kind === 'kubernetes' || reference.kind === 'gitlab' || reference.kind === 'github') {
    return reference
  }
  throw new CosignetError('USAGE', `${quote(text)} is no place that a key pair can be put to.`, {
    hint: 'Give k8s://NAMESPACE/NAME, gitlab://PROJECT or github://OWNER/REPOSITORY.',
  })
}

export interface PutKeyPairTask extends KeyServerOptions {
  readonly key: SigningKey
  /** Encrypts the private key, and is put beside it; may be empty. */
  readonly password: Uint8Array
  /** Replace what is there without asking. */
  readonly yes: boolean
  /** File that the public key is written to as well (mode 0644): GitHub gives it to nobody. */
  readonly publicKeyPath: string
}

/** What was put where. */
export interface PutKeyPair {
  /** `k8s://default/cosign` */
  readonly store: string
  /** By the names that the store has for it: `COSIGN_PASSWORD`, `the Secret default/cosign`. */
  readonly written: readonly string[]
  readonly publicKeyPath: string
}

/**
 * Puts a key pair into a store in the form of cosign, and its public key into a file: both or, where the store allows,
 * none. What is there, in the store or as the file, is replaced only after a yes.
 * @throws ALREADY_EXISTS if the answer is no or nobody can be asked; FILE; INVALID_CONFIG; as the store
 */
export async function putKeyPair(
  cli: Cli,
  reference: StoreReference,
  task: PutKeyPairTask,
): Promise<PutKeyPair> {
  const { key, password, publicKeyPath } = task
  return await withKeyStore(cli, reference, task, async (store) => {
    const [inStore, file] = await Promise.all([store.existing(cli.signal), readIfThere(publicKeyPath)])
    const existing = [
      ...(inStore.length === 0 ? [] : [`${inStore.join(', ')} at ${store.name}`]),
      ...(file === undefined ? [] : [`the file ${quote(publicKeyPath)}`]),
    ]
    if (existing.length > 0 && !task.yes) await askToReplace(cli, existing.join(', and '))
    const privateKey = encodeUtf8(await encryptPrivateKey(key, password))
    const publicKey = encodeUtf8(formatPublicKey(key.publicKey))
    await writeFileAtomically(publicKeyPath, publicKey, { mode: 0o644, exclusive: file === undefined })
    try {
      const pair = { privateKey, publicKey, password }
      const written = await store.put(pair, { replace: inStore.length > 0, signal: cli.signal })
      return { store: store.name, written, publicKeyPath }
    } catch (error) {
      if (file === undefined) await unlink(publicKeyPath).catch(() => undefined)
      else await writeFileAtomically(publicKeyPath, file, { mode: 0o644 }).catch(() => undefined)
      throw error
    }
  })
}

/** @throws ALREADY_EXISTS */
async function askToReplace(cli: Cli, there: string): Promise<void> {
  const question = `There is already ${there}. Replace it, so that the old key is lost?`
  if (cli.interactive && (await confirm(cli, question, '--yes'))) return
  throw new CosignetError('ALREADY_EXISTS', `There is already ${there}.`, {
    hint: 'Choose another place, or give --yes to replace it: who loses a private key cannot sign with it again.',
  })
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readFileBounded(path, LIMITS.keyBytes, 'public key')
  } catch (error) {
    if (isCosignetError(error, 'FILE') && errnoOf(error.cause) === 'ENOENT') return undefined
    throw error
  }
}

/** Lends the store that keeps a key and gives it out, and closes its connections afterwards. */
export async function withReadableStore<T>(
  cli: Cli,
  reference: KubernetesKeys | GitLabKeys,
  options: KeyServerOptions,
  use: (store: ReadableKeyStore) => Promise<T>,
): Promise<T> {
  if (reference.kind === 'kubernetes') {
    // Few commands have to do with a cluster, and all would read the room.
    const { connectToCluster, openKeySecret } = await import('../kube/index.ts')
    const client = await connectToCluster({
      ...placeOf(cli),
      http: httpOptions(cli, await trustedCertificates(cli, options.ca)),
      warn: cli.say,
      signal: cli.signal,
    })
    return await closing(client, async () => await use(openKeySecret(client, reference)))
  }
  const http = await openHttp(cli, { ca: options.ca })
  const account = accountOf(
    cli,
    'GITLAB',
    'A token of the scope api is made in the settings of a user or project.',
  )
  return await closing(http, async () => await use(openGitLabVariables(reference, { http, ...account })))
}

async function withKeyStore<T>(
  cli: Cli,
  reference: StoreReference,
  options: KeyServerOptions,
  use: (store: KeyStore) => Promise<T>,
): Promise<T> {
  if (reference.kind !== 'github') return await withReadableStore(cli, reference, options, use)
  const http = await openHttp(cli, { ca: options.ca })
  const account = accountOf(cli, 'GITHUB', 'It must be allowed to write Actions secrets.')
  return await closing(http, async () => await use(openGitHubSecrets(reference, { http, ...account })))
}

/** Token and host from the variables that cosign reads. @throws INVALID_CONFIG without a token */
function accountOf(
  cli: Cli,
  product: 'GITHUB' | 'GITLAB',
  hint: string,
): { readonly token: string; readonly host?: string } {
  const token = cli.environment[`${product}_TOKEN`] ?? ''
  const host = cli.environment[`${product}_HOST`] ?? ''
  if (token !== '') return { token, ...(host === '' ? {} : { host }) }
  throw new CosignetError('INVALID_CONFIG', `${product}_TOKEN is not set.`, { hint })
}

async function closing<T>(resource: { close(): void }, use: () => Promise<T>): Promise<T> {
  try {
    return await use()
  } finally {
    resource.close()
  }
}
