import { CosignetError, collectBytes, type ErrorCode, isCosignetError, LIMITS } from '../core/index.ts'
import type { Descriptor, Digest, ImageSource } from '../oci/index.ts'
import { parseBundle, type UntrustedBundle } from './bundle-format.ts'
import { isBundle, isUntold } from './bundle-referrers.ts'
import { inParallel } from './in-parallel.ts'

/** A referrer that calls itself a bundle: what it holds, unverified, or why that is none. */
export type FoundBundle = ReadBundle | UnreadableBundle

export interface ReadBundle {
  /** Digest of the manifest that refers to the image. */
  readonly referrer: Digest
  /** As it is stored: JSON. */
  readonly bytes: Uint8Array
  readonly bundle: UntrustedBundle
}

export interface UnreadableBundle {
  readonly referrer: Digest
  readonly failure: 'bundle-unreadable'
  /** One sentence. */
  readonly message: string
}

/**
 * Reads the sigstore bundles that refer to an image, in the order of the registry's list. One that is missing,
 * malformed, too large or not what its digest says is told of in its place and hides no other; cosign passes over it in
 * silence.
 * @returns empty if there are none.
 * @throws TOO_LARGE beyond `LIMITS.referrers`, or `LIMITS.payloadsBytes` for all together; UNAVAILABLE, TIMEOUT,
 * UNAUTHORIZED, ABORTED and all else that is the registry's failure: what cannot be had now is never "no bundle".
 */
export async function readBundles(
  source: ImageSource,
  digest: Digest,
  signal?: AbortSignal,
): Promise<readonly FoundBundle[]> {
  return await readListedBundles(source, digest, await source.listReferrers(digest, signal), signal)
}

/** Reads the bundles among referrers that were listed. @throws as `readBundles` */
export async function readListedBundles(
  source: ImageSource,
  digest: Digest,
  listed: readonly Descriptor[],
  signal?: AbortSignal,
): Promise<readonly FoundBundle[]> {
  const candidates = listed.filter((referrer) => isBundle(referrer) || isUntold(referrer))
  const distinct = [...new Map(candidates.map((referrer) => [referrer.digest, referrer])).values()]
  const layers = await inParallel(distinct, signal, (referrer, either) => findLayer(source, referrer, either))
  const found = layers.filter((layer) => layer !== undefined)
  const total = found.reduce((sum, layer) => sum + ('size' in layer ? layer.size : 0), 0)
  if (total > LIMITS.payloadsBytes) {
    throw new CosignetError(
      'TOO_LARGE',
      `The sigstore bundles of ${digest} in ${source.name} together exceed the limit of ${LIMITS.payloadsBytes} bytes.`,
    )
  }
  return await inParallel(found, signal, async (layer, either) =>
    'failure' in layer ? layer : await readLayer(source, layer, either),
  )
}

/** The one layer of a referrer, which is a bundle. */
interface BundleLayer extends Pick<Descriptor, 'digest' | 'size'> {
  readonly referrer: Digest
}

/** @returns undefined for a referrer that does not say what it is, and is not there or holds something else. */
async function findLayer(
  source: ImageSource,
  referrer: Descriptor,
  signal: AbortSignal,
): Promise<BundleLayer | UnreadableBundle | undefined> {
  try {
    const { content } = await source.getManifest(referrer.digest, signal)
    const layers = content.kind === 'image' ? content.layers : []
    if (isUntold(referrer) && !isBundle(content) && !layers.some(isBundle)) return undefined
    const [layer] = layers
    if (layer === undefined || layers.length > 1 || !isBundle(layer)) {
      return unreadable(referrer.digest, `The referrer ${referrer.digest} does not hold one sigstore bundle.`)
    }
    if (layer.size > LIMITS.payloadBytes) {
      const limit = `the limit of ${LIMITS.payloadBytes} bytes`
      return unreadable(referrer.digest, `The sigstore bundle ${layer.digest} is larger than ${limit}.`)
    }
    return { digest: layer.digest, size: layer.size, referrer: referrer.digest }
  } catch (error) {
    if (isUntold(referrer) && isCosignetError(error, 'NOT_FOUND')) return undefined
    return faultOf(error, referrer.digest)
  }
}

async function readLayer(source: ImageSource, layer: BundleLayer, signal: AbortSignal): Promise<FoundBundle> {
  try {
    const what = `The sigstore bundle ${layer.digest}`
    const bytes = await collectBytes(source.getBlob(layer, signal), layer.size, what)
    return { referrer: layer.referrer, bytes, bundle: parseBundle(bytes) }
  } catch (error) {
    return faultOf(error, layer.referrer)
  }
}

/** What is wrong with one bundle, not with the registry. */
const OF_THE_BUNDLE: readonly ErrorCode[] = [
  'NOT_FOUND',
  'INVALID_MANIFEST',
  'INVALID_JSON',
  'INVALID_SIGNATURE',
  'DIGEST_MISMATCH',
  'TOO_LARGE',
]

function faultOf(error: unknown, referrer: Digest): UnreadableBundle {
  if (isCosignetError(error, ...OF_THE_BUNDLE)) return unreadable(referrer, error.message)
  throw error
}

function unreadable(referrer: Digest, message: string): UnreadableBundle {
  return { referrer, failure: 'bundle-unreadable', message }
}
