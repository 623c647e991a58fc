import { isCosignetError } from '../core/index.ts'
import type { ImageLocation } from '../oci/index.ts'
import { isSeenByCosign, type Verdict } from '../policy/index.ts'
import type { Verified } from './verify-images.ts'

/** What `cosign verify` exits with (cosign, cmd/cosign/errors/exit_codes.go); 1 for all else that fails. */
const COSIGN_EXITS = { verified: 0, failed: 1, unsigned: 10, missing: 11, mismatch: 12 } as const

type CosignExit = (typeof COSIGN_EXITS)[keyof typeof COSIGN_EXITS]

/**
 * The exit status that cosign would have: that of the first image that is not verified, with which it stops.
 * @param locations of the images, in the order of `results`.
 */
export function cosignExit(locations: readonly ImageLocation[], results: readonly Verified[]): CosignExit {
  for (const [i, result] of results.entries()) {
    const exit = 'error' in result ? exitOfError(result.error) : exitOfVerdict(result, locations[i])
    if (exit !== COSIGN_EXITS.verified) return exit
  }
  return COSIGN_EXITS.verified
}

function exitOfVerdict(verdict: Verdict, location: ImageLocation | undefined): CosignExit {
  if (verdict.outcome === 'allowed') return COSIGN_EXITS.verified
  // Its table is for its own kind of signature in a registry alone.
  const seen = (verdict.signatures ?? []).filter(isSeenByCosign)
  const isBundled = seen.some(({ kind }) => kind === 'bundle')
  if (isBundled || location?.transport !== 'docker') return COSIGN_EXITS.failed
  return seen.length === 0 ? COSIGN_EXITS.unsigned : COSIGN_EXITS.mismatch
}

function exitOfError(error: unknown): CosignExit {
  return isCosignetError(error, 'NOT_FOUND') ? COSIGN_EXITS.missing : COSIGN_EXITS.failed
}
