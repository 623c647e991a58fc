import * as z from 'zod'
import { constantTimeEqual, type JsonValue } from '../../core/index.ts'
import type { Tee } from '../protocol/rcar.ts'
import type { Appraisal, TokenClaims } from './ear-token.ts'
import { readShape } from './shape.ts'

export interface VerifierInput {
  /** As the TEE sent it. */
  readonly untrustedEvidence: JsonValue
  /** What the evidence must vouch for. */
  readonly reportData: Uint8Array
  /** Digest of the init data that the TEE sent along; absent if it sent none. */
  readonly initDataDigest?: Uint8Array
}

/** What evidence says once it is verified. */
export interface VerifiedEvidence extends Pick<Appraisal, 'status' | 'trustworthiness'> {
  /** Claims under the name of the TEE. */
  readonly claims: TokenClaims
  /** The report data, as the token tells it. */
  readonly reportData: string
  /** The init data digest, as the token tells it; absent if none was sent or checked. */
  readonly initData?: string
}

/**
 * Verifies the evidence of one kind of TEE.
 * @throws Error, whose message goes to the log, if the evidence does not hold.
 */
export type EvidenceVerifier = (input: VerifierInput) => Promise<VerifiedEvidence>

/** The verifiers of a KBS; a TEE that has none is not supported. */
export type Verifiers = Readonly<Partial<Record<Tee, EvidenceVerifier>>>

const SAMPLE_EVIDENCE = z.object({ svn: z.string(), report_data: z.base64() })

/**
 * Insecure: verifies that sample evidence repeats the report data, and nothing else (deps/verifier/src/sample). Anyone
 * can make such evidence up; the appraisal says so: contraindicated, as Trustee's default policy finds without
 * reference values. The init data is not checked either, its digest only repeated.
 */
export const insecureSampleVerifier: EvidenceVerifier = async (input) => {
  const { svn, report_data } = readShape(SAMPLE_EVIDENCE, input.untrustedEvidence, 'The sample evidence')
  if (!constantTimeEqual(Buffer.from(report_data, 'base64'), input.reportData)) {
    throw new Error('REPORT_DATA is different from that in Sample Quote')
  }
  const { initDataDigest } = input
  return {
    status: 'contraindicated',
    trustworthiness: {
      'instance-identity': 0,
      configuration: 2,
      executables: 33,
      'file-system': 0,
      hardware: 97,
      'runtime-opaque': 0,
      'storage-opaque': 0,
      'sourced-data': 0,
    },
    claims: { svn, launch_digest: 'abcde', platform_version: { major: 1, minor: 4 }, debug: false },
    reportData: report_data,
    ...(initDataDigest === undefined ? {} : { initData: Buffer.from(initDataDigest).toString('base64') }),
  }
}
