import { createHash } from 'node:crypto'
import { CosignetError, canonicalJson, type JsonValue, quote } from '../../core/index.ts'
import type { RuntimeData } from './rcar.ts'

/** Hash algorithms that a KBS may select for the report data (kbs-types 0.18, `HashAlgorithm`), as they are offered. */
export const HASH_ALGORITHMS = ['sha256', 'sha384', 'sha512', 'sm3'] as const

export type HashAlgorithm = (typeof HASH_ALGORITHMS)[number]

const DEFAULT_HASH_ALGORITHM: HashAlgorithm = 'sha384'

/**
 * The report data of the primary evidence: the hash over the canonical JSON (RFC 8785) of nonce, TEE key and
 * additional evidence. The sample TEE compares it as it is; hardware pads it with zeros to its register.
 * @param additionalEvidence the JSON text that is sent beside the primary evidence, or `""`.
 * @param algorithm default `sha384`.
 */
export function computeReportData(
  runtimeData: RuntimeData,
  additionalEvidence: string,
  algorithm: HashAlgorithm = DEFAULT_HASH_ALGORITHM,
): Uint8Array {
  const bound = canonicalJson(boundClaims(runtimeData, additionalEvidence))
  return createHash(algorithm).update(bound, 'utf8').digest()
}

/** The claims that the report data is computed over; they also stand in the token, as `runtime_data_claims`. */
export function boundClaims(
  runtimeData: RuntimeData,
  additionalEvidence: string,
): { readonly [key: string]: JsonValue } {
  return {
    nonce: runtimeData.nonce,
    'tee-pubkey': { ...runtimeData['tee-pubkey'] },
    'additional-evidence': additionalEvidence,
  }
}

/**
 * Reads the algorithm that a challenge selects in its `extra-params`; `sha384` where it selects none. The name is
 * taken in any case, as the guest takes it.
 * @throws BAD_RESPONSE if it is none of `HASH_ALGORITHMS`.
 */
export function selectedHashAlgorithm(extraParams: JsonValue): HashAlgorithm {
  if (extraParams === null || typeof extraParams !== 'object' || Array.isArray(extraParams)) {
    return DEFAULT_HASH_ALGORITHM
  }
  const selected = (extraParams as { readonly [key: string]: JsonValue })['selected-hash-algorithm']
  if (selected === undefined) return DEFAULT_HASH_ALGORITHM
  const algorithm = HASH_ALGORITHMS.find((name) => name === String(selected).toLowerCase())
  if (algorithm === undefined) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `The KBS selected the hash algorithm ${quote(String(selected))}, which is not one of ${HASH_ALGORITHMS.join(', ')}.`,
    )
  }
  return algorithm
}
