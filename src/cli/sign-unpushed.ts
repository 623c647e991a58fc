import { tmpdir } from 'node:os'
import { CosignetError } from '../core/index.ts'
import { MANIFEST_MEDIA_TYPES, type Manifest, parseManifest } from '../oci/index.ts'
import { copyImage } from '../transfer/index.ts'
import type { OpenedImage } from './image-access.ts'

/**
 * The manifest that an image of `docker-daemon:` or `docker-archive:`, which has none of its own, will have in a registry
 * once `image copy` has put it there: what a copy does is done, and nothing is kept.
 * @throws as `copyImage`
 */
export async function manifestWhenPushed(
  { source, from }: OpenedImage,
  signal: AbortSignal,
): Promise<Manifest> {
  let manifest: Manifest | undefined
  await copyImage({
    source,
    from,
    openTarget: async () => ({
      destination: {
        name: 'a registry',
        rules: { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: true },
        putBlob: async () => 'present',
        putManifest: async ({ bytes, mediaType }) => {
          manifest = parseManifest(bytes, mediaType, `The manifest of ${source.name}`)
        },
      },
      tag: undefined,
      commit: async () => undefined,
      abort: async () => undefined,
    }),
    select: 'all',
    attached: false,
    preserveDigests: false,
    temporaryFolder: tmpdir(),
    signal,
  })
  if (manifest !== undefined) return manifest
  throw new CosignetError('INTERNAL', `${source.name} has no manifest.`)
}
