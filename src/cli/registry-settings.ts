/** How registries are reached; what is left out is as the files of this machine say. */
export interface RegistrySettings {
  /** File with PEM certificates of authorities, to trust beside the known ones. */
  readonly registryCa?: string
  /** A folder of certificates for whatever host, in place of `certs.d`. */
  readonly certDir?: string
  /** `true`: TLS with a trusted certificate, whatever registries.conf says. `false`: neither is required. */
  readonly tlsVerify?: boolean
  /** For the registry that a reference names, and never for a mirror elsewhere. `none`: nobody is logged in to. */
  readonly creds?: { readonly username: string; readonly password: string } | 'none'
  /** Sent as it is to the registry that a reference names, and to no other host. */
  readonly registryToken?: string
  /** The only file of credentials. */
  readonly authfile?: string
  /** How often a request is repeated that failed for the moment. Default: as `RegistryOptions`. */
  readonly retries?: number
}
