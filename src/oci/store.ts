import type { Digest } from './digest.ts'
import type { Descriptor, Manifest } from './manifest.ts'

/** Where an image is read from, one repository or layout: a registry, an OCI layout, an archive. */
export interface ImageSource {
  /** What this is, for messages: `ghcr.io/a/b`, `oci:/path`. */
  readonly name: string

  /**
   * Whether its manifests are made here from what the store keeps (docker-archive:, docker-daemon:): nobody else knows
   * their digests, so a copy may compress the layers. Default: false, what is read is what was pushed.
   */
  readonly makesManifests?: boolean

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

  /**
   * Signatures that the store keeps in files of their own beside a manifest (`dir:`), each as one blob in the framing
   * of containers/image (raw OpenPGP, or `\0sigstore-json\n` and JSON), unverified and not parsed. A store without
   * such files does not have the method.
   * @throws FILE, TOO_LARGE
   */
  listSignatures?(digest: Digest, signal?: AbortSignal): Promise<readonly Uint8Array[]>
}

/** What putting a blob came to: sent whole, there already, or taken from another repository of the same registry. */
export type BlobOutcome = 'written' | 'present' | 'mounted'

/** What a destination can hold. */
export interface DestinationRules {
  /** Media types of manifests that it takes. Among those of a kind, the first is what others are converted to. */
  readonly manifests: readonly string[]
  /** Format that images get here where no signature and no wish of the caller's binds them to their digest. */
  readonly prefers?: 'oci' | 'v2s2'
  /** Whether it keeps tags and referrers beside the image (signatures, SBOMs, attestations). */
  readonly attached: boolean
  /** Whether a copy compresses plain layers for it, where the manifest is not anybody's yet. */
  readonly compressed: boolean
}

/** Where an image is written to. */
export interface ImageDestination {
  readonly name: string
  readonly rules: DestinationRules

  /**
   * Stores a blob, unless it is there already; nothing is left under the digest unless all of it arrived and matches.
   * @param content bytes, or a function that opens the stream again for a retry.
   */
  putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'> & Partial<Pick<Descriptor, 'mediaType'>>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
    signal?: AbortSignal,
  ): Promise<BlobOutcome>

  /**
   * Stores a manifest under its digest, and under `tag` if one is given.
   * @param options.ifMatch only where the tag still points to this digest; `null`: only where there is no such tag.
   * @throws CONFLICT if the condition does not hold.
   */
  putManifest(
    manifest: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options?: { readonly tag?: string; readonly ifMatch?: Digest | null; readonly signal?: AbortSignal },
  ): Promise<void>

  /**
   * Stores signatures in files beside a manifest, in place of those that are there; in the framing of `listSignatures`.
   * Only a store that keeps them so (`dir:`) has the method.
   */
  putSignatures?(digest: Digest, signatures: readonly Uint8Array[]): Promise<void>
}

/** A destination whose content gets its final name at the end, all at once. */
export interface StagedDestination extends ImageDestination {
  /** Gives what was put its final name, synced. Nothing may be put afterwards. @throws FILE, and as the store says */
  commit(signal?: AbortSignal): Promise<void>
  /** Drops what was put since the start; what was there before is as it was. Does nothing after `commit`. */
  abort(): Promise<void>
}
