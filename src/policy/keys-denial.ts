import type { KeysContext } from './keys-context.ts'
import { signFix } from './keys-fix.ts'
import { PROFILES } from './profiles.ts'
import { isSeenByCosign, type SeenSignature, type SignatureFault } from './seen-signature.ts'
import type { Denial, DenialCause, DenialCode } from './verdict.ts'

/**
 * Says why too few of the keys have signed an image; of several faults the one that came nearest to counting.
 * @param signers fingerprints of the keys whose signatures count.
 */
export function explainTooFew(
  context: KeysContext,
  seen: readonly SeenSignature[],
  signers: ReadonlySet<string>,
): Denial {
  const cause = causeOf(context, seen, signers)
  return { cause, verifierText: textOfCosign(seen.filter(isSeenByCosign), cause.code) }
}

function textOfCosign(seen: readonly SeenSignature[], code: DenialCode): string {
  const { texts } = PROFILES.cosign
  if (seen.length === 0) return texts.unsigned ?? texts.any
  // Where there is a bundle, cosign 3 looks at nothing else.
  return seen.some(({ kind }) => kind === 'bundle') ? 'no matching attestations' : (texts[code] ?? texts.any)
}

/** What a fault makes of an image that is signed no better, the nearest to a signature that counts first. */
const CAUSES: readonly (readonly [SignatureFault, DenialCode])[] = [
  ['annotation-mismatch', 'annotation-mismatch'],
  ['not-logged', 'not-logged'],
  ['log-entry-invalid', 'not-logged'],
  ['expired', 'expired'],
  ['other-image', 'other-image'],
  ['payload-changed', 'payload-changed'],
  ['wrong-key', 'wrong-key'],
  ['not-a-signature', 'unsigned'],
  ['unsupported', 'signature-image-invalid'],
  ['no-signature', 'signature-image-invalid'],
  ['unreadable', 'signature-image-invalid'],
]

function causeOf(
  context: KeysContext,
  seen: readonly SeenSignature[],
  signers: ReadonlySet<string>,
): DenialCause {
  const { image, requirement } = context
  const fix = signFix(context, seen, signers)
  if (seen.length === 0) {
    return { code: 'unsigned', message: `The image ${image.digest} has no signature.`, fix }
  }
  if (signers.size > 0) {
    const message = `Of ${requirement.required} different keys that must have signed ${image.digest}, ${signers.size} did.`
    return { code: 'too-few-signers', message, fix }
  }
  for (const [fault, code] of CAUSES) {
    const found = seen.find((signature) => signature.fault?.code === fault)
    if (found?.fault !== undefined) {
      const message = `No signature of the image counts. Of the nearest one: ${found.fault.message}`
      return { code, message, fix }
    }
  }
  return { code: 'signature-image-invalid', message: 'No signature of the image counts.', fix }
}
