import { CosignetError, encodeUtf8, isCosignetError, quote, reasonOf } from '../core/index.ts'
import { type PublicKey, parsePublicKey } from '../keys/index.ts'
import type { RequirementContext } from './context.ts'
import { guestPemContent } from './key-pem.ts'
import type { KeyFields } from './policy.ts'
import { PROFILES } from './profiles.ts'
import { parseResourceLocation, type ResourceLocation } from './resources.ts'
import { unusableKey } from './usable-key.ts'
import type { DenialCause } from './verdict.ts'

/** The key of a requirement, or why the verifier has none. */
export type KeyOutcome = { readonly key: PublicKey; readonly name: string } | { readonly cause: DenialCause }

/**
 * Fetches and parses the key that a requirement names, by the rules of the profile.
 * @throws what the resource provider throws because it cannot be reached.
 */
export async function loadPolicyKey(context: RequirementContext, fields: KeyFields): Promise<KeyOutcome> {
  const loaded = await loadBytes(context, fields)
  if ('cause' in loaded) return failed(context, loaded.cause)
  const { bytes, name } = loaded
  try {
    const key = readKey(bytes, name)
    const reason = unusableKey(key, PROFILES[context.profile].rules)
    if (reason !== undefined) {
      const message = `${name} is ${reason}.`
      return failed(context, { code: 'key-invalid', message, fix: REPLACE_KEY })
    }
    context.trace.push({
      step: 'key',
      outcome: 'ok',
      message: `${name} is an ${key.algorithm} key with the fingerprint ${key.fingerprint}.`,
      facts: { algorithm: key.algorithm, fingerprint: key.fingerprint },
    })
    return { key, name }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_KEY')) throw error
    return failed(context, { code: 'key-invalid', message: error.message, fix: error.hint ?? REPLACE_KEY })
  }
}

/** Reads the key that the guest would find in the file. @throws INVALID_KEY */
function readKey(bytes: Uint8Array, name: string): PublicKey {
  const key = readGuestKey(bytes, name)
  if (key !== undefined) return key
  // Read for the message alone, which says what the file is instead.
  parsePublicKey(bytes, name)
  throw new CosignetError(
    'INVALID_KEY',
    `${name} is not valid: the guest cannot read its PEM block, which other programs can.`,
    { hint: 'Write it as PUBLIC KEY (SPKI) and without blank lines, as `cosignet key generate` does.' },
  )
}

function readGuestKey(bytes: Uint8Array, name: string): PublicKey | undefined {
  const content = guestPemContent(bytes)
  if (content === undefined) return undefined
  const pem = `-----BEGIN PUBLIC KEY-----\n${content.toString('base64')}\n-----END PUBLIC KEY-----\n`
  try {
    return parsePublicKey(encodeUtf8(pem), name)
  } catch (error) {
    if (isCosignetError(error, 'INVALID_KEY')) return undefined
    throw error
  }
}

const REPLACE_KEY =
  'Put the PEM of a P-256 public key there, as `cosignet key generate` writes it to cosign.pub.'

type LoadedBytes = { readonly bytes: Uint8Array; readonly name: string } | { readonly cause: DenialCause }

async function loadBytes(context: RequirementContext, { keyPath, keyData }: KeyFields): Promise<LoadedBytes> {
  if (keyPath === undefined && keyData === undefined) return invalidSource('has neither keyPath nor keyData')
  if (keyPath !== undefined && keyData !== undefined) return invalidSource('has both keyPath and keyData')
  // The text itself is the PEM; podman's base64 of it is none to either verifier.
  if (keyData !== undefined) return { bytes: encodeUtf8(keyData), name: 'The key in keyData' }
  const path = keyPath ?? ''
  const location = locate(path)
  if ('cause' in location) return location
  const name = `The key ${quote(path)}`
  const answer = await context.resources(location.location, context.signal)
  if (answer.outcome === 'found') return { bytes: answer.bytes, name }
  return { cause: { code: 'key-missing', message: answer.message, fix: answer.fix } }
}

function locate(path: string): { readonly location: ResourceLocation } | { readonly cause: DenialCause } {
  try {
    return { location: parseResourceLocation(path) }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_POLICY')) throw error
    return invalidSource(`has a keyPath that cannot be used: ${reasonOf(error)}`)
  }
}

function invalidSource(reason: string): { readonly cause: DenialCause } {
  return {
    cause: {
      code: 'key-source-invalid',
      message: `The sigstoreSigned requirement ${reason}.`,
      fix: 'Give exactly one of them, for example "keyPath": "kbs:///default/sig-public-key/test".',
    },
  }
}

function failed(context: RequirementContext, cause: DenialCause): { readonly cause: DenialCause } {
  context.trace.push({ step: 'key', outcome: 'failed', message: cause.message })
  return { cause }
}
