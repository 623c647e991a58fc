/** What a registry, or its token server, takes as proof of who asks. */
export type Credentials =
  | AccountCredentials
  /** A bearer token for the registry itself (skopeo's `--registry-token`). No token server may see it. */
  | { readonly kind: 'registry-token'; readonly bearer: string }

/** What a token server takes. */
export type AccountCredentials =
  | { readonly kind: 'basic'; readonly username: string; readonly password: string }
  /** A refresh token for the token server (Docker's `identitytoken`), and the name it was issued to, if it is known. */
  | { readonly kind: 'identity-token'; readonly token: string; readonly username?: string }

/**
 * Finds the credentials for a repository; asked once, when the registry wants to know. `registry` is the host as it
 * stands in a reference (`docker.io`, `localhost:5000`).
 * @returns undefined if there are none: the registry is asked without.
 */
export type CredentialProvider = (registry: string, repository: string) => Promise<Credentials | undefined>

/** The value of an Authorization header for user name and password (RFC 7617, UTF-8). */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`
}
