import { encodeUtf8 } from '../core/index.ts'
import type { Digest, ImageLocation } from '../oci/index.ts'
import { COSIGN, type SignatureBlob } from '../signature/index.ts'
import type { SignSubject } from './sign-subject.ts'

/** A signature that was made, or that was there. */
export interface MadeSignature {
  readonly form: 'cosign' | 'bundle' | 'simple'
  /** Manifest that was signed. */
  readonly digest: Digest
  readonly alreadySigned: boolean
  /** Digest of the manifest that holds the signature; undefined where a file does, or nothing. */
  readonly signature?: Digest
  /** Where the store is that keeps a simple signature: a repository, a URL or a folder; undefined where none took it. */
  readonly store?: string
  /** What `--output-signature` and `--output-bundle` write and `--upload=false` prints. */
  readonly content: Uint8Array
  /** What was signed, where it can be had alone. */
  readonly payload?: Uint8Array
}

/** Signs images in one form, and stores the signatures unless it was told not to. */
export interface SignForm {
  /**
   * Says what stands against signing an image at this place, before anything is looked up.
   * @throws USAGE if the image has no name; UNSUPPORTED if it has no place for signatures of this form
   */
  check(location: ImageLocation): void
  /** Signs all manifests of an image. @throws as `check`, and what the key and the store throw */
  sign(subject: SignSubject, signal: AbortSignal): Promise<readonly MadeSignature[]>
}

/** What there is to print and write of a signature: that of cosign as it prints it, an OpenPGP message as it is. */
export function contentOf(blob: SignatureBlob): { content: Uint8Array; payload?: Uint8Array } {
  if (blob.kind === 'openpgp') return { content: blob.bytes }
  return { content: encodeUtf8(blob.annotations[COSIGN.signature] ?? ''), payload: blob.payload }
}
