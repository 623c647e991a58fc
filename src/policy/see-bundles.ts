import {
  type BundleFailureName,
  type FoundBundle,
  readBundles,
  type UntrustedBundle,
  type VerifiedBundle,
  verifyBundle,
} from '../signature/index.ts'
import { CLAIMS_UNCHECKED } from './claims.ts'
import type { KeysContext } from './keys-context.ts'
import { type CosignKey, cosignKeysOf } from './keys-requirement.ts'
import {
  type Fault,
  type SeenSignature,
  type Sighting,
  type SignatureClaims,
  type SignatureFault,
  type SignatureTime,
  type Signer,
  sighting,
  unreadable,
} from './seen-signature.ts'
import { signatureTime } from './signature-time.ts'

/**
 * Finds and judges the sigstore bundles that refer to an image, each for itself, as cosign 3 does and by what it leaves
 * out, see `verifyBundle`.
 * @throws as `readBundles`
 */
export async function seeBundles(context: KeysContext): Promise<Sighting> {
  const { source, image, signal } = context
  const found = await readBundles(source, image.digest, signal)
  const message = `${source.name} holds ${found.length} bundle(s) that refer to ${image.digest}.`
  return sighting(
    message,
    found.map((one) => judgeBundle(context, one)),
  )
}

function judgeBundle(context: KeysContext, found: FoundBundle): SeenSignature {
  const { referrer } = found
  const location = `${context.source.name}@${referrer}`
  if ('failure' in found) return unreadable('bundle', location, found.message, referrer)
  const { signer, fault, subject, loggedAt } = judge(context, found.bundle)
  const time = timeOf(found.bundle, loggedAt)
  return {
    kind: 'bundle',
    location,
    digest: referrer,
    ...(signer === undefined ? {} : { signer }),
    ...(time === undefined ? {} : { time }),
    claims: subject === undefined ? {} : claimsOf(context, subject),
    ...(fault === undefined ? { counts: true } : { counts: false, fault }),
  }
}

interface Judgement {
  readonly signer?: Signer
  readonly fault?: Fault
  readonly subject?: VerifiedBundle['subject']
  readonly loggedAt?: Date | undefined
}

function judge({ requirement, image }: KeysContext, bundle: UntrustedBundle): Judgement {
  const { rekorKeys, annotations, checkClaims } = requirement
  if (!checkClaims) return { fault: CLAIMS_UNCHECKED }
  const options = { digest: image.digest, annotations, ...(rekorKeys === undefined ? {} : { rekorKeys }) }
  for (const trusted of cosignKeysOf(requirement)) {
    const result = verifyBundle(bundle, trusted.key, options)
    const signer = signerOf(trusted)
    if (!('failure' in result))
      return { signer, subject: result.subject, loggedAt: result.log?.integratedTime }
    const { code, isSigned } = FAULTS[result.failure]
    if (code !== 'wrong-key') {
      return { fault: { code, message: result.message }, ...(isSigned ? { signer } : {}) }
    }
  }
  return { fault: { code: 'wrong-key', message: 'None of the keys made it.' } }
}

const byNobody = (code: SignatureFault) => ({ code, isSigned: false })
const bySigner = (code: SignatureFault) => ({ code, isSigned: true })

/** What the failures of a bundle come to, and whether the key had made the signature all the same. */
const FAULTS: Readonly<
  Record<BundleFailureName, { readonly code: SignatureFault; readonly isSigned: boolean }>
> = {
  'message-signature': byNobody('unsupported'),
  certificate: byNobody('unsupported'),
  'signature-count': byNobody('unreadable'),
  'other-key-id': byNobody('wrong-key'),
  'signature-mismatch': byNobody('wrong-key'),
  'payload-type': bySigner('not-a-signature'),
  'malformed-statement': bySigner('unreadable'),
  'other-image': bySigner('other-image'),
  'annotation-mismatch': bySigner('annotation-mismatch'),
  'log-missing': bySigner('not-logged'),
  'log-unknown': bySigner('not-logged'),
  'log-twice': bySigner('log-entry-invalid'),
  'log-entry-malformed': bySigner('log-entry-invalid'),
  'log-version-unsupported': bySigner('log-entry-invalid'),
  'log-unproven': bySigner('log-entry-invalid'),
  'log-promise-mismatch': bySigner('log-entry-invalid'),
  'log-proof-mismatch': bySigner('log-entry-invalid'),
  'log-kind-mismatch': bySigner('log-entry-invalid'),
  'log-signature-mismatch': bySigner('log-entry-invalid'),
  'log-key-mismatch': bySigner('log-entry-invalid'),
  'log-payload-mismatch': bySigner('log-entry-invalid'),
  'statement-type': bySigner('not-a-signature'),
  'predicate-type': bySigner('not-a-signature'),
}

function signerOf({ key, name }: CosignKey): Signer {
  return { fingerprint: key.fingerprint, name }
}

/** The log entries of a bundle say when it was made; where none was verified, they only claim it. */
function timeOf({ logEntries }: UntrustedBundle, loggedAt: Date | undefined): SignatureTime | undefined {
  if (loggedAt !== undefined) return signatureTime(loggedAt.getTime() / 1000, 'log', false)
  const claimed = logEntries.find(({ integratedTime }) => integratedTime > 0)
  return claimed === undefined ? undefined : signatureTime(claimed.integratedTime, 'log', true)
}

/** That the subject has the digest of the image is verified; a bundle does not name a repository. */
function claimsOf({ image: { digest } }: KeysContext, subject: VerifiedBundle['subject']): SignatureClaims {
  const texts = [...subject.annotations].flatMap(([key, value]) =>
    typeof value === 'string' ? [[key, value] as const] : [],
  )
  return { digest, ...(texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) }) }
}
