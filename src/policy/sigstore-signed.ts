import { collectBytes, isCosignetError, LIMITS, quote, reasonOf } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import type { Digest } from '../oci/index.ts'
import {
  type Attachments,
  COSIGN,
  parsePayload,
  readAttachments,
  type UntrustedAttachment,
  type UntrustedPayload,
  verifyAttachment,
} from '../signature/index.ts'
import type { JudgedAttachment, RequirementContext } from './context.ts'
import { explainNoneVerifies, explainNoSignatures } from './diagnosis.ts'
import { identityMismatch } from './identity.ts'
import type { Requirement, SignedIdentity } from './policy.ts'
import { loadPolicyKey } from './policy-key.ts'
import { PROFILES } from './profiles.ts'
import { UNREADABLE } from './see-cosign.ts'
import type { Denial, DenialCause } from './verdict.ts'

type SigstoreSigned = Extract<Requirement, { type: 'sigstoreSigned' }>

/** Identity rules with which a cosign signature can be accepted: the requirement always fails with another one. */
const IDENTITY_TYPES: readonly SignedIdentity['type'][] = ['matchRepository', 'exactRepository']

const SIGN_AGAIN = 'Delete the tag of the signature image and sign again with cosignet sign.'

/**
 * Checks a `sigstoreSigned` requirement against the cosign signatures attached to the image (tag `sha256-….sig`), as
 * the guest does; the order follows image-rs `signature/policy/cosign/mod.rs`.
 * @returns undefined if it is met, else the denial.
 * @throws what leaves the decision open.
 */
export async function checkSigstoreSigned(
  context: RequirementContext,
  requirement: SigstoreSigned,
): Promise<Denial | undefined> {
  const cause = await findCause(context, requirement)
  context.trace.push({
    step: 'requirement',
    outcome: cause === undefined ? 'ok' : 'failed',
    message: cause === undefined ? 'sigstoreSigned is met.' : `sigstoreSigned is not met: ${cause.code}.`,
    facts: { type: requirement.type },
  })
  if (cause === undefined) return undefined
  const { texts } = PROFILES[context.profile]
  return { cause, verifierText: texts[cause.code] ?? texts.any }
}

async function findCause(
  context: RequirementContext,
  requirement: SigstoreSigned,
): Promise<DenialCause | undefined> {
  const identity = requirement.signedIdentity
  if (identity !== undefined && !IDENTITY_TYPES.includes(identity.type)) return unsupportedIdentity(identity)

  const loaded = await loadPolicyKey(context, requirement)
  if ('cause' in loaded) return loaded.cause

  const target = signedDigest(context)
  const found = await readSignatures(context, target)
  if (found !== undefined && 'code' in found) return found
  if (found === undefined || found.attachments.length === 0) return explainNoSignatures(context, target)
  context.trace.push({
    step: 'signatures',
    outcome: 'ok',
    message: `${context.source.name} holds ${found.attachments.length} signature(s) under ${target}.`,
    facts: { count: found.attachments.length, digest: target },
  })
  const foreign = found.attachments.find(
    (attachment) => attachment.descriptor.mediaType !== COSIGN.payloadMediaType,
  )
  if (foreign !== undefined) return foreignLayer(foreign.descriptor.mediaType)

  const judged = found.attachments.map((attachment) =>
    judgeAttachment(context, loaded.key, attachment, target),
  )
  const relevant = judged.filter(
    (one) => one.payload?.manifestDigest === target && one.attachment.signature !== undefined,
  )
  if (!relevant.some((one) => one.verified)) return explainNoneVerifies(context, loaded.key, target, judged)
  if (identity === undefined) return undefined
  // Every signature that names this image must also name it rightly, whoever made it.
  const mismatches = relevant.map((one) => mismatchOf(context, identity, one))
  const mismatch = mismatches.find((reason) => reason !== undefined)
  return mismatch === undefined ? undefined : wrongIdentity(identity, mismatch)
}

