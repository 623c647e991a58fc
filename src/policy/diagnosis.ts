import { isCosignetError, quote } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import { type Digest, repositoryName } from '../oci/index.ts'
import {
  cosignRepositoryName,
  encodePayload,
  listBundleReferrers,
  readAttachments,
  wasPayloadChanged,
} from '../signature/index.ts'
import type { JudgedAttachment, RequirementContext } from './context.ts'
import type { DenialCause } from './verdict.ts'

/**
 * Says why there is no signature to verify: none at all, one on the platform's manifest where the index needs it, or
 * bundles of cosign 3 alone. That there is none is certain; what cannot be found out beyond that is left out.
 */
export async function explainNoSignatures(context: RequirementContext, target: Digest): Promise<DenialCause> {
  const bundles = await unlessItFails(listBundleReferrers(context.source, target, context.signal), [])
  const facts = { count: 0, bundles: bundles.length, digest: target }
  const message = `${context.source.name} holds no signature under ${target}.`
  context.trace.push({ step: 'signatures', outcome: 'failed', message, facts })
  if (bundles.length > 0) return explainBundles(context, target, bundles.length)
  if (context.image.manifestDigest !== target && (await unlessItFails(isPlatformSigned(context), false))) {
    return {
      code: 'unsigned',
      message: `Only the manifest of one platform is signed, ${context.image.manifestDigest}; the index ${target}, which the reference leads to, is not.`,
      fix: signCommand(context, target),
    }
  }
  return {
    code: 'unsigned',
    message: `The image ${target} has no signature.`,
    fix: signCommand(context, target),
  }
}

/** Says why no signature verifies: changed after signing, of another image, or made with another key. */
export function explainNoneVerifies(
  context: RequirementContext,
  key: PublicKey,
  target: Digest,
  judged: readonly JudgedAttachment[],
): DenialCause {
  const expected = encodePayload({
    dockerReference: cosignRepositoryName(context.image.reference),
    manifestDigest: target,
  })
  if (judged.some((one) => wasPayloadChanged(one.attachment, key, expected))) {
    return {
      code: 'payload-changed',
      message: `The signed payload was changed after signing: the signature is good for the payload of ${repositoryName(context.image.reference)} at ${target}, not for the one that is stored.`,
      fix: `Find out who can write to the repository, then sign again: ${signCommand(context, target)}`,
    }
  }
  const others = judged.flatMap((one) => (one.payload === undefined ? [] : [one.payload.manifestDigest]))
  if (others.length === 0) {
    return {
      code: 'signature-image-invalid',
      message: 'No signature has a payload that can be read.',
      fix: `Sign again: ${signCommand(context, target)}`,
    }
  }
  const [other] = others
  if (other !== undefined && !others.some((digest) => digest === target)) {
    return {
      code: 'other-image',
      message: `The signature is of another image: it names ${quote(other)}, and this is ${target}.`,
      fix: signCommand(context, target),
    }
  }
  return {
    code: 'wrong-key',
    message: `None of ${judged.length} signature(s) verifies with the key of the policy (fingerprint ${key.fingerprint}).`,
    fix: `Sign with the private key that belongs to it, or register the public key of who signed: ${signCommand(context, target)}`,
  }
}

async function isPlatformSigned(context: RequirementContext): Promise<boolean> {
  const found = await readAttachments(context.source, context.image.manifestDigest, context.signal)
  return found !== undefined && found.attachments.length > 0
}

async function unlessItFails<T>(finding: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await finding
  } catch (error) {
    if (isCosignetError(error) && error.code !== 'ABORTED') return otherwise
    throw error
  }
}

function explainBundles(context: RequirementContext, target: Digest, count: number): DenialCause {
  return {
    code: 'bundle-only',
    message: `The image has ${count} signature(s) in the bundle format that cosign 3 writes by default, which the guest does not read, and none in the format that it reads.`,
    fix: `${signCommand(context, target)} (with cosign 3: cosign sign --new-bundle-format=false --use-signing-config=false --tlog-upload=false --key cosign.key …)`,
  }
}

function signCommand(context: RequirementContext, target: Digest): string {
  return `cosignet sign --key cosign.key ${repositoryName(context.image.reference)}@${target}`
}
