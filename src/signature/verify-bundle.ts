import { isCosignetError, quote } from '../core/index.ts'
import { type PublicKey, verifySignature } from '../keys/index.ts'
import { type Digest, digestParts } from '../oci/index.ts'
import type { UntrustedBundle } from './bundle-format.ts'
import {
  type DsseEnvelope,
  type DsseSignature,
  IN_TOTO_PAYLOAD_TYPE,
  mayBeOfKey,
  preAuthEncoding,
} from './dsse.ts'
import type { RekorEntry } from './rekor-entry.ts'
import type { RekorKeys } from './rekor-keys.ts'
import {
  LOGGED_ENVELOPE,
  type LogFailureName,
  type SignatureToLog,
  type VerifiedLogEntry,
  verifyRekorEntry,
} from './rekor-verify.ts'
import {
  parseStatement,
  SIGN_PREDICATE_TYPE,
  STATEMENT_TYPES,
  type StatementSubject,
  type UntrustedStatement,
} from './statement.ts'

declare const verifiedBrand: unique symbol

/** What a key signed of an image, in a bundle. */
export interface VerifiedBundle {
  /** The subject that is the image, with the annotations of the signer. */
  readonly subject: StatementSubject
  /** The first log entry that was verified; absent where no log was asked for. */
  readonly log?: VerifiedLogEntry
  readonly [verifiedBrand]: true
}

/** Why a bundle is not a signature of this key on this image; stable names. */
export type BundleFailureName =
  | 'message-signature'
  | 'certificate'
  | 'signature-count'
  | 'other-key-id'
  | 'signature-mismatch'
  | 'payload-type'
  | 'malformed-statement'
  | 'other-image'
  | 'annotation-mismatch'
  | 'log-missing'
  | 'log-twice'
  | LogFailureName
  | 'statement-type'
  | 'predicate-type'

export interface BundleFailure {
  readonly failure: BundleFailureName
  /** One sentence. */
  readonly message: string
}

/**
 * What cosign 3.1 does not check: a bundle that fails so has passed all that cosign asks of it, and cosign takes it for a
 * signature.
 */
export const NOT_CHECKED_BY_COSIGN: ReadonlySet<BundleFailureName> = new Set([
  'statement-type',
  'predicate-type',
])

export interface VerifyBundleOptions {
  /** Of the image or index. */
  readonly digest: Digest
  /** Logs of which one must have taken the signature in. Default: no log is asked for, and entries are not looked at. */
  readonly rekorKeys?: RekorKeys
  /** What the signer must have added, each a string. Default: nothing. */
  readonly annotations?: Readonly<Record<string, string>>
}

/**
 * Verifies that a key signed an image in a bundle: one DSSE signature over an in-toto statement, hashed as `cosign verify
 * --key` does; that a subject of the statement is the image, by its lower-case hex, and the first such subject has the
 * annotations; a log entry of this signature, if logs are given; and last, what cosign leaves out, that the statement is
 * one that says "signed" (GHSA-w6c6-c85g-mmv6) and not an attestation. The hint of the key is not looked at, nor are time
 * stamps.
 * Follows cosign 3.1, pkg/cosign/verify.go, and sigstore-go, pkg/verify.
 */
export function verifyBundle(
  bundle: UntrustedBundle,
  key: PublicKey,
  options: VerifyBundleOptions,
): VerifiedBundle | BundleFailure {
  const envelope = envelopeOf(bundle)
  if ('failure' in envelope) return envelope
  const signature = verifyEnvelope(envelope, key)
  if ('failure' in signature) return signature
  const statement = readStatement(envelope)
  if ('failure' in statement) return statement
  const subject = findSubject(statement, options)
  if ('failure' in subject) return subject
  const signed = { payload: envelope.payload, signature: signature.signature, key, kinds: LOGGED_ENVELOPE }
  const log =
    options.rekorKeys === undefined ? undefined : verifyLog(bundle.logEntries, signed, options.rekorKeys)
  if (log !== undefined && 'failure' in log) return log
  return checkMeaning(statement) ?? ({ subject, ...(log === undefined ? {} : { log }) } as VerifiedBundle)
}

