import { type DockerArchiveImage, openImage } from './docker-archive.ts'
import { DockerArchiveDestination } from './docker-archive-destination.ts'
import { type DockerDaemon, exportImage, loadImage } from './docker-daemon-api.ts'
import type { ImageLocation } from './location.ts'
import type { Reference } from './reference.ts'
import type { StagedDestination } from './store.ts'
import { openTarStream } from './tar-index.ts'
import { createTemporaryTar } from './tar-writer.ts'

type DaemonImage = Extract<ImageLocation, { transport: 'docker-daemon' }>['name']

export interface OpenDaemonOptions extends DockerDaemon {
  readonly image: DaemonImage
  /** Where the archive that the daemon sends is kept until `close`. */
  readonly temporaryFolder: string
  readonly signal?: AbortSignal
}

/**
 * Opens an image of a Docker daemon: has it saved as an archive, whose manifest comes at its end, and opens that.
 * @throws NOT_FOUND, UNAVAILABLE, BAD_RESPONSE, TIMEOUT, ABORTED, and as `openDockerArchive`
 */
export async function openDockerDaemon(options: OpenDaemonOptions): Promise<DockerArchiveImage> {
  const { image, temporaryFolder, signal } = options
  const shown = nameOf(image)
  const name = `docker-daemon:${shown}`
  const archive = await exportImage(options, shown, signal)
  const tar = await openTarStream(archive, `The archive of ${name}`, { temporaryFolder })
  try {
    return await openImage(tar, {}, name)
  } catch (error) {
    await tar.close()
    throw error
  }
}

export interface CreateDaemonOptions extends DockerDaemon {
  /** With a tag: the image's name in the daemon. One that it has loses the name at `commit`. */
  readonly reference: Reference
  /** Where the archive grows until `commit` sends it. */
  readonly temporaryFolder: string
}

/**
 * Writes an image to a Docker daemon: to an archive first, which is checked as that of `createDockerArchive`, so that
 * the daemon gets all of a good image or nothing. `commit` has it loaded.
 * @throws FILE
 */
export async function createDockerDaemon(options: CreateDaemonOptions): Promise<StagedDestination> {
  const { reference, temporaryFolder } = options
  const name = `docker-daemon:${nameOf(reference)}`
  const tar = await createTemporaryTar(temporaryFolder, `The archive for ${name}`)
  const commit = async (signal?: AbortSignal): Promise<void> => {
    try {
      await loadImage(options, await tar.finish(), `Writing ${name}`, signal)
    } finally {
      await tar.abort()
    }
  }
  return new DockerArchiveDestination({ name, references: [reference], tar, commit })
}

/** As the docker command names it: what is normal on Docker Hub is left out. */
function nameOf(image: DaemonImage): string {
  if ('id' in image) return image.id
  const { registry, repository, tag = 'latest' } = image
  const path = repository.replace(/^library\/(?=[^/]*$)/, '')
  return registry === 'docker.io' ? `${path}:${tag}` : `${registry}/${repository}:${tag}`
}
