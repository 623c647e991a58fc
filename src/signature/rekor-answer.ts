import { CosignetError, isCosignetError, type JsonValue, reasonOf } from '../core/index.ts'
import {
  bytesOf,
  fieldOf,
  integerOf,
  invalidBundle,
  listOf,
  parseBundleJson,
  stringOf,
} from './bundle-fields.ts'
import { PROOF_HASHES_MAX, type RekorEntry, type RekorProof } from './rekor-entry.ts'

/**
 * Reads what Rekor's API answers: one entry by its ID (rekor, openapi.yaml, LogEntry). Nothing of it is verified.
 * @param what names the answer in messages.
 * @throws BAD_RESPONSE
 */
export function readRekorAnswer(bytes: Uint8Array, what: string): RekorEntry {
  try {
    const document = parseBundleJson(bytes, 'it')
    const entries = document !== null && typeof document === 'object' ? Object.values(document) : []
    const [entry] = entries as JsonValue[]
    return entries.length === 1 ? readEntry(entry) : invalidBundle('it does not hold one entry')
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_SIGNATURE')) throw error
    throw new CosignetError('BAD_RESPONSE', `${what} is not an entry: ${reasonOf(error)}.`, { cause: error })
  }
}

function readEntry(value: JsonValue | undefined): RekorEntry {
  const verification = fieldOf(value, 'verification')
  const promise = bytesOf(fieldOf(verification, 'signedEntryTimestamp'), 'signedEntryTimestamp')
  const proof = fieldOf(verification, 'inclusionProof')
  return {
    body: bytesOf(fieldOf(value, 'body'), 'body'),
    logId: stringOf(fieldOf(value, 'logID'), 'logID').toLowerCase(),
    logIndex: integerOf(fieldOf(value, 'logIndex'), 'logIndex'),
    integratedTime: integerOf(fieldOf(value, 'integratedTime'), 'integratedTime'),
    ...(promise.byteLength === 0 ? {} : { promise }),
    ...(proof === undefined ? {} : { proof: readProof(proof) }),
  }
}

function readProof(value: JsonValue): RekorProof {
  const hashes = listOf(fieldOf(value, 'hashes'), 'hashes', PROOF_HASHES_MAX)
  return {
    logIndex: integerOf(fieldOf(value, 'logIndex'), 'logIndex'),
    treeSize: integerOf(fieldOf(value, 'treeSize'), 'treeSize'),
    rootHash: hexOf(fieldOf(value, 'rootHash')),
    hashes: hashes.map(hexOf),
    checkpoint: stringOf(fieldOf(value, 'checkpoint'), 'checkpoint'),
  }
}

function hexOf(value: JsonValue | undefined): Uint8Array {
  const text = stringOf(value, 'a hash')
  return /^[0-9a-f]{64}$/i.test(text)
    ? Buffer.from(text, 'hex')
    : invalidBundle('a hash is not one of SHA-256')
}
