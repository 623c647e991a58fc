import { createPublicKey, type KeyObject } from 'node:crypto'
import { type JWTPayload, jwtVerify } from 'jose'
import { type Clock, CosignetError } from '../../core/index.ts'
import { KbsRefusal } from './errors.ts'

/** The role that may do everything under /kbs. */
const ADMIN_ROLE = 'admin'

/** Signature algorithm by kind of key: the token does not choose, so that no public key serves as an HMAC secret. */
const ALGORITHMS: Readonly<Record<string, string>> = { ed25519: 'EdDSA', ec: 'ES256', rsa: 'RS256' }

/** Seconds that an expired token is still taken, for clocks that differ; what Trustee's JWT library grants. */
const LEEWAY_SECONDS = 60

/** Checks the Authorization header of an administrator's request; answers who it is. */
export type AdminCheck = (authorization: string | undefined, uri: string) => Promise<string>

/**
 * Makes the check of Trustee 0.21 (kbs/src/admin): a JWT with the claims `role` and `exp`, signed with the key; the
 * role must be `admin`. Without a key everything is refused. The refusals carry Trustee's texts.
 * @param publicKeyPem SubjectPublicKeyInfo PEM of an Ed25519, P-256 or RSA key (2048 bits or more).
 * @throws INVALID_KEY
 */
export function createAdminCheck(publicKeyPem: string | undefined, clock: Clock): AdminCheck {
  if (publicKeyPem === undefined) {
    return async () => {
      throw denied('Admin access denied as DenyAll authorization_mode is enabled')
    }
  }
  const { key, algorithm } = readPublicKey(publicKeyPem)
  return async (authorization, uri) => {
    const token = bearerToken(authorization)
    if (token === undefined) throw refusal('Failed to parse HTTP Auth Bearer header')
    const { role, sub } = await verify(token, key, algorithm, clock)
    if (typeof role !== 'string') {
      const inner = 'AdminAccessDenied { reason: "Missing required `role` claim in JWT" }'
      throw denied(`Failed to parse claims from token: ${inner}`)
    }
    if (role !== ADMIN_ROLE) throw denied(`Role ${role} not allowed for path ${uri}`)
    return sub === undefined ? role : `${role}:${sub}`
  }
}

/** The token in an Authorization header of the scheme Bearer. */
export function bearerToken(authorization: string | undefined): string | undefined {
  return /^Bearer +([A-Za-z0-9_.~+/=-]+)$/i.exec(authorization ?? '')?.[1]
}

function readPublicKey(pem: string): { key: KeyObject; algorithm: string } {
  const key = importPem(pem)
  const { namedCurve, modulusLength } = key.asymmetricKeyDetails ?? {}
  const algorithm = ALGORITHMS[key.asymmetricKeyType ?? '']
  const isWeak = modulusLength !== undefined && modulusLength < 2048
  if (algorithm === undefined || isWeak || (namedCurve !== undefined && namedCurve !== 'prime256v1')) {
    throw new CosignetError(
      'INVALID_KEY',
      'The public key of the KBS administrator must be an Ed25519, P-256 or RSA key of at least 2048 bits.',
    )
  }
  return { key, algorithm }
}

function importPem(pem: string): KeyObject {
  // createPublicKey would also take a private key or a certificate.
  if (/^-----BEGIN PUBLIC KEY-----\r?\n/.test(pem.trimStart())) {
    try {
      return createPublicKey(pem)
    } catch {
      // Falls to the one message below.
    }
  }
  throw new CosignetError('INVALID_KEY', 'The public key of the KBS administrator is not a public key PEM.', {
    hint: 'It begins with -----BEGIN PUBLIC KEY-----.',
  })
}

async function verify(token: string, key: KeyObject, algorithm: string, clock: Clock): Promise<JWTPayload> {
  try {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [algorithm],
      requiredClaims: ['exp'],
      clockTolerance: LEEWAY_SECONDS,
      currentDate: clock(),
    })
    return payload
  } catch (error) {
    throw denied('Cannot verify token with any of the issuers', error)
  }
}

function denied(reason: string, cause?: unknown): KbsRefusal {
  return refusal(`Admin access denied: ${reason}`, cause)
}

/** Trustee names every refusal of a plugin's administration so (kbs/src/error.rs). */
function refusal(text: string, cause?: unknown): KbsRefusal {
  return new KbsRefusal('AdminAuthInitialization', `failed to initialize [admin] configuration: ${text}`, {
    cause,
  })
}
