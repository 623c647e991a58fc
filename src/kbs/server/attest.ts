import * as z from 'zod'
import { constantTimeEqual, encodeUtf8, type JsonValue, parseJson, quote } from '../../core/index.ts'
import {
  type InitDataMessage,
  KBS_PROTOCOL_VERSION,
  type RuntimeData,
  TEES,
  type Tee,
} from '../protocol/rcar.ts'
import { boundClaims, computeReportData } from '../protocol/report-data.ts'
import { readTeePublicKey } from '../protocol/tee-key.ts'
import { teeKeyThumbprint } from '../protocol/thumbprint.ts'
import type { Appraisal, EarTokens } from './ear-token.ts'
import { KbsRefusal } from './errors.ts'
import type { KbsEvent } from './events.ts'
import { readInitData } from './init-data.ts'
import type { Session, Sessions, StoredSession } from './sessions.ts'
import { readShape } from './shape.ts'
import type { VerifiedEvidence, Verifiers } from './verifiers.ts'

const json = z.custom<JsonValue>((value) => value !== undefined)

const REQUEST = z.object({ version: z.string(), tee: z.enum(TEES), 'extra-params': json })

const ATTESTATION = z.object({
  'init-data': z.object({ format: z.literal('toml'), body: z.string() }).nullish(),
  'runtime-data': z.object({ nonce: z.string(), 'tee-pubkey': json }),
  'tee-evidence': z.object({ primary_evidence: json, additional_evidence: z.string() }),
})

export interface HandshakeOptions {
  readonly sessions: Sessions
  readonly tokens: EarTokens
  readonly verifiers: Verifiers
  readonly record: (event: Omit<KbsEvent, 'time'>) => void
}

/**
 * The server's side of the handshake (kbs/src/attestation/backend.rs). Refusals carry Trustee's texts: why evidence was
 * refused goes to the log alone.
 */
export class Handshake {
  readonly #options: HandshakeOptions

  constructor(options: HandshakeOptions) {
    this.#options = options
  }

  /** Answers message 1 with a session. @throws KbsRefusal AttestationError, ServiceUnavailable */
  async auth(body: Uint8Array): Promise<Session> {
    const request = readRequest(body)
    if (request.version !== KBS_PROTOCOL_VERSION) {
      throw authFailed(
        `KBS Client Protocol Version Mismatch: expect =${KBS_PROTOCOL_VERSION} while the request is ${quote(request.version)}`,
      )
    }
    if (this.#options.verifiers[request.tee] === undefined) {
      throw authFailed(`evidence of the TEE ${request.tee} is not supported yet`)
    }
    return await this.#options.sessions.open(request.tee)
  }

  /**
   * Answers message 3 with a token. A session that has its token gets it again, whatever it sends.
   * @param sessionId untrusted.
   * @throws KbsRefusal AttestationError
   */
  async attest(
    body: Uint8Array,
    sessionId: string | undefined,
  ): Promise<{ session: Session; token: string }> {
    const stored = await this.#options.sessions.find(sessionId)
    if (stored === undefined) throw attestFailed(new Error('session not found'))
    const { session } = stored
    const token = session.token ?? (await this.#earnToken(body, stored))
    return { session, token }
  }

  async #earnToken(body: Uint8Array, stored: StoredSession): Promise<string> {
    const { appraisal, teeKey } = await this.#appraise(body, stored.session).catch((error: unknown) => {
      throw attestFailed(error)
    })
    const issued = await this.#options.tokens.issue(appraisal)
    const token = await this.#options.sessions.attest(stored, issued)
    if (token === undefined) throw attestFailed(new Error('the session ended while it was attested'))
    if (token === issued) this.#options.record({ kind: 'attested', tee: stored.session.tee, teeKey })
    return token
  }

  async #appraise(body: Uint8Array, session: Session): Promise<{ appraisal: Appraisal; teeKey: string }> {
    const message = readShape(ATTESTATION, parseJson(body, 'The attestation'), 'The attestation')
    const { nonce, 'tee-pubkey': untrustedKey } = message['runtime-data']
    if (!constantTimeEqual(encodeUtf8(nonce), encodeUtf8(session.nonce))) {
      throw new Error('the nonce is not the one of the session')
    }
    const { publicKey } = readTeePublicKey(untrustedKey)
    const runtimeData: RuntimeData = { nonce, 'tee-pubkey': publicKey }
    const { primary_evidence, additional_evidence } = message['tee-evidence']
    refuseAdditional(additional_evidence)
    const initData = readMessage(message['init-data'])
    const verifier = this.#options.verifiers[session.tee]
    if (verifier === undefined) throw new Error(`the TEE ${session.tee} is not supported`)
    const verified = await verifier({
      untrustedEvidence: primary_evidence,
      reportData: computeReportData(runtimeData, additional_evidence),
      ...(initData === undefined ? {} : { initDataDigest: initData.digest }),
    })
    const bound = boundClaims(runtimeData, additional_evidence)
    const evidence = evidenceClaims(session.tee, verified, bound, initData?.claims ?? null)
    const { status, trustworthiness } = verified
    return { appraisal: { status, trustworthiness, evidence }, teeKey: teeKeyThumbprint(publicKey) }
  }
}

function readRequest(body: Uint8Array): z.output<typeof REQUEST> {
  try {
    return readShape(REQUEST, parseJson(body, 'The request'), 'The request')
  } catch (error) {
    throw authFailed('deserialize Request', error)
  }
}

function readMessage(
  message: InitDataMessage | null | undefined,
): ReturnType<typeof readInitData> | undefined {
  return message === null || message === undefined ? undefined : readInitData(message.body)
}

/** No verifier of devices is here yet; a device that is not verified must not look as if it were. */
function refuseAdditional(additionalEvidence: string): void {
  if (additionalEvidence === '' || additionalEvidence === '{}') return
  throw new Error('additional evidence of devices is not supported yet')
}

/** The claims as Trustee lays them out (attestation-service/src/ear_token/broker.rs, `transform_claims`). */
function evidenceClaims(
  tee: Tee,
  verified: VerifiedEvidence,
  bound: { readonly [key: string]: JsonValue },
  initDataClaims: JsonValue,
): Appraisal['evidence'] {
  return {
    ...(verified.initData === undefined
      ? {}
      : { init_data: verified.initData, init_data_claims: initDataClaims }),
    report_data: verified.reportData,
    runtime_data_claims: bound,
    [tee]: verified.claims,
  }
}

function authFailed(reason: string, cause?: unknown): KbsRefusal {
  return new KbsRefusal('AttestationError', `Attestation error: RCAR handshake Auth failed: ${reason}`, {
    cause,
  })
}

function attestFailed(cause: unknown): KbsRefusal {
  return new KbsRefusal('AttestationError', 'Attestation error: RCAR handshake Attest failed', { cause })
}
