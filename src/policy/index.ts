/**
 * The verdict. A containers-policy.json is parsed, the scope that covers an image found, its requirements checked
 * against the signatures by the rules of a profile, and the outcome given as one value: allowed or denied, with every
 * step that led to it. Nothing else decides whether an image is good.
 */
export type { EvaluateOptions, ImageToJudge } from './context.ts'
export { createPolicy } from './create-policy.ts'
export { evaluatePolicy, judged } from './evaluate.ts'
export { evaluateKeys } from './evaluate-keys.ts'
export { identityMismatch } from './identity.ts'
export type { EvaluateKeysOptions } from './keys-context.ts'
export type { KeysRequirement, TrustedKey } from './keys-requirement.ts'
export { parsePolicy } from './parse-policy.ts'
export type { KeyFields, Policy, Requirement, Scopes, SignedIdentity } from './policy.ts'
export { PROFILES, type Profile, type ProfileRules } from './profiles.ts'
export {
  parseResourceLocation,
  type ResourceAnswer,
  type ResourceLocation,
  type ResourceProvider,
} from './resources.ts'
export { findScope, type ScopeMatch, scopesOf } from './scopes.ts'
export {
  isSeenByCosign,
  type SeenSignature,
  type SignatureClaims,
  type SignatureFault,
  type SignatureKind,
  type SignatureTime,
  type Signer,
} from './seen-signature.ts'
export { type ReadFactsOptions, readSignatureFacts } from './signature-facts.ts'
export type { StepName, TraceStep } from './trace.ts'
export {
  type AllowedVerdict,
  type Denial,
  type DenialCause,
  type DenialCode,
  type DeniedVerdict,
  type JudgedImage,
  type ProfileName,
  toVerdict,
  type Verdict,
} from './verdict.ts'
export { type SignedManifests, VERIFIERS, type Verifier } from './verifiers.ts'
export { type SignatureFact, type SignedImage, type VerifierAnswer, whoCanVerify } from './who-can-verify.ts'
