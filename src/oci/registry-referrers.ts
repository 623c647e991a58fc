import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import { type Digest, digestParts } from './digest.ts'
import { type Descriptor, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { nextPage, PAGES_MAX } from './registry-pages.ts'
import type { RegistryTransport } from './registry-transport.ts'
import type { ImageSource } from './store.ts'

/** Statuses by which registries say that they have no referrers API. */
const NO_REFERRERS_API: readonly number[] = [400, 404, 405, 406, 501]

/**
 * Lists the referrers of a manifest by the API, and where a registry has none by the tag under which clients keep the
 * list (distribution-spec 1.1, "Listing Referrers").
 * @param repository the same repository, to read the tag from.
 * @throws TOO_LARGE beyond `LIMITS.referrers`; INVALID_MANIFEST, UNAUTHORIZED, UNAVAILABLE, TIMEOUT: a list that cannot
 * be had is never an empty one.
 */
export async function listReferrers(
  transport: RegistryTransport,
  repository: Pick<ImageSource, 'name' | 'getManifest'>,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  const found: Descriptor[] = []
  const task = `Listing the referrers of ${repository.name}@${digest}`
  let path: string | URL | undefined = `referrers/${digest}`
  for (let page = 0; path !== undefined; page += 1) {
    const response: HttpResponse = await transport.send({
      method: 'GET',
      path,
      action: 'pull',
      headers: { accept: MEDIA_TYPES.ociIndex },
      signal,
      expect: page === 0 ? NO_REFERRERS_API : [],
      task,
    })
    const type = response.headers['content-type']?.split(';')[0]?.trim()
    if (page === 0 && (response.status !== 200 || type !== MEDIA_TYPES.ociIndex)) {
      response.discard()
      return await listTagged(repository, digest, signal)
    }
    path = nextPage(response)
    const bytes = await response.bytes(LIMITS.manifestBytes)
    const { content } = parseManifest(bytes, type, `The list of referrers of ${repository.name}@${digest}`)
    if (content.kind === 'index') found.push(...content.manifests)
    if (found.length > LIMITS.referrers || page >= PAGES_MAX) {
      throw new CosignetError('TOO_LARGE', `${task} gives more than the limit of ${LIMITS.referrers}.`)
    }
  }
  return found
}

/** The referrers tag schema: an index under `sha256-HEX`, 64 digits at most. */
async function listTagged(
  repository: Pick<ImageSource, 'getManifest'>,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[]> {
  const { algorithm, hex } = digestParts(digest)
  try {
    const { content } = await repository.getManifest(`${algorithm}-${hex.slice(0, 64)}`, signal)
    // `cosign copy` puts the image itself under this tag; that is no list of referrers.
    return content.kind === 'index' ? content.manifests : []
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return []
    throw error
  }
}
