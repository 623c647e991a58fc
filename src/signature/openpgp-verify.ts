import { isCosignetError } from '../core/index.ts'
import {
  creationTime,
  hashStartMatches,
  issuerFingerprint,
  issuerKeyId,
  type OpenPgpHash,
  type OpenPgpKey,
  type OpenPgpSignature,
  parseOpenPgpMessage,
  type UntrustedOpenPgpMessage,
  verifyOpenPgpSignature,
} from '../keys/index.ts'
import { candidatesOf, faultOf, type KeyFault, type SigningCandidate } from './openpgp-candidates.ts'
import { contentOf, type Unfitness, unfitnessOf } from './openpgp-fitness.ts'
import { OPENPGP_RULES, type OpenPgpRules, type OpenPgpVerifier } from './openpgp-rules.ts'

declare const verifiedBrand: unique symbol

/** Bytes that an OpenPGP key signed; what they say is for a parser of payloads. */
export type VerifiedOpenPgpPayload = Uint8Array & { readonly [verifiedBrand]: true }

/** A message that a key signed. */
export interface VerifiedOpenPgp {
  /** Of the primary key: 40 characters of upper-case hex. */
  readonly fingerprint: string
  /** Of the key that signed: the primary key or a subkey. */
  readonly signingFingerprint: string
  readonly created: Date
  readonly hash: OpenPgpHash
  readonly payload: VerifiedOpenPgpPayload
}

/** Why a message is not a signature that counts. */
export interface OpenPgpFailure {
  readonly failure:
    | 'unsupported'
    | Unfitness['failure']
    | 'unknown-key'
    | 'signature-mismatch'
    | 'key-id-mismatch'
    | KeyFault['failure']
  /** One sentence. */
  readonly message: string
  /** Fingerprint or ID of the key that the message names, if it could be read; nobody has vouched for it. */
  readonly untrustedIssuer?: string
}

/**
 * Verifies an OpenPGP message of the shape that `parseOpenPgpMessage` takes. Not verified: whom the key belongs to, and
 * what the payload says. Never throws for what a stranger sent. Of keys that come twice in `keys`, each must pass.
 * @param keys those that are trusted, as `parseOpenPgpKeys` gives them.
 * @param verifier whose rules are followed, see `OPENPGP_RULES`.
 * @param now by which expiry is judged.
 */
export function verifyOpenPgpMessage(
  bytes: Uint8Array,
  keys: readonly OpenPgpKey[],
  verifier: OpenPgpVerifier,
  now: Date,
): VerifiedOpenPgp | OpenPgpFailure {
  const rules = OPENPGP_RULES[verifier]
  try {
    const message = parseOpenPgpMessage(bytes)
    const result = verifyMessage(message, keys, rules, now)
    if (!('failure' in result)) return result
    const untrustedIssuer = issuerFingerprint(message.signature) ?? issuerKeyId(message.signature)
    return untrustedIssuer === undefined ? result : { ...result, untrustedIssuer }
  } catch (error) {
    if (!isCosignetError(error)) throw error
    return {
      failure: error.code === 'UNSUPPORTED' ? 'unsupported' : 'malformed-message',
      message: error.message,
    }
  }
}

function verifyMessage(
  message: UntrustedOpenPgpMessage,
  keys: readonly OpenPgpKey[],
  rules: OpenPgpRules,
  now: Date,
): VerifiedOpenPgp | OpenPgpFailure {
  const { signature, untrustedText } = message
  const created = creationTime(signature)
  const { hash } = signature
  const unfit = unfitnessOf(message, rules)
  if (unfit !== undefined || created === undefined || hash === undefined) {
    return unfit ?? { failure: 'malformed-message', message: 'The signature does not say when it was made.' }
  }
  const candidates = candidatesOf(signature, keys, rules)
  if (candidates.length === 0) return unknownKey(signature)
  const content = [contentOf(signature, untrustedText, rules)]
  if (rules.hashStart === 'compared' && !hashStartMatches(signature, content)) return mismatch(candidates)
  const signers = candidates.filter(({ part }) => verifies(part, signature, content, rules))
  const [signer] = signers
  if (signer === undefined) {
    const unusable = candidates.find(({ part }) => part.keyObject === undefined)
    return unusable === undefined ? mismatch(candidates) : unsupportedKey(unusable)
  }
  const fault = checkSigners(signers, message, rules, now)
  if (fault !== undefined) return fault
  return {
    fingerprint: signer.key.fingerprint,
    signingFingerprint: signer.part.fingerprint,
    created,
    hash,
    payload: untrustedText as VerifiedOpenPgpPayload,
  }
}

function verifies(
  part: SigningCandidate['part'],
  signature: OpenPgpSignature,
  content: readonly Uint8Array[],
  rules: OpenPgpRules,
): boolean {
  if (part.algorithm === 'ed25519' && bitsOf(signature.hash) < rules.ed25519HashBits) return false
  return verifyOpenPgpSignature(part, signature, content)
}

/** Bits of a hash; those without a number in their names have 160 at most. */
function bitsOf(hash: OpenPgpHash | undefined): number {
  return Number(/(?:sha|sha3-)(\d{3})$/.exec(hash ?? '')?.[1] ?? 160)
}

function checkSigners(
  signers: readonly SigningCandidate[],
  { signature, onePass }: UntrustedOpenPgpMessage,
  rules: OpenPgpRules,
  now: Date,
): OpenPgpFailure | undefined {
  if (rules.onePass === 'key-id' && onePass.keyId !== signers[0]?.part.keyId) {
    const message = `The key that signed is not the key ${onePass.keyId} that was announced before the text.`
    return { failure: 'key-id-mismatch', message }
  }
  if (rules.keyState === 'ignored') return undefined
  return signers.map((signer) => faultOf(signer, signature, now)).find((fault) => fault !== undefined)
}

function unknownKey(signature: OpenPgpSignature): OpenPgpFailure {
  const issuer = issuerFingerprint(signature) ?? issuerKeyId(signature)
  const name = issuer === undefined ? 'a key that it does not name' : `the key ${issuer}`
  return {
    failure: 'unknown-key',
    message: `The signature is by ${name}, which is none of the trusted keys.`,
  }
}

function unsupportedKey({ part }: SigningCandidate): OpenPgpFailure {
  const message = `The key ${part.fingerprint} is of the kind ${part.algorithmName}, which is not verified here.`
  return { failure: 'unsupported', message }
}

function mismatch(candidates: readonly SigningCandidate[]): OpenPgpFailure {
  const names = candidates.slice(0, 3).map(({ part }) => part.fingerprint)
  return {
    failure: 'signature-mismatch',
    message: `The key ${names.join(' or ')} did not make this signature.`,
  }
}
