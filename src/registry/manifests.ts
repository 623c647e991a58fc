import { CosignetError, collectBytes, LIMITS } from '../core/index.ts'
import {
  type Descriptor,
  type Digest,
  digestOf,
  digestParts,
  isDigest,
  isManifestMediaType,
  type Manifest,
  parseManifest,
} from '../oci/index.ts'
import { refusal } from './errors.ts'
import { bodyOf, contentLengthOf, type Exchange } from './exchange.ts'
import { isTag } from './names.ts'
import { entityTag, ifMatchHolds, ifNoneMatchHolds } from './preconditions.ts'

/** GET and HEAD of a manifest by tag or digest, as it was pushed (distribution-spec 1.1, "Pulling manifests"). */
export async function getManifest(exchange: Exchange): Promise<Response> {
  const { storage, repository, request } = exchange
  const digest = await resolve(exchange)
  const manifest = await storage.getManifest(repository, digest)
  if (manifest === undefined) throw unknownManifest(exchange)
  const headers = { 'docker-content-digest': digest, etag: entityTag(digest) }
  if (!ifNoneMatchHolds(request, digest)) return new Response(null, { status: 304, headers })
  return new Response(request.method === 'HEAD' ? null : Buffer.from(manifest.bytes), {
    headers: {
      ...headers,
      'content-type': manifest.mediaType,
      'content-length': String(manifest.bytes.byteLength),
    },
  })
}

/**
 * PUT of a manifest by tag, or by digest with any tags to set beside it (distribution-spec 1.2, "Pushing Manifests").
 * It is taken if it can be read in one way only, has the digest, and all that it names is here in the size that it
 * says, except its subject. Of many requests that move a tag on the same If-Match, one does; the condition of a push
 * by digest is on the manifest, not on its tags.
 */
export async function putManifest(exchange: Exchange): Promise<Response> {
  const { storage, repository, untrustedTail: reference } = exchange
  const manifest = await receiveManifest(exchange)
  const digest = digestFor(reference, manifest)
  const tags = isDigest(reference) ? tagsOfQuery(exchange) : [reference]
  const { subject } = manifest.content
  await checkPreconditions(exchange)
  await checkParts(exchange, manifest)
  await storage.putManifest(repository, digest, manifest, subject?.digest)
  for (const tag of tags) await moveTag(exchange, tag, digest)
  return new Response(null, {
    status: 201,
    headers: {
      location: `/v2/${repository}/manifests/${digest}`,
      'docker-content-digest': digest,
      etag: entityTag(digest),
      ...(subject === undefined ? {} : { 'oci-subject': subject.digest }),
      ...(isDigest(reference) && tags.length > 0 ? { 'oci-tag': tags.join(', ') } : {}),
    },
  })
}

/** DELETE: of a tag, that tag; of a digest, the manifest and every tag that points to it. */
export async function deleteManifest(exchange: Exchange): Promise<Response> {
  const { storage, repository, untrustedTail: reference } = exchange
  const digest = await resolve(exchange)
  if (!isDigest(reference)) {
    // Whoever moved the tag in the meantime did so after this request: their tag stays.
    await storage.compareAndSetTag(repository, reference, digest, undefined)
    return new Response(null, { status: 202 })
  }
  const manifest = await storage.getManifest(repository, digest)
  if (manifest === undefined) throw unknownManifest(exchange)
  for (const tag of await storage.listTags(repository)) {
    await storage.compareAndSetTag(repository, tag, digest, undefined)
  }
  const { subject } = parseManifest(manifest.bytes, manifest.mediaType, 'The manifest').content
  await storage.deleteManifest(repository, digest, subject?.digest)
  return new Response(null, { status: 202 })
}

async function resolve(exchange: Exchange): Promise<Digest> {
  const { storage, repository, untrustedTail: reference } = exchange
  if (isDigest(reference)) return reference
  if (reference.includes(':')) throw refusal('DIGEST_INVALID', 'The reference is not a digest.')
  const digest = isTag(reference) ? await storage.getTag(repository, reference) : undefined
  if (digest === undefined) throw unknownManifest(exchange)
  return digest
}

