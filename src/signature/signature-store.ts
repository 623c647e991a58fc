import type { Digest } from '../oci/index.ts'

/**
 * A place beside an image where containers/image looks for signatures of the kind "simple signing": a lookaside store, a
 * registry with the X-Registry-Supports-Signatures extension, a `dir:` image. A signature is one blob in the framing
 * of `encodeSignatureBlob`; nothing in it is parsed or verified here.
 */
export interface SignatureStore {
  /** What this is, for messages: a repository, a URL or a path. */
  readonly name: string

  /**
   * Signatures beside a manifest, in the order of the store; empty if there are none.
   * @throws FILE, TOO_LARGE, BAD_RESPONSE, UNAUTHORIZED, FORBIDDEN, UNAVAILABLE, TIMEOUT, ABORTED
   */
  list(digest: Digest, signal?: AbortSignal): Promise<readonly Uint8Array[]>

  /**
   * Adds those signatures that are not there byte for byte; what is there stays, in its order, also what others add
   * at the same time. A registry must have the manifest already.
   * @throws UNSUPPORTED as `checkWritable`, or for a kind of signature that the store does not hold; and as `list`
   */
  add(digest: Digest, signatures: readonly Uint8Array[], signal?: AbortSignal): Promise<void>

  /**
   * Finds out, before anything else is done, whether the store is one to write to; what the file system or the
   * registry then says to it is not known yet.
   * @returns where `add` puts signatures, to show to people: a repository, a URL or a path.
   * @throws UNSUPPORTED if it is for reading; UNAVAILABLE, TIMEOUT, ABORTED
   */
  checkWritable(signal?: AbortSignal): Promise<string>
}
