/**
 * Copying images between registries, layouts, archives and daemons, with everything that refers to them: signatures,
 * attestations, SBOMs. The policy is asked first and the name moves last.
 */

export { type Attached, type AttachedName, attachedName, findAttached } from './attached.ts'
export type { ImageFormat } from './convert-manifest.ts'
export type { BlobCounts } from './copy-blobs.ts'
export {
  type CopiedImage,
  type CopyOptions,
  type CopyTarget,
  copyImage,
  type ImageToCopy,
  type RefusedImage,
} from './copy-image.ts'
export type { CopiedBlob, CopyEvent } from './events.ts'
export { parallel } from './parallel.ts'
export { chooseInstance } from './platform.ts'
export { type SignedSource, withSignatureTags } from './signature-tags.ts'
