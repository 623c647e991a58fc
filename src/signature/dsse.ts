import { encodeUtf8 } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import { sshFingerprint } from './dsse-key-id.ts'

/** A message and its signatures (DSSE, envelope.md); nothing in it is verified. */
export interface DsseEnvelope {
  readonly payloadType: string
  readonly payload: Uint8Array
  readonly signatures: readonly DsseSignature[]
}

export interface DsseSignature {
  readonly signature: Uint8Array
  /** Which key made it, as the envelope says; not signed, and empty in all that cosign writes. */
  readonly keyId: string
}

/** What an in-toto statement is called as a payload. */
export const IN_TOTO_PAYLOAD_TYPE = 'application/vnd.in-toto+json'

/**
 * The bytes that a DSSE signature is made over (DSSE, protocol.md, "PAE"): type and payload, each with its length in
 * bytes, so that neither can be taken for a part of the other.
 */
export function preAuthEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = encodeUtf8(payloadType)
  const head = `DSSEv1 ${type.byteLength} ${payloadType} ${payload.byteLength} `
  return Buffer.concat([encodeUtf8(head), payload])
}

/**
 * Whether a signature says nothing against being made by this key: it names none, or this one by the fingerprint that
 * OpenSSH shows. Follows go-securesystemslib, dsse/verify.go, which passes over a signature that names another key.
 */
export function mayBeOfKey({ keyId }: DsseSignature, key: PublicKey): boolean {
  return keyId === '' || keyId === sshFingerprint(key)
}
