import { CosignetError, isCosignetError, type JsonValue, LIMITS, parseJson } from '../core/index.ts'
import type { HttpClient, HttpResponse } from '../net/index.ts'
import { type Digest, digestParts } from './digest.ts'
import { type Descriptor, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { asBadResponse } from './registry-answers.ts'
import { nextPage, PAGES_MAX } from './registry-pages.ts'
import type { RegistryRequest, RegistryTransport } from './registry-transport.ts'
import type { ImageSource } from './store.ts'

/** Statuses by which registries say that they have no referrers API. */
const NO_REFERRERS_API: readonly number[] = [400, 404, 405, 406, 501]

/** A repository, to read the tag from. */
export interface TaggedRepository extends Pick<ImageSource, 'name' | 'getManifest'> {
  /** Whether it is known already that there is no such tag. */
  lacksTag(tag: string, signal: AbortSignal | undefined): Promise<boolean>
}

/** Hosts that do not know the path of the API, so that each client asks once and not for every image. */
const withoutApi = new WeakMap<HttpClient, Set<string>>()

/**
 * Lists the referrers of a manifest by the API, and where a registry has none by the tag under which clients keep the
 * list (distribution-spec 1.1, "Listing Referrers").
 * @param repository the same repository.
 * @throws TOO_LARGE beyond `LIMITS.referrers`; BAD_RESPONSE, UNAUTHORIZED, UNAVAILABLE, TIMEOUT: a list that cannot
 * be had is never an empty one.
 */
export async function listReferrers(
  transport: RegistryTransport,
  repository: TaggedRepository,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  if (withoutApi.get(transport.http)?.has(transport.host) === true) {
    return await listTagged(repository, digest, signal)
  }
  const found: Descriptor[] = []
  const what = `The list of referrers of ${repository.name}@${digest}`
  let path: string | URL | undefined = `referrers/${digest}`
  for (let page = 0; path !== undefined; page += 1) {
    const { response, bytes } = await askReferrers(transport, path, signal, page === 0)
    if (page === 0 && !isReferrersList(response)) {
      if (isUnknownPath(response)) rememberWithout(transport)
      return await listTagged(repository, digest, signal)
    }
    path = nextPage(response)
    found.push(...readList(bytes, response.headers['content-type'], what))
    if (found.length > LIMITS.referrers || page >= PAGES_MAX) {
      throw new CosignetError('TOO_LARGE', `${what} has more than the limit of ${LIMITS.referrers}.`)
    }
  }
  return found
}

/** @throws BAD_RESPONSE for what is no list: nobody but the registry made it. */
function readList(bytes: Uint8Array, mediaType: string | undefined, what: string): readonly Descriptor[] {
  try {
    return parseList(bytes, mediaType, what)
  } catch (error) {
    throw asBadResponse(error)
  }
}

function parseList(bytes: Uint8Array, mediaType: string | undefined, what: string): readonly Descriptor[] {
  const document = parseJson(bytes, what) as { readonly [key: string]: JsonValue } | null
  // Some registries write Go's nil for an empty list.
  if (document?.['manifests'] === null) return []
  const { content } = parseManifest(bytes, mediaType, what)
  return content.kind === 'index' ? content.manifests : []
}

/** The tag under which clients keep the list where there is no API: `sha256-HEX`, 64 digits at most. */
export function referrersTag(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest)
  return `${algorithm}-${hex.slice(0, 64)}`
}

/** Whether the registry has the referrers API, so that it keeps the list by itself. @throws as `listReferrers` */
export async function hasReferrersApi(
  transport: RegistryTransport,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const { response } = await askReferrers(transport, `referrers/${digest}`, signal, true)
  return isReferrersList(response)
}

async function askReferrers(
  transport: RegistryTransport,
  path: string | URL,
  signal: AbortSignal | undefined,
  isFirst: boolean,
): Promise<{ response: HttpResponse; bytes: Uint8Array }> {
  const request: RegistryRequest = {
    method: 'GET',
    path,
    action: 'pull',
    headers: { accept: MEDIA_TYPES.ociIndex },
    signal,
    expect: isFirst ? NO_REFERRERS_API : [],
    task: `Listing the referrers in ${transport.host}/${transport.repository}`,
  }
  return await transport.read(request, LIMITS.manifestBytes)
}

function isReferrersList({ status, headers }: HttpResponse): boolean {
  return status === 200 && headers['content-type']?.split(';')[0]?.trim() === MEDIA_TYPES.ociIndex
}

/** A registry that knows the path says in JSON what it misses, and may miss it in this repository alone. */
function isUnknownPath({ status, headers }: HttpResponse): boolean {
  return status === 404 && headers['content-type']?.includes('json') !== true
}

function rememberWithout({ http, host }: RegistryTransport): void {
  const hosts = withoutApi.get(http) ?? new Set()
  withoutApi.set(http, hosts.add(host))
}

async function listTagged(
  repository: TaggedRepository,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  const tag = referrersTag(digest)
  if (await repository.lacksTag(tag, signal)) return []
  try {
    const { content } = await repository.getManifest(tag, signal)
    // `cosign copy` puts the image itself under this tag; that is no list of referrers.
    return content.kind === 'index' ? content.manifests : []
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return []
    throw asBadResponse(error)
  }
}
