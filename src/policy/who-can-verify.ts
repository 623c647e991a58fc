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
  /** What it says of itself: the name of the image, or the key; nobody has vouched for it. */
  readonly claims?: string
  /** Whether it can be read and speaks of this manifest; a reason if not. */
  readonly fault?: string
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
      fix: `Deploy it by the digest of its platform, for example ${withoutName(image.name)}@${platform}, or use a newer guest.`,
    }
  }
  const needed =
    image.platforms.length > 0 && verifier.ofIndex.is === 'every platform' ? image.platforms : [image.root]
  const kinds = new Set<SignatureKind>()
  for (const digest of needed) {
    const found = image.signatures.filter((signature) => signature.of === digest)
    const answer = answerForManifest(verifier, found)
    if ('kind' in answer) kinds.add(answer.kind)
    else
      return {
        verifier: name,
        can: false,
        reason: describe(answer.reason, digest, image),
        fix: fixFor(verifier, image),
      }
  }
  const needs = [...kinds].map((kind) => neededFor(verifier, kind)).find((one) => one !== undefined)
  return { verifier: name, can: true, kinds: [...kinds], ...(needs === undefined ? {} : { needs }) }
}

type ManifestAnswer = { readonly kind: SignatureKind } | { readonly reason: string }

function answerForManifest(verifier: Verifier, found: readonly SignatureFact[]): ManifestAnswer {
  const hiding = found.filter(({ kind }) => verifier.reads[kind].is === 'hides-the-rest')
  const read = hiding.length > 0 ? hiding : found.filter(({ kind }) => isRead(verifier, kind))
  const [first] = read
  if (first === undefined) return { reason: whyNothingIsRead(verifier, found) }
  if (verifier.foreignLayers.is === 'refuse-all' && read.some(({ foreignLayer }) => foreignLayer === true))
    return { reason: "it refuses all of cosign's signatures where a layer of another kind is among them" }
  const readable = read.filter(({ fault, foreignLayer }) => fault === undefined && foreignLayer !== true)
  if (readable.length === 0) return { reason: first.fault ?? 'it can read none of the signatures' }
  const accepted = readable.filter((signature) => whyNotTaken(verifier, signature) === undefined)
  const [good] = accepted
  if (good === undefined) {
    const reason = readable
      .map((signature) => whyNotTaken(verifier, signature))
      .find((one) => one !== undefined)
    const hides = hiding.length > 0 && found.length > hiding.length
    return {
      reason: hides ? `it looks at the bundles alone where there are any, and ${reason}` : (reason ?? ''),
    }
  }
  const misnamed = readable.filter(({ namesRepository }) => namesRepository === false)
  if (verifier.names.is === 'every' && misnamed.length > 0)
    return { reason: 'every signature must name the repository of the image, and one names another' }
  if (verifier.names.is === 'one' && accepted.every(({ namesRepository }) => namesRepository === false))
    return { reason: 'the signature names another repository' }
  return { kind: good.kind }
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
function whyNotTaken(verifier: Verifier, { madeBy }: SignatureFact): string | undefined {
  if (madeBy === undefined) return undefined
  if (madeBy === 'none') return 'the key that was given did not make the signature'
  if (madeBy.algorithm === 'openpgp') return undefined
  const { algorithms, hash } = verifier.keys.is
  if (!algorithms.includes(madeBy.algorithm)) return `it cannot read an ${madeBy.algorithm} key`
  return madeBy.hashes.includes(hash)
    ? undefined
    : `it expects another hash under the signature of an ${madeBy.algorithm} key`
}

function describe(reason: string, digest: Digest, { root, platforms }: SignedImage): string {
  if (platforms.length === 0) return reason
  return digest === root ? `of the index, ${reason}` : `of the platform ${digest}, ${reason}`
}

/** Signing anew with a P-256 key serves every verifier; what differs is the format. */
function fixFor(verifier: Verifier, { name }: SignedImage): string {
  const format = verifier.reads.bundle.is === 'hides-the-rest' ? 'bundle' : 'cosign'
  return `cosignet sign --format ${format} --key cosign.key ${name}`
}

function withoutName(name: string): string {
  return name.replace(/@.*$/, '').replace(/:[^/:]*$/, '')
}
