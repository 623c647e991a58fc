import { CosignetError, encodeBase64, encodeUtf8, type JsonValue, quote } from '../../core/index.ts'
import {
  type InitDataMessage,
  KBS_PROTOCOL_VERSION,
  type RcarAttestation,
  type RcarRequest,
  type RuntimeData,
  type SampleEvidence,
  SESSION_COOKIE,
} from '../protocol/rcar.ts'
import { computeReportData, HASH_ALGORITHMS, selectedHashAlgorithm } from '../protocol/report-data.ts'
import type { TeeKey } from '../protocol/tee-key.ts'
import { callKbs, type KbsCall, type KbsHttp, members, parseAnswer, stringMember } from './kbs-http.ts'

/** What a guest says of itself. */
export interface AttestOptions {
  /** Sample evidence: it proves nothing, and only a KBS for demonstrations and tests takes it. */
  readonly tee: 'sample'
  /** Init data that the guest was booted with; the TOML text, byte by byte. */
  readonly initData?: InitDataMessage
}

/** What a handshake earned. */
export interface Attested {
  /** The attestation token (EAR, a JWT), not verified: it speaks to the KBS, not to us. */
  readonly token: string
  /** The key that the token names; it decrypts what the KBS releases. */
  readonly teeKey: TeeKey
  /** Cookie that stands for the token while the session lasts. */
  readonly sessionId: string
}

const NOTHING = '' as const

/**
 * Runs the handshake of a guest (guest-components, attestation-agent/kbs_protocol): request, challenge, attestation,
 * token.
 * @throws FORBIDDEN if the KBS refuses; BAD_RESPONSE, UNAVAILABLE, TIMEOUT
 */
export async function runHandshake(
  http: KbsHttp,
  url: URL,
  options: AttestOptions,
  teeKey: TeeKey,
): Promise<Attested> {
  const request: RcarRequest = {
    version: KBS_PROTOCOL_VERSION,
    tee: options.tee,
    'extra-params': { 'supported-hash-algorithms': HASH_ALGORITHMS },
  }
  const challenge = await exchange(http, url, { path: 'auth' }, request as unknown as JsonValue)
  if (challenge.sessionId === undefined) {
    throw new CosignetError('BAD_RESPONSE', `The KBS at ${url.origin} sent no cookie ${SESSION_COOKIE}.`)
  }
  const { sessionId } = challenge
  const attestation = attestationFor(challenge.value, options, teeKey)
  const result = await exchange(
    http,
    url,
    { path: 'attest', headers: { cookie: `${SESSION_COOKIE}=${sessionId}` } },
    attestation as unknown as JsonValue,
  )
  return { token: stringMember(result.value, 'token', 'The attestation result'), teeKey, sessionId }
}

function attestationFor(challenge: JsonValue, options: AttestOptions, teeKey: TeeKey): RcarAttestation {
  const runtimeData: RuntimeData = {
    nonce: stringMember(challenge, 'nonce', 'The challenge'),
    'tee-pubkey': teeKey.publicKey,
  }
  const algorithm = selectedHashAlgorithm(members(challenge)?.['extra-params'] ?? NOTHING)
  const evidence: SampleEvidence = {
    svn: '1',
    report_data: encodeBase64(computeReportData(runtimeData, NOTHING, algorithm)),
  }
  return {
    'init-data': options.initData ?? null,
    'runtime-data': runtimeData,
    'tee-evidence': { primary_evidence: { ...evidence }, additional_evidence: NOTHING },
  }
}

async function exchange(
  http: KbsHttp,
  url: URL,
  call: Pick<KbsCall, 'path' | 'headers'>,
  message: JsonValue,
): Promise<{ value: JsonValue; sessionId: string | undefined }> {
  const answer = await callKbs(http, url, {
    method: 'POST',
    path: call.path,
    headers: { 'content-type': 'application/json', ...call.headers },
    body: encodeUtf8(JSON.stringify(message)),
  })
  if (answer.granted) {
    const value = parseAnswer(answer.body, `The answer of the KBS at ${url.origin}`)
    return { value, sessionId: answer.sessionId }
  }
  throw new CosignetError(
    'FORBIDDEN',
    `The KBS at ${url.origin} refuses to attest this machine: ${quote(answer.refusal.detail)}.`,
    {
      hint: 'Sample evidence proves nothing, and a KBS for real guests refuses it; its log tells the cause.',
    },
  )
}
