import { repositoryName } from '../oci/index.ts'
import type { KeysContext } from './keys-context.ts'
import { PROFILES } from './profiles.ts'
import type { SeenSignature, SignatureFault } from './seen-signature.ts'
import type { Denial, DenialCause, DenialCode } from './verdict.ts'

/** Says why too few of the keys have signed an image; of several faults the one that came nearest to counting. */
export function explainTooFew(context: KeysContext, seen: readonly SeenSignature[], signers: number): Denial {
  const cause = causeOf(context, seen, signers)
  const { texts } = PROFILES.cosign
  // Where there is a bundle, cosign 3 looks at nothing else.
  const isBundle = seen.some(({ kind, fault }) => kind === 'bundle' && fault?.code !== 'unreadable')
  return { cause, verifierText: isBundle ? 'no matching attestations' : (texts[cause.code] ?? texts.any) }
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

function causeOf(context: KeysContext, seen: readonly SeenSignature[], signers: number): DenialCause {
  const { image, requirement } = context
  const fix = signCommand(context)
  if (seen.length === 0) {
    return { code: 'unsigned', message: `The image ${image.digest} has no signature.`, fix }
  }
  if (signers > 0) {
    const message = `Of ${requirement.required} different keys that must have signed ${image.digest}, ${signers} did.`
    return { code: 'too-few-signers', message, fix: `Have it signed with the others, too: ${fix}` }
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

function signCommand({ image: { name, reference, digest } }: KeysContext): string {
  const target = reference === undefined ? name : `${repositoryName(reference)}@${digest}`
  return `cosignet sign --key cosign.key ${target}`
}
