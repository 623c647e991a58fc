/**
 * Signatures on images in the format of cosign that the guest reads: payloads, the signature image beside an image,
 * verification by key, signing. What was read is `Untrusted…` until `verifyAttachment` has vouched for it; whether a
 * signature is good enough for an image is decided by the policy, not here.
 */
export { listBundleReferrers } from './bundle-referrers.ts'
export { COSIGN, signatureTag } from './cosign-format.ts'
export { openDirectorySignatures } from './directory-signatures.ts'
export { type LookasideOptions, openLookaside } from './lookaside.ts'
export { mergeSignatures } from './merge-signatures.ts'
export {
  cosignRepositoryName,
  encodePayload,
  type PayloadContent,
  parsePayload,
  type UntrustedOptional,
  type UntrustedPayload,
} from './payload.ts'
export {
  type Attachments,
  readAttachments,
  readEachAttachment,
  readTagged,
  type UnreadableAttachment,
  type UntrustedAttachment,
} from './read-attachments.ts'
export {
  lookasideOf,
  NO_REGISTRIES_D,
  parseRegistriesD,
  type RegistriesD,
  type RegistriesDFile,
  type SignatureSection,
  usesSigstoreAttachments,
} from './registries-d.ts'
export { type SignDigestOptions, type SignedDigest, signDigest } from './sign-digest.ts'
export { decodeSignatureBlob, encodeSignatureBlob, type SignatureBlob } from './signature-blob.ts'
export { type DetachedSignatures, toSignatureBlobs, toSignatureImage } from './signature-files.ts'
export type { SignatureStore } from './signature-store.ts'
export { registrySignatureStore } from './signature-store-registry.ts'
export {
  type AttachmentFailure,
  type AttachmentRules,
  type VerifiedPayload,
  verifyAttachment,
  wasPayloadChanged,
} from './verify-attachment.ts'
