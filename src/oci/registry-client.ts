import { CosignetError, isCosignetError, LIMITS, quote } from '../core/index.ts'
import type { HttpResponse } from '../net/index.ts'
import { checkDigest, type Digest, isDigest } from './digest.ts'
import {
  type Descriptor,
  isManifestMediaType,
  MANIFEST_MEDIA_TYPES,
  type Manifest,
  parseManifest,
} from './manifest.ts'
import type { Reference } from './reference.ts'
import { announcedDigest, contradict, pathPart, refuseHtml } from './registry-answers.ts'
import { downloadBlob } from './registry-download.ts'
import { KnownTags } from './registry-known-tags.ts'
import { hasReferrersApi, listReferrers } from './registry-referrers.ts'
import { addReferrer, removeReferrer } from './registry-referrers-tag.ts'
import { announcesSignatures, type RegistrySignatures, registrySignatures } from './registry-signatures.ts'
import { listTags } from './registry-tags.ts'
import { type RegistryOptions, RegistryTransport } from './registry-transport.ts'
import { uploadBlob } from './registry-upload.ts'
import type { BlobOutcome, DestinationRules, ImageDestination, ImageSource } from './store.ts'

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
  #knownTags: KnownTags | undefined
  /** Changes of referrers tags, one after another: those of one image all go to one tag. */
  #referrersChange: Promise<void> = Promise.resolve()

  /** @throws INVALID_REFERENCE */
  constructor(options: RegistryOptions) {
    this.#transport = new RegistryTransport(options)
    this.name = `${options.registry}/${options.repository}`
  }

  async getManifest(tagOrDigest: string | Digest, signal?: AbortSignal): Promise<Manifest> {
    const what = this.#describe('manifest', tagOrDigest)
    if (await this.#lacksTag(tagOrDigest, signal)) {
      throw new CosignetError('NOT_FOUND', `${this.name} has no tag ${quote(tagOrDigest)}.`)
    }
    const { response, bytes } = await this.#transport.read(
      {
        method: 'GET',
        path: `manifests/${pathPart(tagOrDigest)}`,
        action: 'pull',
        headers: { accept: MANIFEST_MEDIA_TYPES.join(', ') },
        signal,
        task: `Reading ${what}`,
      },
      LIMITS.manifestBytes,
    )
    refuseHtml(response, this.name)
    const title = `The ${what.slice('the '.length)}`
    if (isDigest(tagOrDigest)) checkDigest(bytes, tagOrDigest, title)
    const announced = announcedDigest(response, title)
    if (announced !== undefined) checkDigest(bytes, announced, title)
    return parseManifest(bytes, response.headers['content-type'], title)
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
    if (isDigest(tagOrDigest) && contradict(digest, tagOrDigest)) {
      throw new CosignetError('DIGEST_MISMATCH', `${title} is announced with the digest ${digest}.`)
    }
    return { digest, mediaType, size: Number(length) }
  }

  getBlob(descriptor: Pick<Descriptor, 'digest' | 'size'>, signal?: AbortSignal): AsyncIterable<Uint8Array> {
    const what = this.#describe('blob', descriptor.digest)
    return downloadBlob(this.#transport, { descriptor, what, signal })
  }

  async listReferrers(digest: Digest, signal?: AbortSignal): Promise<readonly Descriptor[]> {
    const { name } = this
    const repository = {
      name,
      getManifest: this.getManifest.bind(this),
      lacksTag: this.#lacksTag.bind(this),
    }
    return await listReferrers(this.#transport, repository, digest, signal)
  }

  /**
   * Says that many images of the repository will be looked at, and nothing written: signatures and referrers that the
   * list of tags does not have are not asked for one by one. What others push from then on may not be seen.
   */
  expectManyReads(): void {
    this.#knownTags ??= new KnownTags(this.#transport, this.name)
  }

  /** @throws BAD_RESPONSE, NOT_FOUND, and as `getManifest` */
  async listTags(signal?: AbortSignal): Promise<readonly string[]> {
    return await listTags(this.#transport, this.name, signal)
  }

  /**
   * The OpenPGP signatures that the registry itself keeps beside manifests; undefined if it announces none
   * (X-Registry-Supports-Signatures).
   * @throws UNAUTHORIZED, UNAVAILABLE, TIMEOUT, ABORTED
   */
  async openSignatures(signal?: AbortSignal): Promise<RegistrySignatures | undefined> {
    const announced = await announcesSignatures(this.#transport, signal)
    return announced ? registrySignatures(this.#transport, this.name) : undefined
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
    signal?: AbortSignal,
  ): Promise<BlobOutcome> {
    const what = this.#describe('blob', descriptor.digest)
    return await uploadBlob(this.#transport, { descriptor, content, what, signal })
  }

  /**
   * Where the manifest has a subject and the registry does not say that it keeps the list of referrers, enters it in
   * the list under the referrers tag; the manifest itself is stored before.
   */
  async putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options: { readonly tag?: string; readonly ifMatch?: Digest | null; readonly signal?: AbortSignal } = {},
  ): Promise<void> {
    const { tag, ifMatch, signal } = options
    const target = tag ?? manifest.digest
    const title = `The manifest for ${this.name}`
    checkDigest(manifest.bytes, manifest.digest, title)
    const parsed = isManifestMediaType(manifest.mediaType)
      ? parseManifest(manifest.bytes, manifest.mediaType, title)
      : undefined
    if (ifMatch !== undefined) await this.#checkStill(target, ifMatch, signal)
    const response = await this.#sendManifest(manifest, target, ifMatch, signal)
    const subject = parsed?.content.subject?.digest
    if (parsed === undefined || subject === undefined || response?.headers['oci-subject'] === subject) return
    await this.#changeReferrers(() =>
      addReferrer(this, { ...parsed, digest: manifest.digest }, subject, signal),
    )
  }

  /**
   * Deletes a manifest and with it all tags that point to it. Where it has a subject and the registry has no referrers
   * API, takes it off the list under the referrers tag.
   * @throws NOT_FOUND, UNSUPPORTED if the registry does not delete, and as `getManifest`
   */
  async deleteManifest(digest: Digest, signal?: AbortSignal): Promise<void> {
    const subject = await this.#subjectOf(digest, signal)
    const response = await this.#transport.send({
      method: 'DELETE',
      path: `manifests/${digest}`,
      action: 'delete',
      signal,
      task: `Deleting ${this.#describe('manifest', digest)}`,
    })
    response.discard()
    if (subject === undefined || (await hasReferrersApi(this.#transport, subject, signal))) return
    await this.#changeReferrers(() => removeReferrer(this, digest, subject, signal))
  }

  /** @returns the answer; undefined where that of an earlier try was lost. */
  async #sendManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    target: string,
    ifMatch: Digest | null | undefined,
    signal: AbortSignal | undefined,
  ): Promise<HttpResponse | undefined> {
    const what = this.#describe('manifest', target)
    let response: HttpResponse
    try {
      response = await this.#transport.send({
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
    } catch (error) {
      // A try whose answer was lost may have moved the tag, and the next one found it moved.
      if (ifMatch === undefined || !isCosignetError(error, 'CONFLICT')) throw error
      if ((await this.headManifest(target, signal))?.digest !== manifest.digest) throw error
      return undefined
    }
    response.discard()
    refuseHtml(response, this.name)
    const announced = announcedDigest(response, `The ${what.slice('the '.length)}`)
    if (announced !== undefined && contradict(announced, manifest.digest)) {
      throw new CosignetError(
        'DIGEST_MISMATCH',
        `${this.name} stored the manifest ${manifest.digest} under the digest ${announced}.`,
      )
    }
    return response
  }

  /** The subject of a manifest that is to be deleted; one that cannot be read is deleted all the same. */
  async #subjectOf(digest: Digest, signal: AbortSignal | undefined): Promise<Digest | undefined> {
    try {
      return (await this.getManifest(digest, signal)).content.subject?.digest
    } catch (error) {
      const unreadable = [
        'NOT_FOUND',
        'INVALID_MANIFEST',
        'INVALID_JSON',
        'DIGEST_MISMATCH',
        'TOO_LARGE',
      ] as const
      if (isCosignetError(error, ...unreadable)) return undefined
      throw error
    }
  }

  async #changeReferrers(change: () => Promise<void>): Promise<void> {
    const mine = this.#referrersChange.then(change)
    this.#referrersChange = mine.catch(() => undefined)
    await mine
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

  async #lacksTag(tag: string, signal: AbortSignal | undefined): Promise<boolean> {
    return (await this.#knownTags?.lacks(tag, signal)) ?? false
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

function condition(ifMatch: Digest | null): Readonly<Record<string, string>> {
  return ifMatch === null ? { 'if-none-match': '*' } : { 'if-match': `"${ifMatch}"` }
}
