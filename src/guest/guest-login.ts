import { CosignetError } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import type { CredentialProvider, Credentials, Reference } from '../oci/index.ts'
import { guestHost } from './pull-fault.ts'

/**
 * Logs in to a registry on the guest's terms (oci-client, `_auth`): it asks `/v2/` whether a log-in is wanted and, where
 * it is not, stays anonymous whatever a manifest or blob says later.
 * @returns a provider that is asked when the registry wants a log-in for content; it throws UNAUTHORIZED where the
 * guest would have none to give.
 */
export function guestLogin(
  http: HttpClient,
  reference: Reference,
  credentials: Credentials | undefined,
  signal?: AbortSignal,
): CredentialProvider {
  return async () => {
    const host = guestHost(reference)
    const response = await http.request({
      method: 'GET',
      url: new URL(`https://${host}/v2/`),
      ...(signal === undefined ? {} : { signal }),
    })
    response.discard()
    if (response.headers['www-authenticate'] !== undefined) return credentials
    if (response.status === 429 || response.status >= 500) {
      throw new CosignetError(
        'UNAVAILABLE',
        `${host} answers ${response.status} to the question for a log-in.`,
      )
    }
    throw new CosignetError(
      'UNAUTHORIZED',
      `${host} wants a log-in for this image but not for /v2/, where the guest asks, so the guest stays anonymous.`,
    )
  }
}
