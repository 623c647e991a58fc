import type { Clock } from '../core/index.ts'
import type { Digest, ImageSource, Reference } from '../oci/index.ts'
import type { SignatureStore } from '../signature/index.ts'
import type { KeysRequirement } from './keys-requirement.ts'
import type { TraceStep } from './trace.ts'

export interface EvaluateKeysOptions {
  readonly requirement: KeysRequirement
  /** The image, or the index, whose signatures are looked for. */
  readonly image: {
    /** As it was asked for: a reference, normalised, or a location (`oci:/path`). */
    readonly name: string
    /** Undefined outside registries. */
    readonly reference?: Reference
    readonly digest: Digest
  }
  /** Where the image is; its signature image and the bundles that refer to it are read from there. */
  readonly source: ImageSource
  /** Opens the signature store of the image; or gives the reason why it has none, without a full stop. */
  readonly openSignatures?: () => Promise<
    { readonly store: SignatureStore } | { readonly store: undefined; readonly reason: string }
  >
  /** By which keys and certificates expire. */
  readonly now: Clock
  readonly signal?: AbortSignal
}

/** What signatures are judged with. */
export interface KeysContext extends EvaluateKeysOptions {
  readonly trace: TraceStep[]
}
