import type { Tee } from '../protocol/rcar.ts'

/**
 * Who got what: one event for each decision of a KBS, without secrets. Neither resources nor tokens nor session ids
 * are in it.
 */
export interface KbsEvent {
  readonly kind:
    | 'attested'
    | 'attestation-refused'
    | 'released'
    | 'denied'
    | 'stored'
    | 'deleted'
    | 'listed'
    | 'admin-refused'
    | 'failed'
  readonly time: Date
  /** The guest: `sha256:` and the thumbprint of its TEE key (RFC 7638, base64url); it changes with each boot. */
  readonly teeKey?: string
  /** What the guest said it is, and proved as far as the verifier goes. */
  readonly tee?: Tee
  /** The administrator: role, and `sub` of the token if it has one. */
  readonly admin?: string
  /** Resource path, or path of the request. */
  readonly path?: string
  /** Why it was refused or failed; what the client is not told. May hold untrusted text, on one line. */
  readonly reason?: string
}

/** Gets the events; must not throw. */
export type KbsLog = (event: KbsEvent) => void
