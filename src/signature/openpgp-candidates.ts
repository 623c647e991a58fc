import {
  creationTime,
  endOf,
  fingerprintIn,
  issuerFingerprint,
  issuerKeyId,
  keyIdIn,
  type OpenPgpKey,
  type OpenPgpKeyPart,
  type OpenPgpSignature,
  type OpenPgpSubkey,
  SUBPACKETS,
  secondsIn,
} from '../keys/index.ts'
import type { OpenPgpRules } from './openpgp-rules.ts'

/** A key that may have made a signature. */
export interface SigningCandidate {
  readonly key: OpenPgpKey
  /** The primary key or one of the subkeys of `key`. */
  readonly part: OpenPgpKeyPart
  /** The part again, if it is a subkey. */
  readonly subkey?: OpenPgpSubkey
}

/** Why a key cannot vouch for a signature that it made. */
export interface KeyFault {
  readonly failure: 'key-unusable' | 'key-expired' | 'key-revoked' | 'signature-expired' | 'made-before-key'
  /** One sentence. */
  readonly message: string
}

/** The keys that may have made a signature, by what it says of its issuer. */
export function candidatesOf(
  signature: OpenPgpSignature,
  keys: readonly OpenPgpKey[],
  rules: OpenPgpRules,
): readonly SigningCandidate[] {
  const candidates = keys.flatMap((key): readonly SigningCandidate[] => [
    { key, part: key.primary },
    ...(rules.keys === 'primary' ? [] : key.subkeys.map((subkey) => ({ key, part: subkey, subkey }))),
  ])
  if (rules.issuer === 'not-contradicted')
    return candidates.filter(({ part }) => isNotContradicted(signature, part))
  const fingerprint = issuerFingerprint(signature)
  const byFingerprint = candidates.filter(({ part }) => part.fingerprint === fingerprint)
  if (byFingerprint.length > 0) return byFingerprint
  const keyId = issuerKeyId(signature)
  return candidates.filter(({ part }) => part.keyId === keyId)
}

/** Whether a signature names no issuer at all, or this key among others, signed or not (rPGP, match_identity). */
function isNotContradicted({ hashed, unhashed }: OpenPgpSignature, part: OpenPgpKeyPart): boolean {
  const subpackets = [...hashed, ...unhashed]
  const fingerprints = subpackets.map(fingerprintIn).filter((each) => each !== undefined)
  const keyIds = subpackets.map(keyIdIn).filter((each) => each !== undefined)
  if (fingerprints.length + keyIds.length === 0) return true
  return fingerprints.includes(part.fingerprint) || keyIds.includes(part.keyId)
}

/** What gpg holds against a signature that verifies, or undefined (g10/sig-check.c, getkey.c). */
export function faultOf(
  { key, part, subkey }: SigningCandidate,
  signature: OpenPgpSignature,
  now: Date,
): KeyFault | undefined {
  const name = subkey === undefined ? `The key ${part.fingerprint}` : `The subkey ${part.fingerprint}`
  const unusable = (message: string): KeyFault => ({ failure: 'key-unusable', message })
  if (!key.selfSigned) return unusable(`The key ${key.fingerprint} has signed no user ID of its own.`)
  if (subkey?.bound === false) return unusable(`${name} is not signed by its primary key.`)
  if (!part.canSign) return unusable(`${name} is not one for signing messages.`)
  if (subkey?.backSigned === false)
    return unusable(`${name} has not signed that it belongs to its primary key.`)
  if (key.revoked || part.revoked) return { failure: 'key-revoked', message: `${name} is revoked.` }
  const created = creationTime(signature)
  if (created === undefined || created < part.created || now < part.created) {
    const message = `${name} is newer than the signature or the clock: it was made ${part.created.toISOString()}.`
    return { failure: 'made-before-key', message }
  }
  const expired = [key.expires, part.expires].find((expires) => expires !== undefined && expires < now)
  if (expired !== undefined) {
    return { failure: 'key-expired', message: `${name} expired ${expired.toISOString()}.` }
  }
  const end = endOf(created, secondsIn(signature, SUBPACKETS.expires))
  if (end === undefined || end > now) return undefined
  return { failure: 'signature-expired', message: `The signature expired ${end.toISOString()}.` }
}