async function readSignatures(
  context: RequirementContext,
  target: Digest,
): Promise<Attachments | DenialCause | undefined> {
  try {
    const found = await readAttachments(context.source, target, context.signal)
    // The guest pulls the signature image with its configuration, of which it uses nothing.
    if (found?.manifest.content.kind === 'image') {
      const { config } = found.manifest.content
      await collectBytes(
        context.source.getBlob(config, context.signal),
        LIMITS.configBytes,
        'The signature configuration',
      )
    }
    return found
  } catch (error) {
    if (!isCosignetError(error, ...UNREADABLE, 'NOT_FOUND')) throw error
    context.trace.push({
      step: 'signatures',
      outcome: 'failed',
      message: error.message,
      facts: { digest: target },
    })
    return { code: 'signature-image-invalid', message: error.message, fix: SIGN_AGAIN }
  }
}

/** What the guest looks signatures up by: the digest that the reference leads to, the index's where there is one. */
function signedDigest(context: RequirementContext): Digest {
  const { indexDigest, manifestDigest } = context.image
  return indexDigest ?? manifestDigest
}

function judgeAttachment(
  context: RequirementContext,
  key: PublicKey,
  attachment: UntrustedAttachment,
  target: Digest,
): JudgedAttachment {
  const { hash } = PROFILES[context.profile].rules
  const facts = { payload: attachment.descriptor.digest }
  if (!attachment.descriptor.digest.startsWith('sha256:')) {
    const message = `A signature payload is named by ${attachment.descriptor.digest}, not by SHA-256; it does not count.`
    context.trace.push({ step: 'signature', outcome: 'skipped', message, facts })
    return { attachment, payload: undefined, verified: false }
  }
  const payload = tryParsePayload(context, attachment)
  if (typeof payload === 'string') {
    context.trace.push({ step: 'signature', outcome: 'failed', message: payload, facts })
    return { attachment, payload: undefined, verified: false }
  }
  if (payload.manifestDigest !== target) {
    const message = `A signature is of ${quote(payload.manifestDigest)}, not of ${target}; it does not count.`
    context.trace.push({ step: 'signature', outcome: 'skipped', message, facts })
    return { attachment, payload, verified: false }
  }
  const result = verifyAttachment(attachment, key, { hash, stripNewlines: true })
  const verified = !('failure' in result)
  context.trace.push({
    step: 'signature',
    outcome: verified ? 'ok' : 'failed',
    message: verified ? `A signature of ${target} verifies with the key.` : result.message,
    facts: { ...facts, claimedReference: payload.dockerReference },
  })
  return { attachment, payload, verified }
}

function tryParsePayload(
  context: RequirementContext,
  attachment: UntrustedAttachment,
): UntrustedPayload | string {
  try {
    return parsePayload(attachment.payload, PROFILES[context.profile].rules.payloadLists)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_SIGNATURE')) throw error
    return reasonOf(error)
  }
}

function mismatchOf(
  context: RequirementContext,
  identity: SignedIdentity,
  one: JudgedAttachment,
): string | undefined {
  const claimed = one.payload?.dockerReference ?? ''
  const mismatch = identityMismatch(identity, context.image.reference, claimed)
  context.trace.push({
    step: 'identity',
    outcome: mismatch === undefined ? 'ok' : 'failed',
    message:
      mismatch === undefined
        ? `${identity.type} accepts ${quote(claimed)}.`
        : `${identity.type} fails: ${mismatch}.`,
    facts: { type: identity.type, claimedReference: claimed },
  })
  return mismatch
}

function unsupportedIdentity(identity: SignedIdentity): DenialCause {
  return {
    code: 'identity-type-unsupported',
    message: `signedIdentity ${identity.type} never accepts a cosign signature, which names a repository and no tag.`,
    fix: 'Use matchRepository, or exactRepository with the repository that was signed.',
  }
}

function foreignLayer(mediaType: string): DenialCause {
  return {
    code: 'signature-image-invalid',
    message: `The signature image has a layer of the type ${quote(mediaType)}, for which the guest refuses all of it.`,
    fix: SIGN_AGAIN,
  }
}

function wrongIdentity(identity: SignedIdentity, mismatch: string): DenialCause {
  return {
    code: 'identity-mismatch',
    message: `The signature is good, but signedIdentity ${identity.type} is not met: ${mismatch}.`,
    fix: 'Sign the image under the name by which it is pulled, or name the signed repository with exactRepository.',
  }
}
