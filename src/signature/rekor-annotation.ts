import { CosignetError, encodeBase64, encodeUtf8, isCosignetError, type JsonValue } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import { bytesOf, fieldOf, integerOf, invalidBundle, parseBundleJson, stringOf } from './bundle-fields.ts'
import type { RekorEntry } from './rekor-entry.ts'
import type { RekorKeys } from './rekor-keys.ts'
import { LOGGED_PAYLOAD, type LogFailure, type VerifiedLogEntry, verifyRekorEntry } from './rekor-verify.ts'

/**
 * Writes the annotation `dev.sigstore.cosign/bundle`, byte for byte as cosign does (pkg/cosign/bundle/rekor.go): the
 * entry and the log's promise; the proof has no place there.
 * @throws INVALID_SIGNATURE if the log gave no promise.
 */
export function encodeRekorAnnotation({
  body,
  integratedTime,
  logIndex,
  logId,
  promise,
}: RekorEntry): string {
  if (promise === undefined) {
    throw new CosignetError('INVALID_SIGNATURE', `The entry of the log ${logId} has no promise to be stored.`)
  }
  return JSON.stringify({
    SignedEntryTimestamp: encodeBase64(promise),
    Payload: { body: encodeBase64(body), integratedTime, logIndex, logID: logId },
  })
}

/** A signature beside an image, and the logs that are trusted. */
export interface AnnotatedSignature {
  readonly payload: Uint8Array
  readonly signature: Uint8Array
  readonly key: PublicKey
  readonly rekorKeys: RekorKeys
}

/**
 * Verifies the annotation `dev.sigstore.cosign/bundle` of a signature: the log's promise, and that the entry holds this
 * signature, this key and the hash of this payload. That the key made the signature is for the caller to verify.
 * @param json the annotation as it stands.
 */
export function verifyRekorAnnotation(
  json: string,
  { payload, signature, key, rekorKeys }: AnnotatedSignature,
): VerifiedLogEntry | LogFailure {
  let entry: RekorEntry
  try {
    entry = readEntry(parseBundleJson(encodeUtf8(json), 'it'))
  } catch (error) {
    if (!isCosignetError(error)) throw error
    return { failure: 'log-entry-malformed', message: error.message }
  }
  return verifyRekorEntry(entry, { payload, signature, key, kinds: LOGGED_PAYLOAD }, rekorKeys)
}

/** Members that are not known are passed over, as Go's encoding/json does. */
function readEntry(document: JsonValue): RekorEntry {
  const payload = fieldOf(document, 'Payload')
  const promise = bytesOf(fieldOf(document, 'SignedEntryTimestamp'), 'SignedEntryTimestamp')
  if (promise.byteLength === 0) invalidBundle('it has no SignedEntryTimestamp')
  return {
    body: bytesOf(fieldOf(payload, 'body'), 'Payload.body'),
    integratedTime: integerOf(fieldOf(payload, 'integratedTime'), 'Payload.integratedTime'),
    logIndex: integerOf(fieldOf(payload, 'logIndex'), 'Payload.logIndex'),
    logId: stringOf(fieldOf(payload, 'logID'), 'Payload.logID'),
    promise,
  }
}
