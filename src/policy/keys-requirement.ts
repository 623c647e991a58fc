import { CosignetError } from '../core/index.ts'
import type { OpenPgpKey, PublicKey } from '../keys/index.ts'
import type { RekorKeys } from '../signature/index.ts'

/** A key whose signatures count, or the OpenPGP keys of one file. */
export type TrustedKey =
  | {
      readonly kind: 'cosign'
      readonly key: PublicKey
      /** Where it came from, for people: `cosign.pub`. */
      readonly name: string
    }
  | { readonly kind: 'openpgp'; readonly keys: readonly OpenPgpKey[]; readonly name: string }

/** What `verify --key` asks of an image. It is no requirement of a policy file, and none can say it. */
export interface KeysRequirement {
  /** At least one. */
  readonly keys: readonly TrustedKey[]
  /** How many different keys must have signed: 1 to the number of those given. */
  readonly required: number
  /** Annotations that a signature must carry, with these values. */
  readonly annotations: Readonly<Record<string, string>>
  /** Whether a signature must name the digest of the image. False only looks at signatures in cosign's signature image. */
  readonly checkClaims: boolean
  /**
   * Logs of which one must have taken a signature in. Default: no log is asked for, as by cosign's
   * `--insecure-ignore-tlog`. OpenPGP signatures are in no log, so then none counts.
   */
  readonly rekorKeys?: RekorKeys
}

export type CosignKey = Extract<TrustedKey, { kind: 'cosign' }>

/** The keys that are not OpenPGP keys, in their order. */
export function cosignKeysOf({ keys }: KeysRequirement): readonly CosignKey[] {
  return keys.filter((trusted) => trusted.kind === 'cosign')
}

/** Tells OpenPGP keys apart by the fingerprint of the primary key, others by that of the SPKI: a file may repeat one. */
export function fingerprintsOf(keys: readonly TrustedKey[]): ReadonlySet<string> {
  return new Set(
    keys.flatMap((trusted) =>
      trusted.kind === 'cosign'
        ? [trusted.key.fingerprint]
        : trusted.keys.map(({ fingerprint }) => fingerprint),
    ),
  )
}

/** @throws USAGE if no image could ever meet the requirement, or any could. */
export function checkRequired({ keys, required }: KeysRequirement): void {
  const different = fingerprintsOf(keys).size
  if (Number.isSafeInteger(required) && required >= 1 && required <= different) return
  throw new CosignetError(
    'USAGE',
    `Signatures of ${required} different keys are asked for, and ${different} different key(s) are given.`,
  )
}
