import { isCosignetError, quote } from '../core/index.ts'
import { isPlainHttpError, isUnknownAuthorityError } from '../net/index.ts'
import type { Reference } from '../oci/index.ts'
import type { DenialCause } from '../policy/index.ts'
import { manifestError } from './pull-text.ts'

/** Why the guest does not pull an image. */
export interface PullFault {
  readonly cause: DenialCause
  /** The guest's own words, before they are wrapped for the Pod. */
  readonly reason: string
}

export const PUSH_AGAIN = 'Build and push the image again, then sign it.'

/** The host that the guest asks (oci-spec-rs, `resolve_registry`). */
export function guestHost({ registry }: Pick<Reference, 'registry'>): string {
  return registry === 'docker.io' ? 'index.docker.io' : registry
}

/** What was asked for when it failed. */
export interface Request {
  readonly reference: Reference
  readonly kind: 'manifests' | 'blobs'
  /** Tag or digest. */
  readonly target: string
}

/**
 * Explains why a manifest or configuration could not be read, where the guest would fail in the same way.
 * @throws the error, where the guest might not fail, so that nothing is decided.
 */
export function explainPullError(error: unknown, request: Request): PullFault {
  const { reference, kind, target } = request
  const { registry } = reference
  const url = `https://${guestHost(reference)}/v2/${reference.repository}/${kind}/${target}`
  const notSent = manifestError(`error sending request for url (${url})`)
  if (isPlainHttpError(error)) {
    const message = `The registry ${registry} speaks plain HTTP; the guest speaks only HTTPS to it.`
    const fix = `Serve ${registry} over HTTPS, with a certificate that the guest trusts (cosignet initdata create --registry-ca FILE for your own authority).`
    return { cause: { code: 'registry-plain-http', message, fix }, reason: notSent }
  }
  if (isUnknownAuthorityError(error)) {
    const message = `The certificate of the registry ${registry} comes from an authority that the guest does not trust.`
    const fix =
      'Put the certificate of the authority into the init data: cosignet initdata create --registry-ca FILE …'
    return { cause: { code: 'registry-untrusted', message, fix }, reason: notSent }
  }
  if (isCosignetError(error, 'NOT_FOUND')) {
    const fix = `Push the image, or correct the name ${quote(registry)} of the registry, the path and the tag in the Pod.`
    const cause = { code: 'image-missing', message: error.message, fix } as const
    return { cause, reason: manifestError(refusalText(error.message, url, kind)) }
  }
  if (isCosignetError(error, 'UNAUTHORIZED', 'FORBIDDEN')) {
    const message = `The registry ${registry} does not let the guest pull ${quote(reference.repository)}: ${error.message}`
    const fix =
      'Put an auth.json for the registry into the KBS and name it as authenticated_registry_credentials_uri in cdh.toml.'
    const cause = { code: 'registry-refused', message, fix } as const
    return { cause, reason: manifestError(refusalText(error.message, url, kind)) }
  }
  if (isCosignetError(error, 'DIGEST_MISMATCH')) {
    const cause = { code: 'image-invalid', message: error.message, fix: PUSH_AGAIN } as const
    return { cause, reason: manifestError(digestText(error.message)) }
  }
  throw error
}

/** HTTP's names of the statuses that lead here. */
const STATUS_NAMES: Readonly<Record<string, string>> = {
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
}

/** The guest's words for a status, with the registry's own where ours quote them (oci-client, `errors.rs`). */
function refusalText(message: string, url: string, kind: Request['kind']): string {
  const match = /: \S+ answers (\d{3})(?: \(([A-Z_]+)(?:: (".*"))?\))?\.$/.exec(message)
  const [, status = '401', code, words = '""'] = match ?? []
  if (kind === 'blobs')
    return `HTTP status client error (${status} ${STATUS_NAMES[status] ?? ''}) for url (${url})`
  // The guest goes on without a token where it gets none, and is refused then.
  if (status === '401' || message.startsWith('Getting a token')) return `Not authorized: url ${url}`
  if (code === undefined) return `Server error: url ${url}, code: ${status}, message: `
  return `Registry error: url ${url}, envelope: OCI API errors: [OCI API error: ${words.slice(1, -1)}]`
}

function digestText(message: string): string {
  const [, actual = '', expected = ''] = /the digest (\S+), not (\S+)\.$/.exec(message) ?? []
  return `Digest error: Invalid digest. Expected ${expected}, got ${actual}`
}
