import { LIMITS } from '../core/index.ts'
import { type Descriptor, type Digest, MEDIA_TYPES, parseManifest } from '../oci/index.ts'
import { refusal } from './errors.ts'
import { digestOfPath, type Exchange } from './exchange.ts'

/** GET of the tags in ASCII order, by pages of `n` after `last` (distribution-spec 1.1, "Listing tags"). */
export async function listTags(exchange: Exchange): Promise<Response> {
  const { storage, repository, query } = exchange
  if (!(await storage.hasRepository(repository))) {
    throw refusal('NAME_UNKNOWN', `There is no repository ${repository}.`)
  }
  const n = readPageSize(query)
  const tags = after(await storage.listTags(repository), query.get('last'))
  const page = tags.slice(0, n)
  const next = page.length < tags.length ? page.at(-1) : undefined
  const headers = nextLink(`/v2/${repository}/tags/list`, { n: String(n) }, next)
  return Response.json({ name: repository, tags: page }, { headers })
}

/**
 * GET of the manifests that have the digest as their subject, as an index (distribution-spec 1.1, "Listing
 * Referrers"), with `artifactType` those of that type only. A page ends before it is larger than a manifest may be.
 */
export async function listReferrers(exchange: Exchange): Promise<Response> {
  const { storage, repository, query } = exchange
  const subject = digestOfPath(exchange)
  const artifactType = query.get('artifactType')
  const manifests: Descriptor[] = []
  let size = 0
  let next: Digest | undefined
  let last: Digest | undefined
  for (const digest of after(await storage.listReferrers(repository, subject), query.get('last'))) {
    const descriptor = await describe(exchange, digest)
    if (descriptor !== undefined && (artifactType === null || descriptor.artifactType === artifactType)) {
      size += Buffer.byteLength(JSON.stringify(descriptor)) + 1
      if (manifests.length > 0 && (manifests.length >= LIMITS.registryPage || size > PAGE_BYTES)) {
        next = last
        break
      }
      manifests.push(descriptor)
    }
    last = digest
  }
  const filter: Record<string, string> = artifactType === null ? {} : { artifactType }
  return Response.json(
    { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests },
    {
      headers: {
        'content-type': MEDIA_TYPES.ociIndex,
        ...(artifactType === null ? {} : { 'oci-filters-applied': 'artifactType' }),
        ...nextLink(`/v2/${repository}/referrers/${subject}`, filter, next),
      },
    },
  )
}

/** Leaves room for the index around the descriptors. */
const PAGE_BYTES = LIMITS.manifestBytes - 1024

async function describe(exchange: Exchange, digest: Digest): Promise<Descriptor | undefined> {
  const stored = await exchange.storage.getManifest(exchange.repository, digest)
  if (stored === undefined) return undefined
  const { content } = parseManifest(stored.bytes, stored.mediaType, 'The manifest')
  const { annotations } = content
  const artifactType =
    content.artifactType || (content.kind === 'image' ? content.config.mediaType : undefined)
  return {
    mediaType: stored.mediaType,
    digest,
    size: stored.bytes.byteLength,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(annotations === undefined ? {} : { annotations }),
  }
}

function readPageSize(query: URLSearchParams): number {
  const text = query.get('n')
  if (text === null) return LIMITS.registryPage
  if (!/^\d{1,9}$/.test(text)) throw refusal('PAGINATION_NUMBER_INVALID', 'n is not a number of entries.')
  return Math.min(Number(text), LIMITS.registryPage)
}

/** Sorts, and keeps what comes after `last`. */
function after<T extends string>(entries: readonly T[], last: string | null): T[] {
  const rest = last === null ? [...entries] : entries.filter((entry) => entry > last)
  return rest.sort()
}

function nextLink(
  path: string,
  query: Record<string, string>,
  last: string | undefined,
): Record<string, string> {
  if (last === undefined) return {}
  return { link: `<${path}?${new URLSearchParams({ ...query, last })}>; rel="next"` }
}
