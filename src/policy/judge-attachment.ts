import { isCosignetError } from '../core/index.ts'
import {
  cosignRepositoryName,
  encodePayload,
  parsePayload,
  type UntrustedAttachment,
  type UntrustedPayload,
  verifyAttachment,
  verifyRekorAnnotation,
  wasPayloadChanged,
} from '../signature/index.ts'
import { checkClaims, claimsOf } from './claims.ts'
import { type Beside, readBeside } from './cosign-beside.ts'
import type { KeysContext } from './keys-context.ts'
import { type CosignKey, cosignKeysOf } from './keys-requirement.ts'
import { PROFILES } from './profiles.ts'
import type { Fault, SeenSignature, SignatureTime } from './seen-signature.ts'
import { signatureTime } from './signature-time.ts'

/**
 * Judges a signature of cosign's signature image by the keys that are given, as `cosign verify --key` does: the
 * signature, what stands beside it, the log if its keys are given, the digest, the annotations asked for, the
 * certificate. Not looked at: the media type, the type in the payload, the repository that it names.
 * Follows cosign, pkg/cosign/verify.go (verifyInternal) and verifiers.go (SimpleClaimVerifier).
 */
export function judgeAttachment(
  context: KeysContext,
  attachment: UntrustedAttachment,
  location: string,
): SeenSignature {
  const payload = tryParse(attachment.payload)
  const beside = readBeside(attachment)
  const found = findSigner(context, attachment)
  const signer = 'code' in found ? undefined : { fingerprint: found.key.fingerprint, name: found.name }
  const { loggedAt, fault } =
    'code' in found
      ? { fault: found }
      : checkSigned(context, { attachment, payload, beside, signedBy: found })
  const time = timeOf(payload, beside, loggedAt, signer === undefined)
  return {
    kind: 'cosign',
    location,
    digest: attachment.descriptor.digest,
    ...(signer === undefined ? {} : { signer }),
    ...(time === undefined ? {} : { time }),
    claims: payload === undefined ? {} : claimsOf(payload),
    ...(fault === undefined ? { counts: true } : { counts: false, fault }),
  }
}

/** The key that made the signature; or why none did. */
function findSigner(context: KeysContext, attachment: UntrustedAttachment): CosignKey | Fault {
  const { descriptor, signature } = attachment
  if (!descriptor.digest.startsWith('sha256:')) {
    return { code: 'unsupported', message: `Its payload is named by ${descriptor.digest}, not by SHA-256.` }
  }
  if (signature === undefined) {
    return { code: 'no-signature', message: 'There is a payload, and no signature over it.' }
  }
  const keys = cosignKeysOf(context.requirement)
  for (const trusted of keys) {
    const result = verifyAttachment(attachment, trusted.key, RULES)
    // Whoever signed a payload that nobody can read has signed it all the same.
    if (!('failure' in result) || result.failure === 'malformed-payload') return trusted
    if (result.failure === 'malformed-base64') return { code: 'unreadable', message: result.message }
  }
  return wasChanged(context, attachment, keys)
    ? {
        code: 'payload-changed',
        message: 'Its payload was changed after it was signed for this image and repository.',
      }
    : { code: 'wrong-key', message: 'None of the keys made it.' }
}

const RULES = { hash: PROFILES.cosign.rules.hash, stripNewlines: true } as const

function wasChanged(
  { image: { reference, digest } }: KeysContext,
  attachment: UntrustedAttachment,
  keys: readonly CosignKey[],
): boolean {
  if (reference === undefined) return false
  const expected = encodePayload({ dockerReference: cosignRepositoryName(reference), manifestDigest: digest })
  return keys.some(({ key }) => wasPayloadChanged(attachment, key, expected))
}

interface SignedAttachment {
  readonly attachment: UntrustedAttachment
  readonly payload: UntrustedPayload | undefined
  readonly beside: Beside | { readonly unreadable: string }
  readonly signedBy: CosignKey
}

/** What is asked of a signature that one of the keys made. */
function checkSigned(
  context: KeysContext,
  { attachment, payload, beside, signedBy }: SignedAttachment,
): { readonly fault?: Fault; readonly loggedAt?: Date } {
  if ('unreadable' in beside) {
    const message = `The annotation ${beside.unreadable} beside it cannot be read.`
    return { fault: { code: 'unreadable', message } }
  }
  const log = checkLog(context, attachment, signedBy)
  if ('code' in log) return { fault: log }
  const fault = checkClaims(context, payload) ?? checkCertificate(beside, log.loggedAt ?? context.now())
  return fault === undefined ? log : { ...log, fault }
}

function checkLog(
  { requirement: { rekorKeys } }: KeysContext,
  { bundle, signature = '', payload }: UntrustedAttachment,
  { key }: CosignKey,
): Fault | { readonly loggedAt?: Date } {
  if (rekorKeys === undefined) return {}
  if (bundle === undefined || bundle === '') {
    return { code: 'not-logged', message: 'There is no entry of a transparency log beside it.' }
  }
  const signed = { payload, signature: Buffer.from(signature, 'base64'), key, rekorKeys }
  const entry = verifyRekorAnnotation(bundle, signed)
  if ('failure' in entry) return { code: 'log-entry-invalid', message: entry.message }
  return entry.integratedTime === undefined ? {} : { loggedAt: entry.integratedTime }
}

/** A certificate beside a signature of a key says nothing; and yet cosign refuses one that is not valid at the time. */
function checkCertificate({ certificate }: Beside, at: Date): Fault | undefined {
  if (certificate === undefined) return undefined
  const { validFromDate: from, validToDate: to } = certificate
  if (from <= at && at <= to) return undefined
  const message = `The certificate beside it is valid from ${rfc3339(from)} to ${rfc3339(to)}, and not at ${rfc3339(at)}.`
  return { code: 'expired', message }
}

function rfc3339(date: Date): string {
  return signatureTime(date.getTime() / 1000, 'payload', true)?.at ?? 'another age'
}

function timeOf(
  payload: UntrustedPayload | undefined,
  beside: Beside | { readonly unreadable: string },
  loggedAt: Date | undefined,
  claimed: boolean,
): SignatureTime | undefined {
  if (loggedAt !== undefined) return signatureTime(loggedAt.getTime() / 1000, 'log', false)
  const { timestamp } = payload?.optional ?? {}
  if (timestamp !== undefined) return signatureTime(timestamp, 'payload', claimed)
  const integrated = 'unreadable' in beside ? undefined : beside.integratedTime
  return integrated === undefined ? undefined : signatureTime(integrated, 'log', true)
}

function tryParse(bytes: Uint8Array): UntrustedPayload | undefined {
  try {
    return parsePayload(bytes, PROFILES.cosign.rules.payloadLists)
  } catch (error) {
    if (isCosignetError(error)) return undefined
    throw error
  }
}
