import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { CosignetError, encodeBase64Url, encodeUtf8, type JsonValue } from '../../core/index.ts'

/** Five minutes: a token is made for the one command that needs it. */
const LIFETIME_SECONDS = 300

export interface AdminTokenOptions {
  /** Ed25519 key, PKCS#8 PEM, not encrypted. */
  readonly privateKeyPem: string
  /** The role that the access list of the KBS knows. */
  readonly role: 'admin'
  readonly now: Date
  /** Whole seconds, at least 1. Default: 300. */
  readonly lifetimeSeconds?: number
}

/** A key pair of an administrator: the public half goes to the KBS. */
export interface AdminKeyPair {
  /** PKCS#8 PEM, not encrypted. */
  readonly privateKeyPem: string
  /** SubjectPublicKeyInfo PEM. */
  readonly publicKeyPem: string
}

/**
 * Signs the token by which an administrator of a KBS shows who it is: a JWT of the form that Trustee takes since 0.21
 * (kbs/docs/admin.md), EdDSA, with the claims `role`, `sub`, `iat` and `exp`.
 * @throws INVALID_KEY, INVALID_REQUEST
 */
export function signAdminToken(options: AdminTokenOptions): string {
  const lifetime = options.lifetimeSeconds ?? LIFETIME_SECONDS
  if (!Number.isSafeInteger(lifetime) || lifetime < 1) {
    throw new CosignetError(
      'INVALID_REQUEST',
      `${lifetime} is not a lifetime in whole seconds of at least 1.`,
    )
  }
  const key = readPrivateKey(options.privateKeyPem)
  const issuedAt = Math.floor(options.now.getTime() / 1000)
  const claims = { sub: 'admin', role: options.role, iat: issuedAt, exp: issuedAt + lifetime }
  const signed = `${encodePart({ typ: 'JWT', alg: 'EdDSA' })}.${encodePart(claims)}`
  return `${signed}.${encodeBase64Url(sign(null, encodeUtf8(signed), key))}`
}

/** Makes an Ed25519 key pair for an administrator. */
export function generateAdminKeyPair(): AdminKeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  return {
    privateKeyPem: privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    publicKeyPem: publicKey.export({ format: 'pem', type: 'spki' }).toString(),
  }
}

function readPrivateKey(pem: string): KeyObject {
  try {
    const key = createPrivateKey(pem)
    if (key.asymmetricKeyType === 'ed25519') return key
  } catch {
    // The reason could quote the key.
  }
  throw new CosignetError(
    'INVALID_KEY',
    'The private key of the KBS administrator is not an Ed25519 key in PKCS#8 PEM.',
  )
}

function encodePart(value: JsonValue): string {
  return encodeBase64Url(encodeUtf8(JSON.stringify(value)))
}
