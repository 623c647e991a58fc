import { CosignetError } from '../core/index.ts'
import type { Descriptor, DestinationRules, Manifest } from '../oci/index.ts'
import { convertManifest, formatOf, type ImageFormat } from './convert-manifest.ts'

export interface ConvertOptions {
  readonly rules: DestinationRules
  /** Of the destination, for messages. */
  readonly name: string
  /** The format that was asked for. */
  readonly format: ImageFormat | undefined
  /** Why digests must stay, as the end of a sentence; undefined if they need not. */
  readonly bound: string | undefined
  /** Blobs that have other content at the destination, by their digest in the source. */
  readonly replaced: ReadonlyMap<string, Pick<Descriptor, 'digest' | 'size' | 'mediaType'>>
}

/**
 * Brings the manifests of an image into the form that a destination takes: the format asked for, else their own where
 * the destination takes it, else the one that it takes. What needs no change keeps its bytes.
 * @param manifests those that an index names before it.
 * @returns in the same order.
 * @throws UNSUPPORTED where the destination takes no such thing, or a digest would change that must stay
 */
export function convertImage(manifests: readonly Manifest[], options: ConvertOptions): readonly Manifest[] {
  const replaced = new Map(options.replaced)
  return manifests.map((manifest) => {
    const format = formatFor(manifest, options)
    const changes = format !== formatOf(manifest) || namesOf(manifest).some((digest) => replaced.has(digest))
    if (!changes) return manifest
    if (options.bound !== undefined) throw digestWouldChange(manifest, options)
    const converted = convertManifest(manifest, format, replaced)
    const { mediaType, digest, bytes } = converted
    replaced.set(manifest.digest, { mediaType, digest, size: bytes.byteLength })
    return converted
  })
}

function formatFor(manifest: Manifest, { rules, name, format, bound }: ConvertOptions): ImageFormat {
  const taken = rules.manifests.map((mediaType) => ({ mediaType, format: formatOf({ mediaType }) }))
  const own = formatOf(manifest)
  const kind = manifest.content.kind
  const possible = taken.filter(({ mediaType }) => isIndex(mediaType) === (kind === 'index'))
  const [first] = possible
  if (first === undefined) {
    throw new CosignetError('UNSUPPORTED', `${name} holds one image and no index.`, {
      hint: 'Copy the image of one platform, without --all.',
    })
  }
  if (format !== undefined) {
    if (possible.some((one) => one.format === format)) return format
    throw new CosignetError('UNSUPPORTED', `${name} does not take the format ${format}.`)
  }
  const wanted = bound === undefined ? (rules.prefers ?? own) : own
  return possible.some((one) => one.format === wanted) ? wanted : first.format
}

function isIndex(mediaType: string): boolean {
  return /(?:index|list)\.v\d\+json$/.test(mediaType)
}

function namesOf({ content }: Manifest): readonly string[] {
  if (content.kind === 'index') return content.manifests.map(({ digest }) => digest)
  return [content.config, ...content.layers].map(({ digest }) => digest)
}

function digestWouldChange({ digest }: Manifest, { name, bound }: ConvertOptions): CosignetError {
  return new CosignetError(
    'UNSUPPORTED',
    `The image ${digest} must get another digest for ${name}, and must not: ${bound}.`,
    { hint: 'Leave out --format or --preserve-digests, or copy the image alone with --remove-signatures.' },
  )
}
