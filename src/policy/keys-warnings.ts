import { identityMismatch } from './identity.ts'
import type { KeysContext } from './keys-context.ts'
import { isSeenByCosign, type SeenSignature } from './seen-signature.ts'
import type { TraceStep } from './trace.ts'

/** Warns of what the verdict does not depend on and somebody might think that it does. */
export function warnOfKeys(context: KeysContext, seen: readonly SeenSignature[]): void {
  const warnings = [
    ...(context.requirement.checkClaims ? [] : [claimsUnchecked()]),
    ...bundleWarnings(seen),
    ...seen.flatMap((signature) => otherName(context, signature)),
  ]
  context.trace.push(...warnings)
}

function claimsUnchecked(): TraceStep {
  const message = 'What the signatures are of was not looked at: one of any other image would do.'
  return { step: 'requirement', outcome: 'warning', message }
}

/** Where cosign 3 decides otherwise: it looks at bundles alone where there is one, and not at what they say. */
function bundleWarnings(seen: readonly SeenSignature[]): readonly TraceStep[] {
  const bundles = seen.filter((signature) => signature.kind === 'bundle' && isSeenByCosign(signature))
  const taken = bundles.filter(({ counts, fault }) => counts || fault?.code === 'not-a-signature')
  const warnings = bundles
    .filter(({ fault }) => fault?.code === 'not-a-signature')
    .map(
      ({ location }) => `cosign 3 takes ${location} for a signature: it does not look at what a bundle says.`,
    )
  const isSigned = seen.some(({ kind, counts }) => kind === 'cosign' && counts)
  if (isSigned && bundles.length > 0 && taken.length === 0) {
    warnings.push(
      'cosign 3 refuses this image: where there is a bundle it looks at no other signature, and no bundle here is good.',
    )
  }
  return warnings.map((message) => ({ step: 'signatures', outcome: 'warning', message }))
}

function otherName({ image: { reference } }: KeysContext, { counts, claims }: SeenSignature): TraceStep[] {
  if (!counts || reference === undefined || claims.reference === undefined) return []
  const mismatch = identityMismatch({ type: 'matchRepository' }, reference, claims.reference)
  if (mismatch === undefined) return []
  const message = `A policy with matchRepository would not take a signature that counts: ${mismatch}.`
  return [{ step: 'identity', outcome: 'warning', message, facts: { claimedReference: claims.reference } }]
}
