import { createHash } from 'node:crypto'
import { canonicalJson } from '../../core/index.ts'
import type { TeePublicKey } from './tee-key.ts'

/** Names a TEE key: `sha256:` and its JWK thumbprint (RFC 7638) as base64url. */
export function teeKeyThumbprint({ alg: _, ...required }: TeePublicKey): string {
  return `sha256:${createHash('sha256').update(canonicalJson(required)).digest('base64url')}`
}
