import type { Digest, ImageSource, Reference } from '../oci/index.ts'
import type { UntrustedAttachment, UntrustedPayload } from '../signature/index.ts'
import type { Policy } from './policy.ts'
import type { ResourceProvider } from './resources.ts'
import type { TraceStep } from './trace.ts'
import type { ProfileName } from './verdict.ts'

/** An image whose manifest was read and has the digest that it was asked by. */
export interface ImageToJudge {
  /** As it is asked for, normalised. */
  readonly reference: Reference
  /** Digest of the image manifest (of the guest's platform). */
  readonly manifestDigest: Digest
  /** Digest of the index through which the manifest was found, if there is one. */
  readonly indexDigest?: Digest
}

export interface EvaluateOptions {
  readonly policy: Policy
  /** Whose rules are followed, of those who read such policies. */
  readonly profile: Exclude<ProfileName, 'cosign'>
  readonly image: ImageToJudge
  /** The image's repository; signatures are read from it. */
  readonly source: ImageSource
  /** Fetches the keys that the policy names. */
  readonly resources: ResourceProvider
  readonly signal?: AbortSignal
}

/** What a requirement is checked with. */
export interface RequirementContext extends EvaluateOptions {
  readonly trace: TraceStep[]
}

/** A signature and what was found out about it. */
export interface JudgedAttachment {
  readonly attachment: UntrustedAttachment
  /** Undefined if it cannot be parsed. Not verified unless `verified` says so. */
  readonly payload: UntrustedPayload | undefined
  readonly verified: boolean
}
