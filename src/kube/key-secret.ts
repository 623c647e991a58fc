import { randomBytes } from 'node:crypto'
import { CosignetError, isCosignetError, quote, reasonOf } from '../core/index.ts'
import type { KeyPairFiles, PutKeyPairOptions, ReadableKeyStore } from '../keys/index.ts'
import type { KubeClient } from './kube-client.ts'
import {
  createSecret,
  deleteSecret,
  getSecret,
  type KubeSecret,
  replaceSecret,
  type SecretName,
  whatOf,
} from './secrets.ts'

/** What cosign calls the parts of a key pair in a Secret. */
const ENTRIES = {
  privateKey: 'cosign.key',
  publicKey: 'cosign.pub',
  password: 'cosign.password',
} as const satisfies Record<keyof KeyPairFiles, string>

/** Secrets can be immutable since Kubernetes 1.21, and cosign makes them so from there on. */
const IMMUTABLE_SINCE = { major: 1, minor: 21 }

/**
 * Keeps a key pair in a Secret as cosign does (pkg/cosign/kubernetes): `cosign.key`, `cosign.pub`, `cosign.password`,
 * immutable. An immutable one is replaced by way of a copy, so that at no time the old key is nowhere.
 */
export function openKeySecret(client: KubeClient, place: SecretName): ReadableKeyStore {
  const what = whatOf(place)

  const read = async <Part extends keyof KeyPairFiles>(
    parts: readonly Part[],
    signal: AbortSignal | undefined,
  ): Promise<Pick<KeyPairFiles, Part>> => {
    const secret = await getSecret(client, place, signal)
    if (secret === undefined) {
      throw new CosignetError(
        'NOT_FOUND',
        `The cluster at ${client.host} has no Secret ${quote(`${place.namespace}/${place.name}`)}.`,
      )
    }
    const found = parts.map((part) => {
      // Who makes a Secret by hand leaves an empty password out, and cosign takes none for that.
      const bytes = secret.data.get(ENTRIES[part]) ?? (part === 'password' ? new Uint8Array() : undefined)
      if (bytes !== undefined) return [part, bytes]
      throw new CosignetError('NOT_FOUND', `There is no ${quote(ENTRIES[part])} in ${what}.`)
    })
    return Object.fromEntries(found) as Pick<KeyPairFiles, Part>
  }

  return {
    name: `k8s://${place.namespace}/${place.name}`,
    existing: async (signal) => ((await getSecret(client, place, signal)) === undefined ? [] : [what]),
    put: async (pair, options) => await put(client, place, pair, options),
    readPublicKey: async (signal) => (await read(['publicKey'], signal)).publicKey,
    readPrivateKey: async (signal) => await read(['privateKey', 'password'], signal),
  }
}

async function put(
  client: KubeClient,
  place: SecretName,
  pair: KeyPairFiles,
  { replace, signal }: PutKeyPairOptions,
): Promise<readonly string[]> {
  const old = await getSecret(client, place, signal)
  const immutable = await supportsImmutable(client, signal)
  const data = new Map([
    ...(old?.data ?? []),
    ...Object.entries(ENTRIES).map(([part, name]) => [name, pair[part as keyof KeyPairFiles]] as const),
  ])
  if (old === undefined) {
    await createSecret(client, place, { data, immutable }, signal)
    return [whatOf(place)]
  }
  if (!replace) {
    throw new CosignetError('ALREADY_EXISTS', `The cluster at ${client.host} has ${whatOf(place)} already.`, {
      hint: 'Choose another name: who loses a private key cannot sign with it again.',
    })
  }
  if (!old.immutable) {
    await replaceSecret(client, old, { data, immutable }, signal)
    return [whatOf(place)]
  }
  return await exchangeImmutable(client, old, data, signal)
}

/** Copies the old Secret, deletes it, makes the new one, deletes the copy. What fails is undone as far as it goes. */
async function exchangeImmutable(
  client: KubeClient,
  old: KubeSecret,
  data: ReadonlyMap<string, Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<readonly string[]> {
  const copy = { namespace: old.namespace, name: copyName(old.name) }
  try {
    await createSecret(client, copy, { data: old.data, immutable: true, like: old }, signal)
  } catch (error) {
    await forget(client, copy)
    throw error
  }
  try {
    await deleteSecret(client, old, signal)
    await createSecret(client, old, { data, immutable: true, like: old }, signal)
  } catch (error) {
    // What got no answer may have been done, or will be yet.
    const unsure = isCosignetError(error, 'ABORTED', 'TIMEOUT', 'UNAVAILABLE')
    throw afterwards(error, await restore(client, old, copy, unsure))
  }
  const forgotten = await forget(client, copy)
  return [whatOf(old), ...(forgotten ? [] : [`${whatOf(copy)} (the old key pair)`])]
}

/**
 * Puts the old Secret back, if it is gone, and deletes the copy only where nothing can come after it. Without a signal:
 * a command that is stopped must leave what was there, too.
 * @returns a sentence for the message; undefined if nothing was changed.
 */
async function restore(
  client: KubeClient,
  old: KubeSecret,
  copy: SecretName,
  unsure: boolean,
): Promise<string | undefined> {
  try {
    const found = await getSecret(client, old)
    if (found?.uid === old.uid) {
      if (unsure) return `A copy of the old key pair is in ${whatOf(copy)}.`
      await forget(client, copy)
      return undefined
    }
    await createSecret(client, old, { data: old.data, immutable: true, like: old })
    await forget(client, copy)
    return 'The old key pair is there again.'
  } catch {
    return `The old key pair is in ${whatOf(copy)}.`
  }
}

function copyName(name: string): string {
  return `${name.slice(0, 220).replace(/[.-]+$/, '')}-replaced-${randomBytes(4).toString('hex')}`
}

async function forget(client: KubeClient, copy: SecretName): Promise<boolean> {
  try {
    const found = await getSecret(client, copy)
    if (found !== undefined) await deleteSecret(client, found)
    return true
  } catch {
    return false
  }
}

function afterwards(error: unknown, sentence: string | undefined): unknown {
  if (sentence === undefined || !(error instanceof CosignetError)) return error
  return new CosignetError(error.code, `${reasonOf(error)}. ${sentence}`, { cause: error })
}

/** @throws as `KubeClient.call` */
async function supportsImmutable(client: KubeClient, signal: AbortSignal | undefined): Promise<boolean> {
  const { gitVersion } = await client.call({ method: 'GET', path: 'version', what: 'its version', signal })
  const [, major, minor] =
    /^v?(\d{1,6})\.(\d{1,6})/.exec(typeof gitVersion === 'string' ? gitVersion : '') ?? []
  if (major === undefined || minor === undefined) {
    throw new CosignetError('BAD_RESPONSE', `The cluster at ${client.host} does not tell its version.`)
  }
  const since = IMMUTABLE_SINCE
  return Number(major) > since.major || (Number(major) === since.major && Number(minor) >= since.minor)
}
