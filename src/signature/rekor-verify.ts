import { canonicalJson, encodeBase64, isCosignetError } from '../core/index.ts'
import { type PublicKey, parsePublicKey, verifySignature } from '../keys/index.ts'
import { digestOf } from '../oci/index.ts'
import { isRekorV2, parseRekorBody, type RekorBody, type RekorEntry } from './rekor-entry.ts'
import type { RekorKeys } from './rekor-keys.ts'
import { isProven } from './rekor-proof.ts'

/** A log entry that the log vouches for, and that is of the signature it was found with. */
export interface VerifiedLogEntry {
  /** SHA-256 of the log's SPKI, lower-case hex. */
  readonly logId: string
  readonly logIndex: number
  /** When the log took it in; absent where the log does not sign the time (a proof without a promise). */
  readonly integratedTime?: Date
}

/** Why a log entry does not count; stable names. */
export type LogFailureName =
  | 'log-entry-malformed'
  | 'log-version-unsupported'
  | 'log-unknown'
  | 'log-unproven'
  | 'log-promise-mismatch'
  | 'log-proof-mismatch'
  | 'log-kind-mismatch'
  | 'log-signature-mismatch'
  | 'log-key-mismatch'
  | 'log-payload-mismatch'

export interface LogFailure {
  readonly failure: LogFailureName
  /** One sentence. */
  readonly message: string
}

/** The signature that an entry must be of. */
export interface SignatureToLog {
  /** What was signed; of an envelope, its payload. */
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly key: PublicKey
  /** By which kinds of entries such a signature is logged. */
  readonly kinds: readonly RekorBody['kind'][]
}

/** Kinds of entries for a signature beside an image, and for an envelope in a bundle. */
export const LOGGED_PAYLOAD: readonly RekorBody['kind'][] = ['hashedrekord']
export const LOGGED_ENVELOPE: readonly RekorBody['kind'][] = ['dsse', 'intoto']

/**
 * Verifies that a log which is trusted took in this signature: the promise and the proof, whichever are there and one at
 * least, by the key that the entry's log ID names; then that the entry holds this signature, this key and the hash of
 * this payload, each for itself (CVE-2022-23649, CVE-2022-36056, CVE-2026-22703). Not verified: that the log was honest.
 * Follows sigstore-go, pkg/verify/tlog.go, and cosign, pkg/cosign/verify.go, VerifyBundle.
 */
export function verifyRekorEntry(
  entry: RekorEntry,
  signed: SignatureToLog,
  rekorKeys: RekorKeys,
): VerifiedLogEntry | LogFailure {
  return readBody(entry.body, (body) => {
    if (isRekorV2(body)) {
      return refused('log-version-unsupported', 'is of a Rekor log of version 2, which is not verified here')
    }
    const key = rekorKeys.get(entry.logId)
    if (key === undefined)
      return refused('log-unknown', `is in the log ${entry.logId}, whose key is not known`)
    return verifyByLog(entry, key) ?? compareBody(body, signed) ?? toVerified(entry)
  })
}

/** The text that a log signs as its promise (Rekor, pkg/api/entries.go, signEntry). */
function promiseText({ body, integratedTime, logId, logIndex }: RekorEntry): Uint8Array {
  return Buffer.from(canonicalJson({ body: encodeBase64(body), integratedTime, logID: logId, logIndex }))
}

function readBody<T>(bytes: Uint8Array, use: (body: RekorBody) => T): T | LogFailure {
  let body: RekorBody
  try {
    body = parseRekorBody(bytes)
  } catch (error) {
    if (!isCosignetError(error)) throw error
    return { failure: 'log-entry-malformed', message: error.message }
  }
  return use(body)
}

function verifyByLog(entry: RekorEntry, key: PublicKey): LogFailure | undefined {
  const { promise, proof } = entry
  if (promise === undefined && proof === undefined) {
    return refused('log-unproven', 'has neither a promise nor a proof of the log')
  }
  if (promise !== undefined && !verifySignature(key, promiseText(entry), promise, 'sha256')) {
    return refused('log-promise-mismatch', `has a promise that the log ${entry.logId} did not give`)
  }
  if (proof !== undefined && !isProven(entry.body, proof, key)) {
    return refused('log-proof-mismatch', `has a proof that does not lead to a root of the log ${entry.logId}`)
  }
  return undefined
}

function compareBody({ kind, version, signed }: RekorBody, expected: SignatureToLog): LogFailure | undefined {
  if (signed === undefined || !expected.kinds.includes(kind)) {
    return refused(
      'log-kind-mismatch',
      `is of the kind ${kind} ${version}, by which such a signature is not logged`,
    )
  }
  if (Buffer.compare(signed.signature, expected.signature) !== 0) {
    return refused('log-signature-mismatch', 'is of another signature')
  }
  if (!isKey(signed.publicKey, expected.key)) {
    return refused('log-key-mismatch', `is of another key than ${expected.key.fingerprint}`)
  }
  if (digestOf(expected.payload) !== `sha256:${signed.payloadHash}`) {
    return refused('log-payload-mismatch', 'is of another payload')
  }
  return undefined
}

/** Whether PEM holds the key; a certificate does not. */
function isKey(pem: Uint8Array, key: PublicKey): boolean {
  try {
    return parsePublicKey(pem, 'The key in the log entry').fingerprint === key.fingerprint
  } catch (error) {
    if (isCosignetError(error)) return false
    throw error
  }
}

function toVerified({ logId, logIndex, integratedTime, promise }: RekorEntry): VerifiedLogEntry {
  // Only the promise covers the time.
  const time = promise === undefined ? {} : { integratedTime: new Date(integratedTime * 1000) }
  return { logId, logIndex, ...time }
}

function refused(failure: LogFailureName, reason: string): LogFailure {
  return { failure, message: `The log entry ${reason}.` }
}
