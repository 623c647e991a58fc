import { isCosignetError } from '../core/index.ts'
import type { EvaluateKeysOptions, KeysContext } from './keys-context.ts'
import { explainTooFew } from './keys-denial.ts'
import { checkRequired, fingerprintsOf, type TrustedKey } from './keys-requirement.ts'
import { warnOfKeys } from './keys-warnings.ts'
import { seeBundles } from './see-bundles.ts'
import { seeCosignSignatures } from './see-cosign.ts'
import { seeStoredSignatures } from './see-stored.ts'
import type { SeenSignature, Sighting } from './seen-signature.ts'
import { checkUsableKeys } from './usable-key.ts'
import { toVerdict, type Verdict } from './verdict.ts'

/**
 * Decides whether enough different keys have signed an image: the requirement that `verify --key` compiles to. Every
 * signature is judged for itself, so that none can hide another, whatever is wrong with it. Which repository it names
 * does not matter, as for `cosign verify --key`.
 *
 * Signatures are looked for where the keys that are given put theirs; where too few are found, also elsewhere, mostly
 * to say why: a place that cannot be reached does not matter there.
 * @throws USAGE for a number of keys that are not given; INVALID_KEY for a key that cosign cannot read; TOO_LARGE for
 * more signatures than `LIMITS` allow; and what `source` and the signature store throw because they cannot be reached.
 */
export async function evaluateKeys(options: EvaluateKeysOptions): Promise<Verdict> {
  const { requirement, image } = options
  checkRequired(requirement)
  checkUsableKeys(requirement.keys)
  const context: KeysContext = { ...options, trace: [] }
  describeKeys(context)
  const [likely, others] = placesFor(context)
  const seen = tell(context, await Promise.all(likely.map((see) => see(context))))
  const isEnough = signersOf(seen).size >= requirement.required
  const all = isEnough ? seen : [...seen, ...tell(context, await seeIfPossible(context, others))]
  const signers = signersOf(all)
  const isMet = signers.size >= requirement.required
  warnOfKeys(context, all)
  const given = fingerprintsOf(requirement.keys).size
  context.trace.push({
    step: 'requirement',
    outcome: isMet ? 'ok' : 'failed',
    message: `${signers.size} of ${given} key(s) signed the image, and ${requirement.required} must have.`,
    facts: { signers: signers.size, required: requirement.required, keys: given },
  })
  const denial = isMet ? undefined : explainTooFew(context, all, signers)
  const judged = { reference: image.name, manifestDigest: image.digest }
  return toVerdict('cosign', judged, context.trace, denial, all)
}

/** Fingerprints of the keys whose signatures count. */
function signersOf(seen: readonly SeenSignature[]): ReadonlySet<string> {
  return new Set(
    seen.flatMap(({ counts, signer }) => (counts && signer !== undefined ? [signer.fingerprint] : [])),
  )
}

type Place = (context: KeysContext) => Promise<Sighting>

function tell({ trace }: KeysContext, sightings: readonly Sighting[]): readonly SeenSignature[] {
  trace.push(...sightings.map(({ step }) => step))
  return sightings.flatMap(({ seen }) => seen)
}

/** Where signatures of the keys can be, and where they cannot. A store that costs no request is always looked into. */
function placesFor({ requirement, source }: KeysContext): readonly [readonly Place[], readonly Place[]] {
  const has = (kind: TrustedKey['kind']): boolean => requirement.keys.some((trusted) => trusted.kind === kind)
  const places: readonly (readonly [Place, boolean])[] = [
    [seeCosignSignatures, has('cosign')],
    [seeBundles, has('cosign')],
    [seeStoredSignatures, has('openpgp') || source.listSignatures !== undefined],
  ]
  const those = (likely: boolean): readonly Place[] =>
    places.flatMap(([see, isLikely]) => (isLikely === likely ? [see] : []))
  return [those(true), those(false)]
}

/**
 * Signatures where `cosign verify --key` or gpg would not look, to say why there are too few. A place that cannot be
 * reached changes nothing in that, so the image stays denied.
 */
async function seeIfPossible(context: KeysContext, places: readonly Place[]): Promise<readonly Sighting[]> {
  const found = places.map(async (see) => {
    try {
      return [await see(context)]
    } catch (error) {
      if (isCosignetError(error) && error.code !== 'ABORTED') return []
      throw error
    }
  })
  return (await Promise.all(found)).flat()
}

function describeKeys({ requirement: { keys }, trace }: KeysContext): void {
  for (const trusted of keys) {
    const described =
      trusted.kind === 'cosign'
        ? [{ algorithm: trusted.key.algorithm, fingerprint: trusted.key.fingerprint }]
        : trusted.keys.map(({ fingerprint, algorithmName }) => ({
            algorithm: `OpenPGP ${algorithmName}`,
            fingerprint,
          }))
    for (const { algorithm, fingerprint } of described) {
      trace.push({
        step: 'key',
        outcome: 'ok',
        message: `${trusted.name} is an ${algorithm} key with the fingerprint ${fingerprint}.`,
        facts: { algorithm, fingerprint },
      })
    }
  }
}
