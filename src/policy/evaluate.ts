import { CosignetError } from '../core/index.ts'
import { formatReference } from '../oci/index.ts'
import type { EvaluateOptions, ImageToJudge, RequirementContext } from './context.ts'
import type { Requirement } from './policy.ts'
import { findScope } from './scopes.ts'
import { checkSigstoreSigned } from './sigstore-signed.ts'
import { type Denial, type JudgedImage, toVerdict, type Verdict } from './verdict.ts'

/**
 * Decides whether a policy lets an image run. Requirements are an AND; the first that fails denies.
 * @throws what leaves the decision open: UNSUPPORTED for a kind of signature that is not judged here, and whatever the
 * source or the resource provider throw because they cannot be reached.
 */
export async function evaluatePolicy(options: EvaluateOptions): Promise<Verdict> {
  const context: RequirementContext = { ...options, trace: [] }
  const denial = await findDenial(context)
  return toVerdict(options.profile, judged(options.image), context.trace, denial)
}

/** The part of a verdict that names the image. */
export function judged(image: ImageToJudge): JudgedImage {
  return {
    reference: formatReference(image.reference),
    ...(image.indexDigest === undefined ? {} : { indexDigest: image.indexDigest }),
    manifestDigest: image.manifestDigest,
  }
}

async function findDenial(context: RequirementContext): Promise<Denial | undefined> {
  const { scope, requirements } = findScope(context.policy, context.image.reference)
  const place = scope === undefined ? "the policy's default" : `scope "${scope}" of transport docker`
  context.trace.push({
    step: 'scope',
    outcome: 'ok',
    message: `The image falls under ${place}, which has ${requirements.length} requirement(s).`,
    facts: { requirements: requirements.length, ...(scope === undefined ? { default: true } : { scope }) },
  })
  if (requirements.length === 0) {
    const message = `There is nothing to meet in ${place}: an empty list accepts every image.`
    context.trace.push({ step: 'requirement', outcome: 'warning', message })
  }
  for (const requirement of requirements) {
    const denial = await checkRequirement(context, requirement, place)
    if (denial !== undefined) return denial
  }
  return undefined
}

async function checkRequirement(
  context: RequirementContext,
  requirement: Requirement,
  place: string,
): Promise<Denial | undefined> {
  switch (requirement.type) {
    case 'insecureAcceptAnything':
      context.trace.push({
        step: 'requirement',
        outcome: 'warning',
        message: `insecureAcceptAnything in ${place} accepts every image, signed or not.`,
        facts: { type: requirement.type },
      })
      return undefined
    case 'reject':
      return rejected(context, place)
    case 'sigstoreSigned':
      return checkSigstoreSigned(context, requirement)
    case 'signedBy':
      throw new CosignetError(
        'UNSUPPORTED',
        `The requirement signedBy (OpenPGP) in ${place} cannot be judged yet.`,
        {
          hint: 'Sign with a cosign key and use sigstoreSigned, or ask the guest itself.',
        },
      )
  }
}

function rejected(context: RequirementContext, place: string): Denial {
  const name = formatReference(context.image.reference)
  context.trace.push({
    step: 'requirement',
    outcome: 'failed',
    message: `reject in ${place} refuses every image.`,
    facts: { type: 'reject' },
  })
  return {
    cause: {
      code: 'rejected-by-policy',
      message: `The policy has no scope for ${name} but ${place}, which rejects.`,
      fix: `Add a scope for the image's repository with a sigstoreSigned requirement: cosignet register --key cosign.pub ${name}`,
    },
    verifierText: `Denied by policy: Policy \`reject\` rejects image ${name}`,
  }
}
