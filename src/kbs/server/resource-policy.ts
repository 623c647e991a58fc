import { primaryEvidence, type TokenClaims } from './ear-token.ts'

/** What a resource policy decides about. */
export interface ResourcePolicyInput {
  /** Claims of the verified token. */
  readonly claims: TokenClaims
  /** `resource`, or the name of another plugin. */
  readonly plugin: string
  /** Segments after the plugin. */
  readonly path: readonly string[]
  readonly query: Readonly<Record<string, string>>
}

/** Whether a resource is released; a failure counts as no. */
export type ResourcePolicy = (input: ResourcePolicyInput) => Promise<boolean>

/**
 * The rule that Trustee starts with (kbs/sample_policies/default.rego): resources go to everyone who was attested but
 * the sample TEE. As in Rego, only an absent claim and `false` are no sample evidence.
 */
export const defaultResourcePolicy: ResourcePolicy = async ({ claims, plugin }) => {
  const sample = primaryEvidence(claims)?.['sample']
  return plugin === 'resource' && (sample === undefined || sample === false)
}

/**
 * Insecure: releases every resource to whoever completes the handshake, the sample TEE included, whose evidence anyone
 * can make up. For demonstrations and tests with resources that are no secrets.
 */
export const insecureSampleResourcePolicy: ResourcePolicy = async ({ plugin }) => plugin === 'resource'
