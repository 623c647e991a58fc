import { type JsonNode, quote } from '../core/index.ts'
import type { UntrustedPayload } from '../signature/index.ts'
import type { KeysContext } from './keys-context.ts'
import type { Fault, SignatureClaims } from './seen-signature.ts'

/** What a payload of simple signing says. To cosign a creator is an annotation like any other. */
export function claimsOf({ dockerReference, manifestDigest, optional }: UntrustedPayload): SignatureClaims {
  const texts = [...(optional?.extra ?? [])].flatMap(([key, node]: [string, JsonNode]) =>
    node.kind === 'string' ? [[key, node.value] as const] : [],
  )
  const creator = optional?.creator
  if (creator !== undefined) texts.push(['creator', creator])
  return {
    reference: dockerReference,
    digest: manifestDigest,
    ...(texts.length === 0 ? {} : { annotations: Object.fromEntries(texts) }),
    ...(creator === undefined ? {} : { creator }),
  }
}

/**
 * Checks what a payload that one of the keys signed says: the digest of the image, and the annotations asked for. The
 * repository that it names does not matter.
 * @param payload undefined for one that cannot be read.
 */
export function checkClaims(
  { requirement, image }: KeysContext,
  payload: UntrustedPayload | undefined,
): Fault | undefined {
  const wanted = Object.entries(requirement.annotations)
  if (payload === undefined) {
    return requirement.checkClaims || wanted.length > 0
      ? { code: 'unreadable', message: 'It is good, and its payload cannot be read.' }
      : undefined
  }
  if (requirement.checkClaims && payload.manifestDigest !== image.digest) {
    return { code: 'other-image', message: `It is of the image ${quote(payload.manifestDigest)}.` }
  }
  const { annotations = {} } = claimsOf(payload)
  const missing = wanted.find(
    ([key, value]) => !Object.hasOwn(annotations, key) || annotations[key] !== value,
  )
  return missing === undefined
    ? undefined
    : {
        code: 'annotation-mismatch',
        message: `It does not carry the annotation ${quote(missing.join('='))}.`,
      }
}

/** Why a signature of another kind than cosign's own does not count where its claims shall not be looked at. */
export const CLAIMS_UNCHECKED: Fault = {
  code: 'unsupported',
  message: 'Only cosign signatures beside an image are taken without looking at what they are of.',
}
