import type { KeyAlgorithm } from '../keys/index.ts'
import type { Digest } from '../oci/index.ts'
import type { SignatureKind } from './seen-signature.ts'
import { VERIFIERS, type Verifier } from './verifiers.ts'

/** A signature that was found, as far as it matters to who can verify it. */
export interface SignatureFact {
  readonly kind: SignatureKind
  /** The manifest that it hangs at. */
  readonly of: Digest
  /** Where it is: a manifest by tag or digest, or a signature store. */
  readonly location: string
  /** The repository that is named for signatures, where it is in that and not beside the image. */
  readonly apart?: string
  /** What it says of itself: the name of the image, or the key; nobody has vouched for it. */
  readonly claims?: string
  /** Whether it can be read and speaks of this manifest; a reason if not. */
  readonly fault?: string
  /** Whether its bytes cannot be had, or not even those of what holds it; goes with a fault. */
  readonly lost?: boolean
  /** Whether it is among cosign's signatures and has another media type. */
  readonly foreignLayer?: boolean
  /** Whether the repository that it names is the image's own; undefined where it names none (bundles). */
  readonly namesRepository?: boolean
  /**
   * Who made it, where keys were given: the kind of the first of them that verifies it, by the hash that goes with the
   * key and by SHA-256; `none` if none of them does. Undefined where no keys were given.
   */
  readonly madeBy?:
    | 'none'
    | {
        readonly algorithm: KeyAlgorithm | 'openpgp'
        readonly hashes: readonly Hash[]
        /** Where the key came from: `cosign.pub`. */
        readonly name: string
      }
}

export type Hash = 'key' | 'sha256'

/** The manifests that a name leads to. */
export interface SignedImage {
  /** What users type: `registry.example/app:v1`. */
  readonly name: string
  /** `registry.example/app`; undefined outside registries. */
  readonly repository?: string
  /** The repository that is named for signatures, apart from the image. */
  readonly signatureRepository?: string
  /** What the name leads to: an index or the image itself. */
  readonly root: Digest
  /** The images of an index; empty for a single image. */
  readonly platforms: readonly Digest[]
  readonly signatures: readonly SignatureFact[]
}

/** Whether a verifier can accept an image, given the public key. */
export type VerifierAnswer =
  | {
      readonly verifier: string
      readonly can: true
      readonly kinds: readonly SignatureKind[]
      /** What must be set there. */
      readonly needs?: string
    }
  | {
      readonly verifier: string
      readonly can: false
      /** The first thing that stands in the way, as half a sentence. */
      readonly reason: string
      /** The command that takes it out of the way. */
      readonly fix: string
    }

/**
 * Answers for each verifier whether it can accept an image, given the right public key, under a policy that asks for a
 * signature with the image's own repository (`matchRepository`). Follows the rules in `VERIFIERS`; where keys were
 * given, only what they made counts, else every signature is taken to be good.
 */
export function whoCanVerify(image: SignedImage): readonly VerifierAnswer[] {
  return VERIFIERS.map((verifier) => answerFor(verifier, image))
}

function answerFor(verifier: Verifier, image: SignedImage): VerifierAnswer {
  const { name } = verifier
  if (image.platforms.length > 0 && verifier.ofIndex.is === 'none will do') {
    const [platform] = image.platforms
    return {
      verifier: name,
      can: false,
      reason: 'it finds no signature of an image that is pulled through an index',
      fix: `Deploy it by the digest of its platform, for example ${image.repository ?? 'REPOSITORY'}@${platform}, or use a newer guest.`,
    }
  }
  const needed =
    image.platforms.length > 0 && verifier.ofIndex.is === 'every platform' ? image.platforms : [image.root]
  const kinds = new Set<SignatureKind>()
  for (const digest of needed) {
    const all = image.signatures.filter((signature) => signature.of === digest)
    const found = all.filter(({ apart }) => looksApart(verifier, image) === (apart !== undefined))
    const answer: ManifestAnswer =
      found.length === 0 && all.length > 0
        ? { reason: whyOutOfReach(verifier, image), cure: 'sign' }
        : answerForManifest(verifier, found)
    if ('kind' in answer) kinds.add(answer.kind)
    else
      return {
        verifier: name,
        can: false,
        reason: describe(answer.reason, digest, image),
        fix: fixFor(verifier, image, answer.cure),
      }
  }
  const { is: setting } = verifier.elsewhere
  const needs = looksApart(verifier, image)
    ? `${setting} ${image.signatureRepository}`
    : [...kinds].map((kind) => neededFor(verifier, kind)).find((one) => one !== undefined)
  return { verifier: name, can: true, kinds: [...kinds], ...(needs === undefined ? {} : { needs }) }
}

/** Whether it looks for signatures in the repository that is named for them, and not beside the image. */
function looksApart({ elsewhere }: Verifier, { signatureRepository }: SignedImage): boolean {
  return elsewhere.is !== undefined && signatureRepository !== undefined
}

function whyOutOfReach(verifier: Verifier, image: SignedImage): string {
  return looksApart(verifier, image)
    ? `it looks in ${image.signatureRepository}, and there is no signature`
    : 'it looks beside the image alone, and there is no signature'
}

type ManifestAnswer = { readonly kind: SignatureKind } | { readonly reason: string; readonly cure: Cure }

/** What helps: one more signature, one by another key, or one in place of all that are at a tag. */
type Cure = 'sign' | 'sign with another key' | { readonly replace: string }

