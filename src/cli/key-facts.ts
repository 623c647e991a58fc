import { encodeBase64 } from '../core/index.ts'
import {
  type EncryptionFacts,
  KEY_VERIFIERS,
  type KeyAlgorithm,
  type KeyFacts,
  type OpenPgpKey,
  type PublicKey,
} from '../keys/index.ts'
import { visible } from './visible-text.ts'

/** A key that was looked at, and its public half if that is known. */
export interface InspectedKey {
  readonly name: string
  readonly facts: KeyFacts
  readonly publicKey?: PublicKey | undefined
}

/** What was found as data. */
export function keyData({ name, facts, publicKey }: InspectedKey): object {
  if (facts.format === 'openpgp') {
    const keys = facts.keys.map(openPgpData)
    return { key: name, format: 'openpgp', secret: facts.secret, keys, verifiers: verifiersOf('openpgp') }
  }
  const { secret, label, encryption, openedBy } = facts
  return {
    ...{ key: name, format: 'pem', secret, label },
    ...(encryption === undefined ? {} : { encryption }),
    ...(openedBy === undefined ? {} : { openedBy }),
    ...(publicKey === undefined ? {} : publicKeyData(publicKey)),
  }
}

function publicKeyData(key: PublicKey): object {
  const { algorithm, keyObject } = key
  const bits = keyObject.asymmetricKeyDetails?.modulusLength
  return {
    algorithm,
    ...(bits === undefined ? {} : { bits }),
    fingerprints: { spkiSha256: key.fingerprint, cosignHint: hintOf(key) },
    verifiers: verifiersOf(algorithm),
  }
}

/** What cosign 3 writes into a bundle to name the key: the base64 of the same hash. */
function hintOf({ fingerprint }: PublicKey): string {
  return encodeBase64(Buffer.from(fingerprint, 'hex'))
}

function openPgpData(key: OpenPgpKey): object {
  const { fingerprint, keyId, algorithmName, userIds, created, expires, revoked } = key
  return {
    ...{ fingerprint, keyId, algorithm: algorithmName, userIds, created: created.toISOString() },
    ...(expires === undefined ? {} : { expires: expires.toISOString() }),
    revoked,
    signingSubkeys: signingSubkeys(key),
  }
}

/** Which part of an OpenPGP key signs so that a guest accepts it. */
export function guestNote(key: OpenPgpKey): string {
  if (!key.primary.canSign) {
    return 'WARN No guest accepts what this key signs: a guest verifies with the primary key only, which cannot sign.'
  }
  return signingSubkeys(key).length === 0
    ? 'A guest verifies with the primary key only: it is the one that signs, there is no signing subkey.'
    : `WARN A guest verifies with the primary key only, and gpg signs with a subkey unless told: --local-user ${key.fingerprint}!`
}

/** Fingerprints of the subkeys that gpg would sign with. */
function signingSubkeys({ subkeys }: OpenPgpKey): readonly string[] {
  return subkeys.filter(({ canSign, revoked }) => canSign && !revoked).map(({ fingerprint }) => fingerprint)
}

function verifiersOf(kind: KeyAlgorithm | 'openpgp'): readonly object[] {
  return KEY_VERIFIERS.map(({ name, keys }) => ({ name, ...keys[kind] }))
}

/** What was found as text for people. */
export function describeInspected(inspected: InspectedKey): string {
  const { name, facts, publicKey } = inspected
  const half = facts.secret ? 'private' : 'public'
  if (facts.format === 'openpgp') {
    const keys = facts.keys.flatMap(describeOpenPgp)
    return [`${name}: OpenPGP ${half} key`, ...keys, ...describeVerifiers('openpgp')].join('\n')
  }
  return [
    `${name}: ${half} key (${facts.label})`,
    ...describeEncryption(facts.encryption),
    ...(facts.openedBy === undefined ? [] : [`  Opened by:     ${facts.openedBy}`]),
    ...(publicKey === undefined ? [SEALED] : describePublicKey(publicKey)),
  ].join('\n')
}

const SEALED =
  '  What it signs is told by its .pub file, or with its password (--password-file or COSIGN_PASSWORD).'

function describeEncryption(encryption: EncryptionFacts | undefined): readonly string[] {
  if (encryption === undefined) return []
  const { derivation, cipher } = encryption
  const kdf =
    derivation.name === 'scrypt'
      ? `scrypt (N=${derivation.N}, r=${derivation.r}, p=${derivation.p})`
      : `PBKDF2 (HMAC-${derivation.hash}, ${derivation.iterations} iterations)`
  return [`  Encrypted by:  ${kdf}, ${cipher}`]
}

function describePublicKey(key: PublicKey): readonly string[] {
  const bits = key.keyObject.asymmetricKeyDetails?.modulusLength
  return [
    `  Algorithm:     ${key.algorithm}${bits === undefined ? '' : ` (${bits} bits)`}`,
    `  SPKI SHA-256:  ${key.fingerprint}`,
    `  cosign's hint: ${hintOf(key)}`,
    ...describeVerifiers(key.algorithm),
  ]
}

function describeOpenPgp(key: OpenPgpKey): readonly string[] {
  const { fingerprint, keyId, algorithmName, userIds, created, expires, revoked } = key
  const until = expires === undefined ? 'never expires' : `expires ${expires.toISOString()}`
  return [
    `  Fingerprint:   ${fingerprint}`,
    `  Key ID:        ${keyId}`,
    `  Algorithm:     ${algorithmName}, made ${created.toISOString()}, ${revoked ? 'REVOKED' : until}`,
    ...userIds.map((userId) => `  User ID:       ${visible(userId)}`),
    ...signingSubkeys(key).map((subkey) => `  Signing subkey: ${subkey}`),
    `  ${guestNote(key)}`,
  ]
}

function describeVerifiers(kind: KeyAlgorithm | 'openpgp'): readonly string[] {
  const width = Math.max(...KEY_VERIFIERS.map(({ name }) => name.length))
  const rows = KEY_VERIFIERS.map(({ name, keys }) => {
    const { accepts, note } = keys[kind]
    const reason = note === undefined ? '' : accepts ? `, ${note}` : `: ${note}`
    return `    ${name.padEnd(width)}  ${accepts ? 'yes' : 'no'}${reason}`
  })
  return ['  Accepted by:', ...rows]
}
