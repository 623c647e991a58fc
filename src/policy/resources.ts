import { CosignetError, quote } from '../core/index.ts'

/** A place outside the policy that it names: in the KBS, or in the verifier's own file system. */
export type ResourceLocation =
  /** `uri` as written, `kbs:///default/type/tag`. */
  | { readonly kind: 'kbs'; readonly uri: string }
  /** Absolute path. */
  | { readonly kind: 'file'; readonly path: string }

/** What a provider knows of a resource. */
export type ResourceAnswer =
  | { readonly outcome: 'found'; readonly bytes: Uint8Array }
  /** The verifier itself would not get it either. */
  | { readonly outcome: 'missing'; readonly message: string; readonly fix: string }

/**
 * Fetches what a policy names; passed in by whoever knows where the verifier's resources are.
 * @throws anything else than a missing resource: what cannot be reached leaves the decision open.
 */
export type ResourceProvider = (location: ResourceLocation, signal?: AbortSignal) => Promise<ResourceAnswer>

/**
 * Reads a key path or policy URI as the guest does (image-rs `resource/mod.rs`): without `://` it is a path in the
 * guest's file system, from the root even if it does not start there; `kbs:` and `kbs+<plugin>:` go to the KBS.
 * @throws INVALID_POLICY with the scheme that is not supported.
 */
export function parseResourceLocation(text: string): ResourceLocation {
  const uri = text.includes('://') ? text : `file://${text}`
  const scheme = /^([A-Za-z][A-Za-z0-9+.-]*):\/\//.exec(uri)?.[1]?.toLowerCase()
  if (scheme === undefined) throw new CosignetError('INVALID_POLICY', `${quote(text)} is not a path or URI.`)
  if (scheme === 'kbs' || scheme.startsWith('kbs+')) return { kind: 'kbs', uri }
  if (scheme === 'file') return { kind: 'file', path: pathOf(uri, text) }
  throw new CosignetError(
    'INVALID_POLICY',
    `Resource URI scheme \`${scheme}\` not supported: ${quote(text)}.`,
  )
}

/** The path of a `file://` URL. The first part of `file://keys/a` is a host, so the guest opens `/a`. */
function pathOf(uri: string, text: string): string {
  if (!URL.canParse(uri)) throw new CosignetError('INVALID_POLICY', `${quote(text)} is not a path or URI.`)
  return new URL(uri).pathname
}
