import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import { jwtVerify, SignJWT } from 'jose'
import { type Clock, CosignetError, decodeUtf8, encodeUtf8, type JsonValue } from '../../core/index.ts'
import { type KbsStorage, NAMESPACES } from './storage.ts'

/** Claims of an attestation token whose signature and expiry were checked. */
export type TokenClaims = { readonly [key: string]: JsonValue }

/** What a verifier found about one TEE (draft-ietf-rats-ear, "submods"). */
export interface Appraisal {
  readonly status: 'affirming' | 'warning' | 'contraindicated'
  /** AR4SI trustworthiness claims by name: 2 to 31 affirming, 32 to 95 warning, 96 to 127 contraindicated. */
  readonly trustworthiness: Readonly<Record<string, number>>
  /** Claims of the evidence, and what it binds: `report_data`, `runtime_data_claims`, `init_data`, `<tee>`. */
  readonly evidence: TokenClaims
}

/** Pointer to the TEE key in the claims (kbs/src/token/mod.rs, TOKEN_TEE_PUBKEY_PATH_EAR). */
const EVIDENCE_CLAIM = 'ear.veraison.annotated-evidence'
const PROFILE = 'tag:github.com,2024:confidential-containers/Trustee'
const ISSUER = 'CoCo-Attestation-Service'
const TOKEN_SECONDS = 5 * 60
const SIGNER_KEY = 'ear-es256.pem'

/**
 * Issues and verifies attestation tokens in the form of Trustee (attestation-service/src/ear_token): EAR, signed with
 * ES256, the public key in the header. The key is made once and lives in the storage, so that tokens outlive a restart
 * and every replica takes those of the others. No other key is ever accepted, least of all the one in the header.
 */
export class EarTokens {
  readonly #storage: KbsStorage
  readonly #clock: Clock
  #signer: Promise<KeyObject> | undefined

  constructor(storage: KbsStorage, clock: Clock) {
    this.#storage = storage
    this.#clock = clock
  }

  /** Signs a token for the primary TEE, valid for five minutes. */
  async issue(appraisal: Appraisal): Promise<string> {
    const privateKey = await this.#key()
    const { kty, crv, x, y } = createPublicKey(privateKey).export({ format: 'jwk' })
    const now = Math.floor(this.#clock().getTime() / 1000)
    return await new SignJWT({
      eat_profile: PROFILE,
      'ear.verifier-id': { developer: 'Cosignet', build: 'cosignet' },
      submods: {
        cpu0: {
          'ear.status': appraisal.status,
          'ear.trustworthiness-vector': appraisal.trustworthiness,
          'ear.appraisal-policy-id': 'default',
          [EVIDENCE_CLAIM]: appraisal.evidence,
        },
      },
    })
      .setProtectedHeader({ typ: 'JWT', alg: 'ES256', jwk: { kty, crv, x, y, alg: 'ES256' } as JwkHeader })
      .setIssuer(ISSUER)
      .setIssuedAt(now)
      .setExpirationTime(now + TOKEN_SECONDS)
      .sign(privateKey)
  }

  /**
   * Checks signature and expiry of a token.
   * @returns `undefined` if the token is not one of ours, or no longer.
   */
  async verify(token: string): Promise<TokenClaims | undefined> {
    const publicKey = createPublicKey(await this.#key())
    try {
      const { payload } = await jwtVerify(token, publicKey, {
        algorithms: ['ES256'],
        issuer: ISSUER,
        requiredClaims: ['exp', 'iat', 'submods'],
        currentDate: this.#clock(),
      })
      return payload as TokenClaims
    } catch {
      return undefined
    }
  }

  /** Loads or makes the key once; a failure is not remembered. */
  #key(): Promise<KeyObject> {
    this.#signer ??= loadOrCreateSigner(this.#storage).catch((error: unknown) => {
      this.#signer = undefined
      throw error
    })
    return this.#signer
  }
}

type JwkHeader = { kty: string; crv: string; x: string; y: string; alg: string }

/** The annotated evidence of the primary TEE in the claims of a token; `undefined` if there is none. */
export function primaryEvidence(claims: TokenClaims): TokenClaims | undefined {
  return member(member(member(claims, 'submods'), 'cpu0'), EVIDENCE_CLAIM)
}

function member(value: TokenClaims | undefined, name: string): TokenClaims | undefined {
  const found = value?.[name]
  const isObject = found !== null && typeof found === 'object' && !Array.isArray(found)
  return isObject ? (found as TokenClaims) : undefined
}

/** Two replicas that start at once both make a key; the storage decides whose counts. */
async function loadOrCreateSigner(storage: KbsStorage): Promise<KeyObject> {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const pem = encodeUtf8(privateKey.export({ format: 'pem', type: 'pkcs8' }).toString())
  await storage.put(NAMESPACES.signer, SIGNER_KEY, pem, { version: null })
  const stored = await storage.get(NAMESPACES.signer, SIGNER_KEY)
  try {
    const key = createPrivateKey(decodeUtf8(stored?.value ?? new Uint8Array()) ?? '')
    if (key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return key
  } catch {
    // The reason could quote the key.
  }
  throw new CosignetError('INVALID_KEY', 'The token signing key in the KBS storage is not an EC P-256 PEM.')
}
