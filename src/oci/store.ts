import type { Digest } from './digest.ts'
import type { Descriptor, Manifest } from './manifest.ts'

/** Where an image is read from, one repository or layout: a registry, an OCI layout, an archive. */
export interface ImageSource {
  /** What this is, for messages: `ghcr.io/a/b`, `oci:/path`. */
  readonly name: string

  /**
   * Reads a manifest by tag or digest. The bytes have the digest that was asked for; by tag, they have the digest that
   * the source announced, if it announced one.
   * @throws NOT_FOUND, DIGEST_MISMATCH, INVALID_MANIFEST, UNAUTHORIZED, UNAVAILABLE, TIMEOUT
   */
  getManifest(tagOrDigest: string | Digest, signal?: AbortSignal): Promise<Manifest>

  /**
   * Streams a blob. The stream fails with DIGEST_MISMATCH at its end, or as soon as it is longer than `size`: who has
   * read it whole without an error has the right bytes.
   * @throws NOT_FOUND, DIGEST_MISMATCH, UNAUTHORIZED, UNAVAILABLE, TIMEOUT
   */
  getBlob(descriptor: Pick<Descriptor, 'digest' | 'size'>, signal?: AbortSignal): AsyncIterable<Uint8Array>

  /** Manifests whose `subject` is `digest`, as their descriptors; empty where there are none. */
  listReferrers(digest: Digest, signal?: AbortSignal): Promise<readonly Descriptor[]>
}

/** Where an image is written to. */
export interface ImageDestination {
  readonly name: string

  /**
   * Stores a blob, unless it is there already; nothing is left under the digest unless all of it arrived and matches.
   * @param content bytes, or a function that opens the stream again for a retry.
   */
  putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
    signal?: AbortSignal,
  ): Promise<void>

  /**
   * Stores a manifest under its digest, and under `tag` if one is given.
   * @param options.ifMatch only where the tag still points to this digest; `null`: only where there is no such tag.
   * @throws CONFLICT if the condition does not hold.
   */
  putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options?: { readonly tag?: string; readonly ifMatch?: Digest | null; readonly signal?: AbortSignal },
  ): Promise<void>
}