function answerForManifest(verifier: Verifier, found: readonly SignatureFact[]): ManifestAnswer {
  const hiding = found.filter(
    ({ kind, lost }) => verifier.reads[kind].is === 'hides-the-rest' && lost !== true,
  )
  const read = hiding.length > 0 ? hiding : found.filter(({ kind }) => isRead(verifier, kind))
  const spoiled = spoilerOf(verifier, read)
  const rest = spoiled === undefined ? read : read.filter(({ kind }) => kind !== 'cosign')
  const [first] = rest
  if (first === undefined) return spoiled ?? { reason: whyNothingIsRead(verifier, found), cure: 'sign' }
  const readable = rest.filter(({ fault, foreignLayer }) => fault === undefined && foreignLayer !== true)
  if (readable.length === 0) {
    return {
      reason: `none of the signatures can be read: ${first.fault ?? 'they are of another kind'}`,
      cure: cureOf(rest),
    }
  }
  const accepted = readable.filter((signature) => whyNotTaken(verifier, signature) === undefined)
  const [good] = accepted
  if (good === undefined) {
    const refused = readable.map((signature) => whyNotTaken(verifier, signature))
    const { reason = '', cure = 'sign' } = refused.find((one) => one !== undefined) ?? {}
    const hides = hiding.length > 0 && found.length > hiding.length
    return {
      reason: hides ? `it looks at the bundles alone where there are any, and ${reason}` : reason,
      cure,
    }
  }
  const misnamed = readable.find(({ namesRepository }) => namesRepository === false)
  if (verifier.names.is === 'every' && misnamed !== undefined)
    return {
      reason: 'every signature must name the repository of the image, and one names another',
      cure: { replace: misnamed.location },
    }
  if (verifier.names.is === 'one' && accepted.every(({ namesRepository }) => namesRepository === false))
    return { reason: 'the signature names another repository', cure: 'sign' }
  return { kind: good.kind }
}

/** Why a verifier takes none of cosign's signatures, whatever each of them is. */
function spoilerOf(
  verifier: Verifier,
  read: readonly SignatureFact[],
): { readonly reason: string; readonly cure: Cure } | undefined {
  const beside = read.filter(({ kind }) => kind === 'cosign')
  const foreign = beside.find(({ foreignLayer }) => foreignLayer === true)
  if (verifier.foreignLayers.is === 'refuse-all' && foreign !== undefined) {
    const reason = "it refuses all of cosign's signatures where a layer of another kind is among them"
    return { reason, cure: { replace: foreign.location } }
  }
  const lost = beside.find((signature) => signature.lost === true)
  if (verifier.lostPayloads.is === 'refuse-all' && lost !== undefined) {
    const reason = `it refuses all of cosign's signatures where one cannot be had: ${lost.fault}`
    return { reason, cure: { replace: lost.location } }
  }
  return undefined
}

/** Where all that is at cosign's tag is lost, nothing can be added to it. */
function cureOf(unreadable: readonly SignatureFact[]): Cure {
  const beside = unreadable.filter(({ kind }) => kind === 'cosign')
  const [first] = beside
  return first !== undefined && beside.every(({ lost }) => lost === true)
    ? { replace: first.location }
    : 'sign'
}

function isRead(verifier: Verifier, kind: SignatureKind): boolean {
  return verifier.reads[kind].is === 'read' || neededFor(verifier, kind) !== undefined
}

function neededFor(verifier: Verifier, kind: SignatureKind): string | undefined {
  const { is } = verifier.reads[kind]
  return typeof is === 'object' && 'readWith' in is ? is.readWith : undefined
}

function whyNothingIsRead(verifier: Verifier, found: readonly SignatureFact[]): string {
  for (const { kind } of found) {
    const { is } = verifier.reads[kind]
    if (typeof is === 'object' && 'notRead' in is) return is.notRead
  }
  return 'there is no signature'
}

/** Why a verifier with the right key does not take a signature that it can read. */
function whyNotTaken(
  verifier: Verifier,
  { madeBy }: SignatureFact,
): { readonly reason: string; readonly cure: Cure } | undefined {
  if (madeBy === undefined) return undefined
  if (madeBy === 'none') return { reason: 'the key that was given did not make the signature', cure: 'sign' }
  if (madeBy.algorithm === 'openpgp') return undefined
  const { algorithms, hash } = verifier.keys.is
  const { algorithm } = madeBy
  const cure = 'sign with another key'
  if (!algorithms.includes(algorithm)) return { reason: `it cannot read an ${algorithm} key`, cure }
  return madeBy.hashes.includes(hash)
    ? undefined
    : { reason: `it expects another hash under the signature of an ${algorithm} key`, cure }
}

function describe(reason: string, digest: Digest, { root, platforms }: SignedImage): string {
  if (platforms.length === 0) return reason
  return digest === root ? `of the index, ${reason}` : `of the platform ${digest}, ${reason}`
}

/** Signing anew with a P-256 key serves every verifier; what differs is the format, and what must go before. */
function fixFor(verifier: Verifier, image: SignedImage, cure: Cure): string {
  const { name, repository, signatureRepository } = image
  // Who verifies pulls from a registry, and there a signature must name it.
  if (repository === undefined) {
    return `Copy it to a registry and sign it there: cosignet image copy --all ${name} docker://REPOSITORY:TAG`
  }
  const format = verifier.reads.bundle.is === 'hides-the-rest' ? 'bundle' : 'cosign'
  const isApart = looksApart(verifier, image)
  // Else sign takes the repository that is named for signatures.
  const beside = signatureRepository === undefined || isApart ? '' : ` --repository ${repository}`
  const sign = (key: string): string => `cosignet sign --format ${format} --key ${key}.key${beside} ${name}`
  if (cure === 'sign') return sign('cosign')
  if (cure === 'sign with another key') {
    return `cosignet key generate --output-key-prefix p256 && ${sign('p256')}`
  }
  return `cosignet image delete docker://${isApart ? signatureRepository : repository}:${cure.replace} && ${sign('cosign')}`
}
