import { tmpdir } from 'node:os'
import { type Digest, type ImageDestination, MANIFEST_MEDIA_TYPES } from '../oci/index.ts'
import { copyImage } from '../transfer/index.ts'
import type { OpenedImage } from './image-access.ts'

/** Takes everything as a registry does, and keeps nothing. */
const NOWHERE: ImageDestination = {
  name: 'a registry',
  rules: { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: true },
  putBlob: async () => 'present',
  putManifest: async () => undefined,
}

/**
 * The digest that an image of `docker-daemon:` or `docker-archive:`, which has none of its own, will have in a registry
 * once `image copy` has put it there: what a copy does is done, and nothing is kept.
 * @throws as `copyImage`
 */
export async function digestWhenPushed({ source, from }: OpenedImage, signal: AbortSignal): Promise<Digest> {
  const copied = await copyImage({
    source,
    from,
    openTarget: async () => ({
      destination: NOWHERE,
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
  if (copied.outcome === 'copied') return copied.digest
  throw new Error('Without a policy, nothing is refused.')
}