async function receiveManifest(exchange: Exchange): Promise<Manifest> {
  const { request } = exchange
  const what = 'The manifest'
  // Said before the body is read, so that the client gets to hear it.
  if ((contentLengthOf(request) ?? 0) > LIMITS.manifestBytes) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${LIMITS.manifestBytes} bytes.`)
  }
  const bytes = await collectBytes(bodyOf(exchange), LIMITS.manifestBytes, what)
  return parseManifest(bytes, request.headers.get('content-type') ?? undefined, what)
}

/** The digest to store under: the one that was asked for if it is right, and of a tag SHA-256. */
function digestFor(reference: string, manifest: Manifest): Digest {
  if (!isDigest(reference)) {
    if (reference.includes(':')) throw refusal('DIGEST_INVALID', 'The reference is not a digest.')
    if (!isTag(reference)) throw refusal('TAG_INVALID', 'The reference is neither a tag nor a digest.')
    return manifest.digest
  }
  const algorithm = digestParts(reference).algorithm as Parameters<typeof digestOf>[1]
  const actual = digestOf(manifest.bytes, algorithm)
  if (actual !== reference) throw refusal('DIGEST_INVALID', `The manifest has the digest ${actual}.`)
  return actual
}

/** The tags to set beside a manifest that is pushed by digest. */
function tagsOfQuery({ query }: Exchange): readonly string[] {
  const tags = [...new Set(query.getAll('tag'))]
  if (tags.length > LIMITS.registryPushTags) {
    throw refusal('TAG_INVALID', `A push may set ${LIMITS.registryPushTags} tags.`, { status: 414 })
  }
  if (!tags.every(isTag)) throw refusal('TAG_INVALID', 'One of the tags to set is not a tag.')
  return tags
}

async function checkPreconditions(exchange: Exchange): Promise<void> {
  const { storage, repository, untrustedTail: reference } = exchange
  if (!isDigest(reference)) return requireMatch(exchange, await storage.getTag(repository, reference))
  const found = await storage.hasManifest(repository, reference)
  requireMatch(exchange, found ? reference : undefined)
}

function requireMatch({ request }: Exchange, current: Digest | undefined): void {
  if (ifMatchHolds(request, current) && ifNoneMatchHolds(request, current)) return
  const now = current === undefined ? 'does not exist' : `is at ${current}`
  throw refusal('PRECONDITION_FAILED', `The reference ${now}.`, {
    headers: current === undefined ? {} : { etag: entityTag(current) },
  })
}

async function moveTag(exchange: Exchange, tag: string, digest: Digest): Promise<void> {
  const { storage, repository, untrustedTail } = exchange
  // A lost round is another request's won one, so this ends.
  for (;;) {
    const current = await storage.getTag(repository, tag)
    if (tag === untrustedTail) requireMatch(exchange, current)
    if (await storage.compareAndSetTag(repository, tag, current, digest)) return
  }
}

/** Media types of layers that are fetched from elsewhere and need not be in the registry (image-spec, layer.md). */
const FOREIGN_LAYER =
  /^application\/vnd\.(?:oci\.image\.layer\.nondistributable\.|docker\.image\.rootfs\.foreign\.)/

async function checkParts(exchange: Exchange, manifest: Manifest): Promise<void> {
  const { content } = manifest
  const parts =
    content.kind === 'index'
      ? content.manifests
      : [content.config, ...content.layers.filter(({ mediaType }) => !FOREIGN_LAYER.test(mediaType))]
  for (const part of parts) {
    const size = await sizeOf(exchange, part, content.kind)
    if (size === undefined) {
      throw refusal('MANIFEST_BLOB_UNKNOWN', `The manifest names ${part.digest}, which is not here.`)
    }
    // Whoever checks what is pulled, as image-spec asks (descriptor.md), could not pull this image.
    if (size !== part.size) {
      throw refusal('MANIFEST_INVALID', `${part.digest} has ${size} bytes, and not ${part.size}.`)
    }
  }
}

async function sizeOf(
  { storage, repository }: Exchange,
  { digest, mediaType }: Descriptor,
  namedBy: 'image' | 'index',
): Promise<number | undefined> {
  if (namedBy === 'image' || !isManifestMediaType(mediaType)) return storage.blobSize(repository, digest)
  return (await storage.getManifest(repository, digest))?.bytes.byteLength
}

function unknownManifest(exchange: Exchange): Error {
  const reference = exchange.untrustedTail.slice(0, 200)
  return refusal('MANIFEST_UNKNOWN', `The repository ${exchange.repository} has no manifest ${reference}.`)
}
