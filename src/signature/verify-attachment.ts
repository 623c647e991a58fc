import { isCosignetError } from '../core/index.ts'
import { KEY_ALGORITHMS, type PublicKey, type SignatureHash, verifySignature } from '../keys/index.ts'
import { parsePayload, type UntrustedPayload } from './payload.ts'
import type { UntrustedAttachment } from './read-attachments.ts'

declare const verifiedBrand: unique symbol

/** A payload whose bytes the key signed; that it speaks of this image is for the policy to check. */
export type VerifiedPayload = UntrustedPayload & { readonly [verifiedBrand]: true }

/** What verifiers do differently. */
export interface AttachmentRules {
  /** `key`: the hash that goes with the key, as in the guest. `sha256`: for every ECDSA and RSA key, as cosign. */
  readonly hash: 'key' | 'sha256'
  /** Whether CR and LF in the signature annotation are skipped. */
  readonly stripNewlines: boolean
}

/** Why an attachment is not a signature of this key. */
export interface AttachmentFailure {
  readonly failure:
    | 'no-signature-annotation'
    | 'malformed-base64'
    | 'unsupported-key'
    | 'signature-mismatch'
    | 'malformed-payload'
  /** One sentence. */
  readonly message: string
}

/**
 * Verifies that a key signed the payload of an attachment, and only then reads the payload. Not checked: that the
 * payload names this image and repository, the media type, the certificate, the Rekor entry.
 * Follows sigstore-rs 0.13, cosign/signature_layers.rs, and cosign, pkg/cosign/verify.go.
 */
export function verifyAttachment(
  attachment: UntrustedAttachment,
  key: PublicKey,
  rules: AttachmentRules,
): VerifiedPayload | AttachmentFailure {
  if (attachment.signature === undefined) {
    return { failure: 'no-signature-annotation', message: 'The layer has no signature annotation.' }
  }
  const signature = decodeSignature(attachment.signature, rules.stripNewlines)
  if (signature === undefined) {
    return { failure: 'malformed-base64', message: 'The signature annotation is not base64.' }
  }
  const hash = hashFor(key, rules)
  if (hash === undefined) {
    return {
      failure: 'unsupported-key',
      message: `The guest has no verifier for a key of the kind ${key.algorithm}.`,
    }
  }
  if (!verifySignature(key, attachment.payload, signature, hash)) {
    return {
      failure: 'signature-mismatch',
      message: `The key ${key.fingerprint} did not make this signature.`,
    }
  }
  try {
    return parsePayload(attachment.payload) as VerifiedPayload
  } catch (error) {
    if (isCosignetError(error)) return { failure: 'malformed-payload', message: error.message }
    throw error
  }
}

/**
 * Finds out, for a diagnosis, whether the payload was changed after it was signed: the signature of the attachment
 * verifies over `expected` and not over what is there.
 * @param expected the payload that the signer of this image must have signed, see `encodePayload`.
 */
export function wasPayloadChanged(
  attachment: UntrustedAttachment,
  key: PublicKey,
  expected: Uint8Array,
): boolean {
  const signature =
    attachment.signature === undefined ? undefined : decodeSignature(attachment.signature, true)
  if (signature === undefined) return false
  const { guestHash, cosignHash } = KEY_ALGORITHMS[key.algorithm]
  const verifies = (message: Uint8Array): boolean =>
    [guestHash ?? cosignHash, cosignHash].some((hash) => verifySignature(key, message, signature, hash))
  return verifies(expected) && !verifies(attachment.payload)
}

function hashFor(key: PublicKey, rules: AttachmentRules): SignatureHash | undefined {
  const { guestHash, cosignHash } = KEY_ALGORITHMS[key.algorithm]
  return rules.hash === 'key' ? guestHash : cosignHash
}

function decodeSignature(text: string, stripNewlines: boolean): Uint8Array | undefined {
  const base64 = stripNewlines ? text.replace(/[\r\n]/g, '') : text
  const bytes = Buffer.from(base64, 'base64')
  return bytes.toString('base64') === base64 ? bytes : undefined
}
