import { isCosignetError, quote } from '../core/index.ts'
import { formatReference, parseReference, type Reference, repositoryName } from '../oci/index.ts'
import type { SignedIdentity } from './policy.ts'

/**
 * Compares the name that a signature claims with the name by which the image is pulled, as the guest does (image-rs
 * `ref_match.rs`): full names as raw strings, repositories after normalisation.
 * @param pulled reference as the Pod gives it, normalised.
 * @param claimed `docker-reference` of the payload, as it stands.
 * @returns undefined if they match, else the reason as half a sentence.
 */
export function identityMismatch(
  identity: SignedIdentity,
  pulled: Reference,
  claimed: string,
): string | undefined {
  switch (identity.type) {
    case 'matchExact':
      if (pulled.digest !== undefined) return 'matchExact never accepts an image that is pulled by digest'
      return sameText(formatReference(pulled), claimed)
    case 'matchRepoDigestOrExact':
      return matchRepoDigestOrExact(pulled, claimed)
    case 'matchRepository':
      return sameRepository(repositoryName(pulled), claimed)
    case 'exactReference':
      return sameText(identity.dockerReference, claimed)
    case 'exactRepository':
      return sameRepository(identity.dockerRepository, claimed)
    case 'remapIdentity':
      return matchRemapped(identity, pulled, claimed)
  }
}

function matchRepoDigestOrExact(pulled: Reference, claimed: string): string | undefined {
  // Tag and digest are two independent checks in the guest, so a reference with both must pass both.
  const byTag = pulled.tag === undefined ? undefined : sameText(formatReference(pulled), claimed)
  if (byTag !== undefined || pulled.digest === undefined) return byTag
  return sameRepository(repositoryName(pulled), claimed)
}

function matchRemapped(
  identity: { readonly prefix: string; readonly signedPrefix: string },
  pulled: Reference,
  claimed: string,
): string | undefined {
  const name = formatReference(pulled)
  // The guest replaces the bare prefix, with no regard to where a path component ends.
  const remapped = name.startsWith(identity.prefix)
    ? identity.signedPrefix + name.slice(identity.prefix.length)
    : name
  const reference = tryParseReference(remapped)
  if (reference === undefined) return `the remapped name ${quote(remapped)} is not an image reference`
  return matchRepoDigestOrExact(reference, claimed)
}

function sameText(expected: string, claimed: string): string | undefined {
  return expected === claimed
    ? undefined
    : `the signature is for ${quote(claimed)}, not for ${quote(expected)}`
}

function sameRepository(expected: string, claimed: string): string | undefined {
  const reference = tryParseReference(claimed)
  if (reference === undefined)
    return `the name in the signature, ${quote(claimed)}, is not an image reference`
  return sameText(expected, repositoryName(reference))
}

function tryParseReference(text: string): Reference | undefined {
  try {
    return parseReference(text)
  } catch (error) {
    if (isCosignetError(error, 'INVALID_REFERENCE')) return undefined
    throw error
  }
}
