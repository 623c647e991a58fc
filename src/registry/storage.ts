import { LIMITS } from '../core/index.ts'
import type { Digest } from '../oci/index.ts'

/** A manifest as it was pushed. */
export interface StoredManifest {
  readonly mediaType: string
  readonly bytes: Uint8Array
}

/** Part of a blob: offsets in bytes, both included. */
export interface ByteRange {
  readonly first: number
  readonly last: number
}

/**
 * What adding a signature came to: `present` if it is there already under its id; nothing is changed if the id is
 * `taken` by another, or there is no more room beside the manifest (`full`).
 */
export type SignatureOutcome = 'added' | 'present' | 'taken' | 'full'

/** Whether a signature is to be added to those that are there; `added`: it is. */
export function judgeSignature(
  present: ReadonlyMap<string, Uint8Array>,
  id: string,
  signature: Uint8Array,
): SignatureOutcome {
  const same = present.get(id)
  if (same !== undefined) return Buffer.compare(same, signature) === 0 ? 'present' : 'taken'
  const sizes = [...present.values(), signature].map(({ byteLength }) => byteLength)
  const bytes = sizes.reduce((sum, size) => sum + size, 0)
  return sizes.length > LIMITS.signatures || bytes > LIMITS.registrySignaturesBytes ? 'full' : 'added'
}

/**
 * Where a registry keeps its content. Everything belongs to one repository: a blob in one is not to be had through
 * another unless it was mounted there. Callers pass repository names, tags and upload ids that they have validated;
 * digests are so by their type. What was stored is there after a crash once the promise has resolved.
 */
export interface RegistryStorage {
  /** Whether anything was ever stored in the repository. */
  hasRepository(repository: string): Promise<boolean>

  /** Size of a blob in bytes; undefined if it is not there. */
  blobSize(repository: string, digest: Digest): Promise<number | undefined>
  /** Streams a blob or a part of it that lies within its size. Fails if the blob is not there. */
  readBlob(repository: string, digest: Digest, range?: ByteRange): AsyncIterable<Uint8Array>
  /** Makes a blob of another repository one of this; false if it is not there, or the storage cannot. */
  mountBlob(from: string, repository: string, digest: Digest): Promise<boolean>
  /** Removes a blob from this repository; false if it was not there. */
  deleteBlob(repository: string, digest: Digest): Promise<boolean>

  /** Starts an upload and returns its id, a UUID. @throws UNAVAILABLE if too many are being written to */
  startUpload(repository: string): Promise<string>
  /** Bytes received so far; undefined if there is no such upload. */
  uploadSize(repository: string, id: string): Promise<number | undefined>
  /**
   * Appends to an upload and returns its new size. What arrived before a failure of `content` stays.
   * @param offset the size that the caller takes the upload to have; undefined appends wherever it ends.
   * @throws NOT_FOUND; CONFLICT if the size is another or the upload is being written to; TOO_LARGE
   */
  appendUpload(
    repository: string,
    id: string,
    content: AsyncIterable<Uint8Array>,
    offset?: number,
  ): Promise<number>
  /** Turns an upload into a blob; it is gone in any case. @throws NOT_FOUND, CONFLICT, DIGEST_MISMATCH */
  finishUpload(repository: string, id: string, digest: Digest): Promise<void>
  /** Drops an upload; false if there was none. @throws CONFLICT if it is being written to */
  cancelUpload(repository: string, id: string): Promise<boolean>

  /** Reads a manifest; undefined if it is not there. */
  getManifest(repository: string, digest: Digest): Promise<StoredManifest | undefined>
  /** Whether a manifest is there. */
  hasManifest(repository: string, digest: Digest): Promise<boolean>
  /** Stores a manifest under its digest, and as a referrer of `subject` if it has one. */
  putManifest(repository: string, digest: Digest, manifest: StoredManifest, subject?: Digest): Promise<void>
  /** Removes a manifest, its signatures, and itself as a referrer of `subject`; false if it was not there. */
  deleteManifest(repository: string, digest: Digest, subject?: Digest): Promise<boolean>
  /** Digests of what was stored as a referrer of `subject`, in any order; some may be gone. */
  listReferrers(repository: string, subject: Digest): Promise<readonly Digest[]>

  /** OpenPGP signatures beside a manifest, by their ids, in any order. */
  listSignatures(repository: string, digest: Digest): Promise<ReadonlyMap<string, Uint8Array>>
  /** Adds a signature beside a manifest; see `judgeSignature` for what is not added. Callers have validated the id. */
  addSignature(
    repository: string,
    digest: Digest,
    id: string,
    signature: Uint8Array,
  ): Promise<SignatureOutcome>

  /** Digest that a tag points to; undefined if there is no such tag. */
  getTag(repository: string, tag: string): Promise<Digest | undefined>
  /**
   * Moves a tag if it points to `expected` (undefined: if there is no such tag); `next` undefined removes it.
   * @returns false, with nothing changed, if it points elsewhere.
   */
  compareAndSetTag(
    repository: string,
    tag: string,
    expected: Digest | undefined,
    next: Digest | undefined,
  ): Promise<boolean>
  /** All tags, in any order. */
  listTags(repository: string): Promise<readonly string[]>

  /** Lets go of what it holds of the system; no other call may follow. */
  close(): Promise<void>
}
