/**
 * Signatures on images in the three forms that there are: cosign's attachments, which the guest reads, sigstore bundles, and
 * OpenPGP messages in signature stores; and the Rekor log. Making them, storing them without losing another's, reading
 * and verifying them. What was read is `Untrusted…` until a verifier has vouched for it; whether a signature is good
 * enough for an image is decided by the policy, not here.
 */
export { BUNDLE_MEDIA_TYPE, encodeBundle, parseBundle, type UntrustedBundle } from './bundle-format.ts'
export { listBundleReferrers } from './bundle-referrers.ts'
export { COSIGN, signatureTag } from './cosign-format.ts'
export { openDirectorySignatures } from './directory-signatures.ts'
export { type LookasideOptions, openLookaside } from './lookaside.ts'
export { mergeSignatures } from './merge-signatures.ts'
export { OPENPGP_RULES, type OpenPgpRules, type OpenPgpVerifier } from './openpgp-rules.ts'
export {
  type OpenPgpFailure,
  type VerifiedOpenPgp,
  type VerifiedOpenPgpPayload,
  verifyOpenPgpMessage,
} from './openpgp-verify.ts'
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
  toAttachment,
  type UnreadableAttachment,
  type UntrustedAttachment,
} from './read-attachments.ts'
export { type FoundBundle, type ReadBundle, readBundles, type UnreadableBundle } from './read-bundles.ts'
export {
  lookasideOf,
  NO_REGISTRIES_D,
  parseRegistriesD,
  type RegistriesD,
  type RegistriesDFile,
  type SignatureSection,
  usesSigstoreAttachments,
} from './registries-d.ts'
export { type AnnotatedSignature, encodeRekorAnnotation, verifyRekorAnnotation } from './rekor-annotation.ts'
export {
  type LoggedEnvelope,
  type LoggedPayload,
  type OpenRekorOptions,
  openRekor,
  type TransparencyLog,
} from './rekor-client.ts'
export type { RekorEntry, RekorProof } from './rekor-entry.ts'
export { parseRekorKeys, publicRekorKeys, type RekorKeys } from './rekor-keys.ts'
export type { LogFailure, LogFailureName, VerifiedLogEntry } from './rekor-verify.ts'
export { type SignBundleOptions, type SignedBundle, signBundle } from './sign-bundle.ts'
export { type SignDigestOptions, type SignedDigest, signDigest } from './sign-digest.ts'
export {
  findOwn,
  type ImageSigner,
  type StoredSignature,
  signIntoStore,
} from './sign-image.ts'
export { type CosignClaim, type CosignSignature, cosignSigner } from './sign-payload.ts'
export { type MessageSigner, type SimpleClaim, simpleSigner } from './sign-simple.ts'
export { decodeSignatureBlob, encodeSignatureBlob, type SignatureBlob } from './signature-blob.ts'
export {
  addToSignatureImage,
  type DetachedSignatures,
  toSignatureBlobs,
  toSignatureImage,
} from './signature-files.ts'
export type { SignatureStore } from './signature-store.ts'
export { registrySignatureStore } from './signature-store-registry.ts'
export { encodeSimplePayload, parseSimplePayload, type SimplePayloadContent } from './simple-payload.ts'
export { SIGN_PREDICATE_TYPE, type StatementSubject } from './statement.ts'
export {
  type AttachmentFailure,
  type AttachmentRules,
  type VerifiedPayload,
  verifyAttachment,
  wasPayloadChanged,
} from './verify-attachment.ts'
export {
  type BundleFailure,
  type BundleFailureName,
  NOT_CHECKED_BY_COSIGN,
  type VerifiedBundle,
  type VerifyBundleOptions,
  verifyBundle,
} from './verify-bundle.ts'
