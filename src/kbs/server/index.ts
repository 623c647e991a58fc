/**
 * The Key Broker Service itself: it attests guests, keeps resources and releases them to whom its policy lets. An
 * application without a socket; `src/net` serves it. Its parts are replaceable: storage, policy, verifiers, log.
 */
export { createKbs, type Kbs, type KbsOptions } from './app.ts'
export type { TokenClaims } from './ear-token.ts'
export type { KbsEvent, KbsLog } from './events.ts'
export { fileStorage } from './file-storage.ts'
export { memoryStorage } from './memory-storage.ts'
export {
  defaultResourcePolicy,
  insecureSampleResourcePolicy,
  type ResourcePolicy,
  type ResourcePolicyInput,
} from './resource-policy.ts'
export type { KbsStorage, StoredValue } from './storage.ts'
export type { EvidenceVerifier, VerifiedEvidence, VerifierInput, Verifiers } from './verifiers.ts'
