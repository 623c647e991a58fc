import type { BlobOutcome, Digest } from '../oci/index.ts'

/** What a blob is to the image. */
export type BlobRole = 'config' | 'layer' | 'attached'

/** What happens while an image is copied. */
export type CopyEvent =
  | { readonly kind: 'blob-started'; readonly blob: CopiedBlob }
  /** Bytes of the blob that have been read so far; less than before where it is sent again. */
  | { readonly kind: 'blob-progress'; readonly blob: CopiedBlob; readonly bytes: number }
  | {
      readonly kind: 'blob-done'
      readonly blob: CopiedBlob
      /** `left`: a foreign layer that the source does not hold either. */
      readonly outcome: BlobOutcome | 'left'
    }
  | { readonly kind: 'manifest'; readonly digest: Digest; readonly tag?: string }

export interface CopiedBlob {
  readonly digest: Digest
  /** Bytes. */
  readonly size: number
  readonly mediaType: string
  readonly role: BlobRole
}