function envelopeOf({ content, signer }: UntrustedBundle): DsseEnvelope | BundleFailure {
  if (content.kind === 'message') {
    return refused('message-signature', 'The bundle is the signature of a file, not of an image.')
  }
  if (signer.kind === 'certificate') {
    return refused('certificate', 'The bundle is signed by a certificate, not by a key.')
  }
  return content.envelope
}

function verifyEnvelope(envelope: DsseEnvelope, key: PublicKey): DsseSignature | BundleFailure {
  const { payloadType, payload, signatures } = envelope
  const [signature] = signatures
  if (signature === undefined || signatures.length > 1) {
    return refused('signature-count', `The bundle has ${signatures.length} signatures and not one.`)
  }
  if (!mayBeOfKey(signature, key)) {
    return refused('other-key-id', `The signature names another key, ${quote(signature.keyId)}.`)
  }
  if (!verifySignature(key, preAuthEncoding(payloadType, payload), signature.signature)) {
    return refused('signature-mismatch', `The key ${key.fingerprint} did not make this signature.`)
  }
  return signature
}

function readStatement({ payloadType, payload }: DsseEnvelope): UntrustedStatement | BundleFailure {
  if (payloadType !== IN_TOTO_PAYLOAD_TYPE) {
    return refused('payload-type', `What is signed is ${quote(payloadType)}, not an in-toto statement.`)
  }
  try {
    return parseStatement(payload)
  } catch (error) {
    if (isCosignetError(error)) return refused('malformed-statement', error.message)
    throw error
  }
}

function findSubject(
  { subjects }: UntrustedStatement,
  { digest, annotations = {} }: VerifyBundleOptions,
): StatementSubject | BundleFailure {
  const { algorithm, hex } = digestParts(digest)
  const subject = subjects.find(({ digests }) => digests.get(algorithm) === hex)
  if (subject === undefined) {
    return refused('other-image', `The signed statement does not name the image ${digest}.`)
  }
  for (const [name, value] of Object.entries(annotations)) {
    if (subject.annotations.get(name) !== value) {
      return refused('annotation-mismatch', `The signer did not annotate ${quote(`${name}=${value}`)}.`)
    }
  }
  return subject
}

/** What does not end the search: an entry of another log, or one that our log did not promise. */
const PASSED_OVER: ReadonlySet<BundleFailureName> = new Set([
  'log-unknown',
  'log-promise-mismatch',
  'log-version-unsupported',
])

/** As in sigstore-go, an entry of a known log that is wrong in another way spoils the bundle, and so does one given twice. */
function verifyLog(
  entries: readonly RekorEntry[],
  signed: SignatureToLog,
  rekorKeys: RekorKeys,
): VerifiedLogEntry | BundleFailure {
  const places = new Set(entries.map(({ logId, logIndex }) => `${logId} ${logIndex}`))
  if (places.size < entries.length) return refused('log-twice', 'The bundle has a log entry twice.')
  let found: VerifiedLogEntry | undefined
  let passedOver: BundleFailure | undefined
  for (const entry of entries) {
    const result = verifyRekorEntry(entry, signed, rekorKeys)
    if (!('failure' in result)) found ??= result
    else if (PASSED_OVER.has(result.failure)) passedOver ??= result
    else return result
  }
  return found ?? passedOver ?? refused('log-missing', 'The bundle has no entry in a transparency log.')
}

function checkMeaning({ type, predicateType }: UntrustedStatement): BundleFailure | undefined {
  if (!STATEMENT_TYPES.includes(type)) {
    return refused('statement-type', `What is signed is a statement of the unknown type ${quote(type)}.`)
  }
  if (predicateType !== SIGN_PREDICATE_TYPE) {
    return refused(
      'predicate-type',
      `What is signed is an attestation, ${quote(predicateType)}, not a signature.`,
    )
  }
  return undefined
}

function refused(failure: BundleFailureName, message: string): BundleFailure {
  return { failure, message }
}
