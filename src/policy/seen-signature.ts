import type { Digest } from '../oci/index.ts'
import type { TraceStep } from './trace.ts'

/**
 * How a signature is kept: `cosign` in a layer of the signature image (`sha256-….sig`), `bundle` as a sigstore bundle
 * that refers to the image, `simple` as an OpenPGP message in a signature store.
 */
export type SignatureKind = 'cosign' | 'bundle' | 'simple'

/** Why a signature does not count; stable names. */
export type SignatureFault =
  /** Its bytes are not there, or not what their digest, their format or a limit says. */
  | 'unreadable'
  /** There is a payload, and no signature over it. */
  | 'no-signature'
  /** None of the keys made it, or what it covers was changed. */
  | 'wrong-key'
  /** One of the keys made it, over the payload that this image has when nobody changes it. */
  | 'payload-changed'
  /** It is of a kind that this program does not verify. */
  | 'unsupported'
  /** It is good, and of another image. */
  | 'other-image'
  /** It is good, and no signature of an image: an attestation. */
  | 'not-a-signature'
  /** It is good, and does not carry an annotation that was asked for. */
  | 'annotation-mismatch'
  /** It is good, and in no transparency log whose key was given. */
  | 'not-logged'
  /** What is said of its entry in the transparency log is not so, or not of this signature. */
  | 'log-entry-invalid'
  /** The key that made it, or the certificate beside it, is not valid at the time that counts. */
  | 'expired'

/** What a signature says of itself. Who made it vouches for it only where `SeenSignature.signer` is there. */
export interface SignatureClaims {
  /** The name of the image, as it stands: cosign writes a repository, skopeo a tag, a bundle nothing. */
  readonly reference?: string
  /** The digest of the image, as it stands. */
  readonly digest?: string
  /** Annotations whose values are strings. */
  readonly annotations?: Readonly<Record<string, string>>
  /** The program that wrote it. */
  readonly creator?: string
  /** Fingerprint or key ID of the OpenPGP key that it names. */
  readonly key?: string
}

/** The key that made a signature: proven. */
export interface Signer {
  /** Of a cosign key the SHA-256 of the SPKI, in lower-case hex; of an OpenPGP key that of its primary key, 40 hex digits. */
  readonly fingerprint: string
  /** Where the key came from: `cosign.pub`. */
  readonly name: string
  /** Of an OpenPGP key; who published the key wrote them. */
  readonly userIds?: readonly string[]
}

/** When a signature was made. */
export interface SignatureTime {
  /** RFC 3339, UTC, to the second. */
  readonly at: string
  /** `log`: the transparency log. `signature`: the OpenPGP signature. `payload`: what was signed. */
  readonly source: 'log' | 'signature' | 'payload'
  /** True where nobody who is trusted vouches for it. */
  readonly claimed: boolean
}

/** A signature that was found on an image, and what became of it. */
export interface SeenSignature {
  readonly kind: SignatureKind
  /** Where it is: a manifest by tag or digest, or a signature store. */
  readonly location: string
  /** Digest of the payload, or of the manifest of the bundle; absent for a file. Says where to look, not who signed. */
  readonly digest?: Digest
  /** Absent unless one of the keys made it over what is there. */
  readonly signer?: Signer
  readonly time?: SignatureTime
  readonly claims: SignatureClaims
  /** Whether it counts for the verdict. */
  readonly counts: boolean
  /** Why it does not count. */
  readonly fault?: Fault
}

export interface Fault {
  readonly code: SignatureFault
  /** One sentence. */
  readonly message: string
}

/**
 * Whether `cosign verify --key` takes notice of a signature, good or bad: not of OpenPGP messages, and it passes over a
 * bundle that it cannot read (cosign 3.1, pkg/cosign/verify.go, GetBundles).
 */
export function isSeenByCosign({ kind, fault }: SeenSignature): boolean {
  return kind === 'cosign' || (kind === 'bundle' && fault?.code !== 'unreadable')
}

/** What a look into one place brought. */
export interface Sighting {
  /** Where was looked and how much was there. */
  readonly step: TraceStep
  readonly seen: readonly SeenSignature[]
}

/** Tells what is in a place. @param message a sentence. */
export function sighting(message: string, seen: readonly SeenSignature[]): Sighting {
  const outcome = seen.length > 0 ? 'ok' : 'skipped'
  return { step: { step: 'signatures', outcome, message, facts: { count: seen.length } }, seen }
}

/** A signature of which there is nothing to tell but why it cannot be read. @param message a sentence. */
export function unreadable(
  kind: SignatureKind,
  location: string,
  message: string,
  digest?: Digest,
): SeenSignature {
  return {
    kind,
    location,
    ...(digest === undefined ? {} : { digest }),
    claims: {},
    counts: false,
    fault: { code: 'unreadable', message },
  }
}
