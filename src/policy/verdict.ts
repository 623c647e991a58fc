import type { Digest } from '../oci/index.ts'
import type { SeenSignature } from './seen-signature.ts'
import type { TraceStep } from './trace.ts'

/** Whose rules a verdict follows. */
export type ProfileName = 'guest' | 'cosign'

/** Why an image is denied; stable names. */
export type DenialCode =
  | 'rejected-by-policy'
  | 'no-requirements'
  | 'policy-invalid'
  | 'policy-missing'
  | 'identity-type-unsupported'
  | 'key-source-invalid'
  | 'key-missing'
  | 'key-invalid'
  | 'unsigned'
  | 'bundle-only'
  | 'signature-image-invalid'
  | 'other-image'
  | 'wrong-key'
  | 'payload-changed'
  | 'identity-mismatch'
  | 'annotation-mismatch'
  | 'not-logged'
  | 'expired'
  | 'too-few-signers'
  | 'image-missing'
  | 'image-invalid'
  | 'platform-missing'
  | 'layer-invalid'
  | 'registry-plain-http'
  | 'registry-untrusted'
  | 'registry-refused'
  | 'guest-config-invalid'

/** The true cause of a denial, and what to do about it. */
export interface DenialCause {
  readonly code: DenialCode
  /** One sentence, with the values that matter. */
  readonly message: string
  /** What fixes it, with the command where there is one; never a looser policy. */
  readonly fix: string
}

/** Which image was judged. */
export interface JudgedImage {
  /** As it was asked for, normalised. */
  readonly reference: string
  /** Digest of the index, if the reference leads to one. */
  readonly indexDigest?: Digest
  /** Digest of the image manifest (of the guest's platform). */
  readonly manifestDigest?: Digest
}

interface VerdictBase {
  /** Version of this shape; `schemas/verdict-v1.schema.json` describes it. */
  readonly apiVersion: 'cosignet/v1'
  readonly kind: 'Verdict'
  readonly profile: ProfileName
  readonly image: JudgedImage
  readonly trace: readonly TraceStep[]
  /** Every signature that was looked at, where keys are asked for and no policy. */
  readonly signatures?: readonly SeenSignature[]
}

export interface AllowedVerdict extends VerdictBase {
  readonly outcome: 'allowed'
}

export interface DeniedVerdict extends VerdictBase {
  readonly outcome: 'denied'
  readonly cause: DenialCause
  /** What the verifier that the profile stands for prints; for the guest, the line that the Pod shows. */
  readonly verifierText: string
}

/** The one answer of the core: allowed or denied, and how it came to it. What could not be decided is thrown. */
export type Verdict = AllowedVerdict | DeniedVerdict

/** A denial before it is wrapped into a verdict: the cause, and what the verifier prints. */
export interface Denial {
  readonly cause: DenialCause
  readonly verifierText: string
}

/** Makes the verdict from what was found: denied if there is a denial, else allowed. */
export function toVerdict(
  profile: ProfileName,
  image: JudgedImage,
  trace: readonly TraceStep[],
  denial: Denial | undefined,
  signatures?: readonly SeenSignature[],
): Verdict {
  const seen = signatures === undefined ? {} : { signatures }
  const base = { apiVersion: 'cosignet/v1', kind: 'Verdict', profile, image, ...seen } as const
  if (denial === undefined) {
    const decision: TraceStep = { step: 'decision', outcome: 'ok', message: 'The image is allowed.' }
    return { ...base, outcome: 'allowed', trace: [...trace, decision] }
  }
  const decision: TraceStep = { step: 'decision', outcome: 'failed', message: denial.cause.message }
  return { ...base, outcome: 'denied', ...denial, trace: [...trace, decision] }
}
