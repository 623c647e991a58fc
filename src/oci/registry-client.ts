import { CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import { checkDigest, type Digest, digestParts, isDigest } from './digest.ts'
import { type Descriptor, MANIFEST_MEDIA_TYPES, type Manifest, parseManifest } from './manifest.ts'
import type { Reference } from './reference.ts'
import { uploadBlob } from './registry-blobs.ts'
import { nextPage, PAGES_MAX } from './registry-pages.ts'
import { listReferrers } from './registry-referrers.ts'
import { type RegistryOptions, RegistryTransport } from './registry-transport.ts'
import type { BlobOutcome, DestinationRules, ImageDestination, ImageSource } from './store.ts'
import { verifiedStream } from './verified-stream.ts'

const TAG = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$/
const TAGS_A_PAGE = 1000

/** What a registry says of a manifest without sending it; the digest is its word, checked when the manifest is read. */
export interface ManifestHead {
  readonly digest: Digest
  readonly mediaType: string
  /** Bytes. */
  readonly size: number
}

/**
 * One repository of a registry (OCI distribution-spec 1.1). The first request goes out without credentials; the
 * registry's challenge says whether and how it wants them.
 */
export class RegistryClient implements ImageSource, ImageDestination {
  readonly name: string
  readonly rules: DestinationRules = { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: true }
  readonly #transport: RegistryTransport

  /** @throws INVALID_REFERENCE */
  constructor(options: RegistryOptions) {
    this.#transport = new RegistryTransport(options)
    this.name = `${options.registry}/${options.repository}`
  }

  async getManifest(tagOrDigest: string | Digest, signal?: AbortSignal): Promise<Manifest> {
    const what = this.#describe('manifest', tagOrDigest)
    const response = await this.#transport.send({
      method: 'GET',
      path: `manifests/${pathPart(tagOrDigest)}`,
      action: 'pull',
      headers: { accept: MANIFEST_MEDIA_TYPES.join(', ') },
      signal,
      task: `Reading ${what}`,
    })
    const contentType = response.headers['content-type']
    refuseHtml(response, this.name)
    const bytes = await response.bytes(LIMITS.manifestBytes)
    const title = `The ${what.slice('the '.length)}`
    if (isDigest(tagOrDigest)) checkDigest(bytes, tagOrDigest, title)
    const announced = announcedDigest(response, title)
    if (announced !== undefined) checkDigest(bytes, announced, title)
    return parseManifest(bytes, contentType, title)
  }

  /**
   * Asks what a tag or digest stands for, without reading the manifest.
   * @returns undefined if there is no such manifest.
   */
  async headManifest(tagOrDigest: string | Digest, signal?: AbortSignal): Promise<ManifestHead | undefined> {
    const what = this.#describe('manifest', tagOrDigest)
    const response = await this.#transport.send({
      method: 'HEAD',
      path: `manifests/${pathPart(tagOrDigest)}`,
      action: 'pull',
      headers: { accept: MANIFEST_MEDIA_TYPES.join(', ') },
      signal,
      expect: [404],
      task: `Looking for ${what}`,
    })
    response.discard()
    if (response.status === 404) return undefined
    const title = `The ${what.slice('the '.length)}`
    const digest = announcedDigest(response, title)
    const mediaType = response.headers['content-type']?.split(';')[0]?.trim()
    const length = response.headers['content-length'] ?? ''
    if (digest === undefined || mediaType === undefined || !/^[0-9]{1,15}$/.test(length)) {
      const manifest = await this.getManifest(tagOrDigest, signal)
      return { digest: manifest.digest, mediaType: manifest.mediaType, size: manifest.bytes.byteLength }
    }
    if (isDigest(tagOrDigest) && sameAlgorithm(digest, tagOrDigest) && digest !== tagOrDigest) {
      throw new CosignetError('DIGEST_MISMATCH', `${title} is announced with the digest ${digest}.`)
    }
    return { digest, mediaType, size: Number(length) }
  }

  async *getBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const what = this.#describe('blob', descriptor.digest)
    const response = await this.#transport.send({
      method: 'GET',
      path: `blobs/${descriptor.digest}`,
      action: 'pull',
      signal,
      blob: true,
      task: `Reading ${what}`,
    })
    yield* verifiedStream(response.body, descriptor, `The ${what.slice('the '.length)}`)
  }

  async listReferrers(digest: Digest, signal?: AbortSignal): Promise<readonly Descriptor[]> {
    return await listReferrers(this.#transport, this, digest, signal)
  }

  /** @throws BAD_RESPONSE, NOT_FOUND, and as `getManifest` */
  async listTags(signal?: AbortSignal): Promise<readonly string[]> {
    const tags = new Set<string>()
    let path: string | URL | undefined = `tags/list?n=${TAGS_A_PAGE}`
    for (let page = 0; path !== undefined; page += 1) {
      const task = `Listing the tags of ${this.name}`
      const response: HttpResponse = await this.#transport.send({
        method: 'GET',
        path,
        action: 'pull',
        signal,
        task,
      })
      refuseHtml(response, this.name)
      path = nextPage(response)
      const list = readTags(await response.bytes(LIMITS.jsonBytes), this.name)
      for (const tag of list) tags.add(tag)
      if (page >= PAGES_MAX) {
        throw new CosignetError('TOO_LARGE', `${task} does not end after ${PAGES_MAX} pages.`)
      }
    }
    return [...tags]
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
    signal?: AbortSignal,
  ): Promise<BlobOutcome> {
    if (await this.#hasBlob(descriptor.digest, signal)) return 'present'
    await uploadBlob(this.#transport, descriptor, content, this.#describe('blob', descriptor.digest), signal)
    return 'written'
  }

  async putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options: { readonly tag?: string; readonly ifMatch?: Digest | null; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { tag, ifMatch, signal } = options
    const target = tag ?? manifest.digest
    const what = this.#describe('manifest', target)
    checkDigest(manifest.bytes, manifest.digest, `The manifest for ${this.name}`)
    if (ifMatch !== undefined) await this.#checkStill(target, ifMatch, signal)
    const response = await this.#transport.send({
      method: 'PUT',
      path: `manifests/${pathPart(target)}`,
      action: 'push',
      headers: {
        'content-type': manifest.mediaType,
        ...(ifMatch === undefined ? {} : condition(ifMatch)),
      },
      body: manifest.bytes,
      signal,
      task: `Writing ${what}`,
    })
    refuseHtml(response, this.name)
    const announced = announcedDigest(response, `The ${what.slice('the '.length)}`)
    response.discard()
    if (
      announced !== undefined &&
      sameAlgorithm(announced, manifest.digest) &&
      announced !== manifest.digest
    ) {
      throw new CosignetError(
        'DIGEST_MISMATCH',
        `${this.name} stored the manifest ${manifest.digest} under the digest ${announced}.`,
      )
    }
  }

  /**
   * Deletes a manifest and with it all tags that point to it.
   * @throws NOT_FOUND, UNSUPPORTED if the registry does not delete, and as `getManifest`
   */
  async deleteManifest(digest: Digest, signal?: AbortSignal): Promise<void> {
    const response = await this.#transport.send({
      method: 'DELETE',
      path: `manifests/${digest}`,
      action: 'delete',
      signal,
      task: `Deleting ${this.#describe('manifest', digest)}`,
    })
    response.discard()
  }

  /** Many registries ignore If-Match, so the condition is also asked for just before. */
  async #checkStill(target: string, expected: Digest | null, signal: AbortSignal | undefined): Promise<void> {
    const digest = (await this.headManifest(target, signal))?.digest ?? null
    if (digest === expected) return
    const state = digest === null ? 'is not there any more' : `points to ${digest} by now`
    throw new CosignetError('CONFLICT', `The tag ${quote(target)} of ${this.name} ${state}.`, {
      hint: 'Read it again and repeat the change.',
    })
  }

  async #hasBlob(digest: Digest, signal: AbortSignal | undefined): Promise<boolean> {
    const response = await this.#transport.send({
      method: 'HEAD',
      path: `blobs/${digest}`,
      action: 'push',
      signal,
      expect: [404],
      task: `Looking for ${this.#describe('blob', digest)}`,
    })
    response.discard()
    return response.status !== 404
  }

  #describe(kind: 'manifest' | 'blob', tagOrDigest: string): string {
    return `the ${kind} ${isDigest(tagOrDigest) ? tagOrDigest : quote(tagOrDigest)} of ${this.name}`
  }
}

