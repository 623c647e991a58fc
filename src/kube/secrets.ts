import { CosignetError, encodeBase64, isCosignetError, type JsonValue, quote } from '../core/index.ts'
import type { KubeClient, KubeObject } from './kube-client.ts'

/** A Secret by its place; both names were checked (RFC 1123). */
export interface SecretName {
  readonly namespace: string
  readonly name: string
}

/** A Secret as the cluster has it. */
export interface KubeSecret extends SecretName {
  /** By name; the values are secret. */
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly immutable: boolean
  /** Which Secret of that name, in which version. */
  readonly uid: string
  readonly resourceVersion: string
  /** All of it, to be written back. */
  readonly object: KubeObject
}

/** Reads a Secret. @returns undefined if there is none. @throws as `KubeClient.call` */
export async function getSecret(
  client: KubeClient,
  place: SecretName,
  signal?: AbortSignal,
): Promise<KubeSecret | undefined> {
  try {
    const object = await client.call({ method: 'GET', path: pathOf(place), what: whatOf(place), signal })
    return readSecret(object, place, client.host)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return undefined
    throw error
  }
}

/** Makes a Secret; `labels` and `annotations` of `like` are taken over. @throws ALREADY_EXISTS; as `KubeClient.call` */
export async function createSecret(
  client: KubeClient,
  place: SecretName,
  content: SecretContent,
  signal?: AbortSignal,
): Promise<void> {
  const body = {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { ...metadataToKeep(content.like), name: place.name, namespace: place.namespace },
    ...contentOf(content),
  }
  const path = `api/v1/namespaces/${place.namespace}/secrets`
  const secrets = secretsIn(content)
  await client.call({ method: 'POST', path, body, what: whatOf(place), secrets, signal })
}

/** What a Secret is to hold. */
export interface SecretContent {
  readonly data: ReadonlyMap<string, Uint8Array>
  readonly immutable: boolean
  /** The Secret whose type, labels and annotations it gets. Default: none. */
  readonly like?: KubeSecret
}

/** Writes a Secret in the place of the version that was read. @throws CONFLICT if it changed; as `KubeClient.call` */
export async function replaceSecret(
  client: KubeClient,
  secret: KubeSecret,
  content: Omit<SecretContent, 'like'>,
  signal?: AbortSignal,
): Promise<void> {
  const body = { ...secret.object, ...contentOf(content) }
  const secrets = secretsIn(content)
  await client.call({ method: 'PUT', path: pathOf(secret), body, what: whatOf(secret), secrets, signal })
}

/** Deletes the version of a Secret that was read. @throws CONFLICT if it changed; as `KubeClient.call` */
export async function deleteSecret(
  client: KubeClient,
  secret: KubeSecret,
  signal?: AbortSignal,
): Promise<void> {
  const { uid, resourceVersion } = secret
  const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid, resourceVersion } }
  await client.call({ method: 'DELETE', path: pathOf(secret), body, what: whatOf(secret), signal })
}

/** Names a Secret in messages. */
export function whatOf({ namespace, name }: SecretName): string {
  return `the Secret ${namespace}/${name}`
}

function pathOf({ namespace, name }: SecretName): string {
  return `api/v1/namespaces/${namespace}/secrets/${name}`
}

function contentOf({ data, immutable, like }: SecretContent): KubeObject {
  const type = like?.object['type']
  return {
    ...(type === undefined ? {} : { type }),
    data: Object.fromEntries([...data].map(([name, bytes]) => [name, encodeBase64(bytes)])),
    ...(immutable ? { immutable: true } : {}),
  }
}

/** As they are sent, and as they are. */
function secretsIn({ data }: Pick<SecretContent, 'data'>): readonly string[] {
  return [...data.values()].flatMap((bytes) => [encodeBase64(bytes), Buffer.from(bytes).toString('utf8')])
}

function metadataToKeep(like: KubeSecret | undefined): KubeObject {
  const { labels, annotations } = members(like?.object['metadata'])
  return {
    ...(labels === undefined ? {} : { labels }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function readSecret(object: KubeObject, place: SecretName, host: string): KubeSecret {
  const metadata = members(object['metadata'])
  const { uid, resourceVersion } = metadata
  const named = metadata['name'] === place.name && metadata['namespace'] === place.namespace
  const text = typeof uid === 'string' && typeof resourceVersion === 'string'
  if (object['kind'] !== 'Secret' || !named || !text) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The cluster at ${host} answered with something else than ${whatOf(place)}.`,
    )
  }
  const data = new Map<string, Uint8Array>()
  for (const [name, value] of Object.entries(members(object['data']))) {
    const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
    if (bytes === undefined || bytes.toString('base64') !== value) {
      throw new CosignetError('BAD_RESPONSE', `${quote(name)} in ${whatOf(place)} is not base64.`)
    }
    data.set(name, bytes)
  }
  return { ...place, data, immutable: object['immutable'] === true, uid, resourceVersion, object }
}

function members(value: JsonValue | undefined): KubeObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? (value as KubeObject) : {}
}
