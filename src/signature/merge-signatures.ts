import { isCosignetError } from '../core/index.ts'
import type { Digest, ImageDestination, ImageSource, Manifest } from '../oci/index.ts'
import { appendSignatures, type Pause } from './append-signature.ts'
import { readTagged, signatureLayers } from './read-attachments.ts'
import { layersOf } from './signature-image.ts'

export interface MergeOptions {
  readonly store: ImageSource & ImageDestination
  readonly tag: string
  /** The signature image to bring there; its blobs are stored already. */
  readonly manifest: Manifest
  readonly signal: AbortSignal
  readonly pause?: Pause
}

/**
 * Brings a signature image to a tag. Where there is none it is stored as it is, byte for byte; where there is another,
 * the signatures that it lacks are added to it, and none of its own is lost.
 * @returns whether anything was written, and the digest of what stands at the tag.
 * @throws INVALID_SIGNATURE if the tag holds an index; CONFLICT, TOO_LARGE, and what the store throws
 */
export async function mergeSignatures(options: MergeOptions): Promise<{ written: boolean; digest: Digest }> {
  const { store, tag, manifest, signal, pause } = options
  let base = await readTagged(store, tag, signal)
  if (base === undefined) {
    try {
      await store.putManifest(manifest, { tag, ifMatch: null, signal })
      return { written: true, digest: manifest.digest }
    } catch (error) {
      if (!isCosignetError(error, 'CONFLICT')) throw error
      base = await readTagged(store, tag, signal)
    }
  }
  if (base?.digest === manifest.digest) return { written: false, digest: manifest.digest }
  if (base !== undefined) signatureLayers(base, store.name)
  const has = (current: Manifest, layer: string): boolean => layersOf(current).includes(layer)
  return await appendSignatures({ store, tag, layers: layersOf(manifest), has, signal, pause }, base)
}
