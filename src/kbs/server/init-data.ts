import { createHash } from 'node:crypto'
import { parse, TomlError } from 'smol-toml'
import * as z from 'zod'
import type { JsonValue } from '../../core/index.ts'
import { HASH_ALGORITHMS } from '../protocol/report-data.ts'
import type { TokenClaims } from './ear-token.ts'
import { readShape } from './shape.ts'

const INIT_DATA = z.object({
  version: z.string(),
  algorithm: z.enum(HASH_ALGORITHMS),
  data: z.record(z.string(), z.string()),
})

/** Where the claims hold TOML in TOML. */
const NESTED = ['aa.toml', 'cdh.toml'] as const
const POLICY = 'policy.rego'
const POLICY_DATA = 'policy_data := '

/**
 * Reads init data as Trustee does (attestation-service/src/lib.rs, `parse_init_data`): the digest over the very bytes
 * of the text, and its entries as claims, nested TOML read, an agent policy reduced to its data.
 * @throws Error, whose message goes to the log.
 */
export function readInitData(body: string): { readonly digest: Uint8Array; readonly claims: TokenClaims } {
  const { algorithm, data } = readShape(INIT_DATA, parseToml(body), 'The init data')
  const claims: Record<string, JsonValue> = { ...data }
  for (const name of NESTED) {
    const nested = data[name] === undefined ? undefined : parseNested(data[name])
    if (nested !== undefined) claims[name] = nested
  }
  const policyData = data[POLICY] === undefined ? undefined : extractPolicyData(data[POLICY])
  if (policyData !== undefined) {
    delete claims[POLICY]
    claims['agent_policy_claims'] = policyData
  }
  return { digest: createHash(algorithm).update(body, 'utf8').digest(), claims }
}

function parseToml(body: string): unknown {
  try {
    return parse(body)
  } catch (error) {
    if (!(error instanceof TomlError)) throw error
    // Its own message quotes the text.
    throw new Error(`The init data is not TOML: line ${error.line}, column ${error.column}`)
  }
}

function parseNested(text: string): JsonValue | undefined {
  try {
    // Dates become text; in Trustee's token they are objects with the one member `$__toml_private_datetime`.
    return JSON.parse(JSON.stringify(parse(text))) as JsonValue
  } catch {
    return undefined
  }
}

/** The JSON object that must be the last thing in the policy. */
function extractPolicyData(policy: string): JsonValue | undefined {
  const start = policy.indexOf(`${POLICY_DATA}{`)
  if (start === -1) return undefined
  try {
    return JSON.parse(policy.slice(start + POLICY_DATA.length)) as JsonValue
  } catch {
    return undefined
  }
}
