/** What a signature must claim to be the name of (containers-policy.json(5), "signedIdentity"). */
export type SignedIdentity =
  | { readonly type: 'matchExact' }
  | { readonly type: 'matchRepoDigestOrExact' }
  | { readonly type: 'matchRepository' }
  | { readonly type: 'exactReference'; readonly dockerReference: string }
  | { readonly type: 'exactRepository'; readonly dockerRepository: string }
  | { readonly type: 'remapIdentity'; readonly prefix: string; readonly signedPrefix: string }

/** Where a requirement takes its key from, as written; both or neither is a mistake that shows at evaluation. */
export interface KeyFields {
  /** A path or URI: `kbs:///default/sig-public-key/test`, `file:///etc/key.pub`, `/etc/key.pub`. */
  readonly keyPath?: string
  /** The key itself; whether as PEM or base64 is a rule of the profile. */
  readonly keyData?: string
}

/** One requirement of a policy (containers-policy.json(5), "POLICY REQUIREMENTS"). */
export type Requirement =
  | { readonly type: 'insecureAcceptAnything' }
  | { readonly type: 'reject' }
  | ({ readonly type: 'sigstoreSigned'; readonly signedIdentity?: SignedIdentity } & KeyFields)
  | ({
      readonly type: 'signedBy'
      readonly keyType: string
      readonly signedIdentity?: SignedIdentity
    } & KeyFields)

/** Requirements by scope; the key `""` is the default of the transport. */
export type Scopes = ReadonlyMap<string, readonly Requirement[]>

/** A containers-policy.json, parsed. */
export interface Policy {
  readonly default: readonly Requirement[]
  /** Scopes by transport; the guest looks up only `docker`. */
  readonly transports: ReadonlyMap<string, Scopes>
}
