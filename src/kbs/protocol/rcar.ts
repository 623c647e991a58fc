import type { JsonValue } from '../../core/index.ts'
import type { TeePublicKey } from './tee-key.ts'

/** The one protocol version that Trustee 0.14 to 0.21 speaks; it compares exactly (kbs/src/attestation/backend.rs). */
export const KBS_PROTOCOL_VERSION = '0.4.0'

/** Where all KBS routes live. */
export const KBS_PREFIX = '/kbs/v0'

/** Cookie that ties the messages of one handshake, and later requests, to a session. */
export const SESSION_COOKIE = 'kbs-session-id'

/** Names of the TEEs as they go over the wire (kbs-types 0.18, `Tee`). */
export const TEES = [
  'az-snp-vtpm',
  'az-tdx-vtpm',
  'cca',
  'csv',
  'hygondcu',
  'nvidia',
  'nvidia-dpu',
  'sample',
  'sampledevice',
  'se',
  'sgx',
  'snp',
  'tdx',
  'tpm',
] as const

export type Tee = (typeof TEES)[number]

/** Message 1, client to KBS: POST /auth. */
export interface RcarRequest {
  readonly version: string
  readonly tee: Tee
  /** Always sent; `""` where there is nothing to say. */
  readonly 'extra-params': JsonValue
}

/** Message 2, the answer to it. */
export interface RcarChallenge {
  /** 32 random bytes as padded base64; the client sends the text back as it stands. */
  readonly nonce: string
  readonly 'extra-params': JsonValue
}

/** Message 3, client to KBS: POST /attest. */
export interface RcarAttestation {
  readonly 'init-data': InitDataMessage | null
  readonly 'runtime-data': RuntimeData
  readonly 'tee-evidence': {
    readonly primary_evidence: JsonValue
    /** A JSON text that maps each further TEE to its evidence, or `""`. */
    readonly additional_evidence: string
  }
}

/** What the evidence vouches for. */
export interface RuntimeData {
  readonly nonce: string
  readonly 'tee-pubkey': TeePublicKey
}

/** Init data as it was booted with; `body` is the TOML text, every byte of which counts. */
export interface InitDataMessage {
  readonly format: 'toml'
  readonly body: string
}

/** Message 4, the answer: an attestation token (EAR, a JWT). */
export interface RcarResult {
  readonly token: string
}

/** What the sample TEE presents in place of a hardware quote. It proves nothing. */
export interface SampleEvidence {
  readonly svn: string
  /** Padded base64 of the report data. */
  readonly report_data: string
}