/** Opens the repository of a reference. @throws INVALID_REFERENCE */
export function openRegistry(
  reference: Pick<Reference, 'registry' | 'repository'>,
  options: Omit<RegistryOptions, 'registry' | 'repository'>,
): RegistryClient {
  const { registry, repository } = reference
  return new RegistryClient({ ...options, registry, repository })
}

/** Only a tag or a digest may stand in a path (CVE-2024-3727). */
function pathPart(tagOrDigest: string): string {
  if (isDigest(tagOrDigest) || TAG.test(tagOrDigest)) return tagOrDigest
  throw new CosignetError('INVALID_REFERENCE', `${quote(tagOrDigest)} is neither a tag nor a digest.`)
}

function condition(ifMatch: Digest | null): Readonly<Record<string, string>> {
  return ifMatch === null ? { 'if-none-match': '*' } : { 'if-match': `"${ifMatch}"` }
}

function announcedDigest({ headers }: HttpResponse, what: string): Digest | undefined {
  const announced = headers['docker-content-digest']
  if (announced === undefined) return undefined
  if (!isDigest(announced)) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `${what} is announced with ${quote(announced)}, which is not a digest.`,
    )
  }
  return announced
}

function sameAlgorithm(a: Digest, b: Digest): boolean {
  return digestParts(a).algorithm === digestParts(b).algorithm
}

/** A login page or a proxy's notice, answered with status 200. */
function refuseHtml(response: HttpResponse, name: string): void {
  if (!/^text\/html\b/i.test(response.headers['content-type'] ?? '')) return
  response.discard()
  throw new CosignetError('BAD_RESPONSE', `${name} answers with an HTML page instead of JSON.`, {
    hint: 'Check that the host is a registry, and that no proxy or login page stands in between.',
  })
}

function readTags(bytes: Uint8Array, name: string): readonly string[] {
  const what = `The list of tags of ${name}`
  const document = parseJson(bytes, what)
  const tags = (document as { readonly [key: string]: JsonValue } | null)?.['tags'] ?? []
  // What is not a tag could not be asked for, so it is not passed on.
  if (Array.isArray(tags))
    return tags.filter((tag): tag is string => typeof tag === 'string' && TAG.test(tag))
  throw new CosignetError('BAD_RESPONSE', `${what} is not a list.`)
}
