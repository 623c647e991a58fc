import { tmpdir } from 'node:os'
import { CosignetError, quote } from '../core/index.ts'
import {
  createDirectory,
  createDockerArchive,
  createDockerDaemon,
  createLayout,
  createLayoutArchive,
  type Descriptor,
  type Digest,
  formatReference,
  type ImageLocation,
  type ImageSource,
  openDirectory,
  openDockerArchive,
  openDockerDaemon,
  openLayout,
  openLayoutArchive,
  repositoryName,
  type StagedDestination,
  UNNAMED,
} from '../oci/index.ts'
import type { CopyTarget } from '../transfer/index.ts'
import type { DaemonAccess } from './daemon-access.ts'
import type { RegistryAccess } from './registry-access.ts'

/** The ways to where images are, each taken when it is needed. */
export interface PlaceAccess extends Pick<RegistryAccess, 'open' | 'openSource'> {
  openDaemon(): DaemonAccess
}

/** An image to read. */
export interface OpenedImage {
  readonly source: ImageSource
  /** What to ask the source for. */
  readonly from: string | Digest
  close(): Promise<void>
}

/** Opens the image at a location. @throws NOT_FOUND, FORBIDDEN, INVALID_*, FILE, UNAVAILABLE, UNSUPPORTED */
export async function openImage(
  location: ImageLocation,
  access: Pick<PlaceAccess, 'openSource' | 'openDaemon'>,
): Promise<OpenedImage> {
  switch (location.transport) {
    case 'docker': {
      const { reference } = location
      const source = await access.openSource(reference)
      return { source, from: reference.digest ?? reference.tag ?? 'latest', close: async () => undefined }
    }
    case 'oci':
      return rooted(await openLayout(location.path, location.image ?? location.index))
    case 'oci-archive': {
      const image = location.image ?? location.index
      const options = { temporaryFolder: tmpdir(), ...(image === undefined ? {} : { image }) }
      return rooted(await openLayoutArchive(location.path, options))
    }
    case 'dir':
      return rooted(await openDirectory(location.path))
    case 'docker-archive':
      return rooted(await openDockerArchive(location.path, location, { temporaryFolder: tmpdir() }))
    case 'docker-daemon': {
      const { name: image } = location
      const daemon = access.openDaemon()
      const opened = openDockerDaemon({ ...daemon, image, temporaryFolder: tmpdir() })
      return rooted(await opened.finally(() => daemon.http.close()))
    }
  }
}

function rooted(
  source: ImageSource & { readonly root: Digest | Descriptor; close?(): Promise<void> },
): OpenedImage {
  const { root } = source
  return {
    source,
    from: typeof root === 'string' ? root : root.digest,
    close: async () => await source.close?.(),
  }
}

/**
 * Opens a location to write an image to.
 * @param source where the image comes from: blobs of another repository of the same registry are mounted.
 * @throws USAGE, FORBIDDEN, INVALID_*, FILE, ALREADY_EXISTS, UNAVAILABLE, UNSUPPORTED
 */
export async function openTarget(
  location: ImageLocation,
  access: Pick<PlaceAccess, 'open' | 'openDaemon'>,
  source?: ImageLocation,
): Promise<CopyTarget> {
  if ('index' in location && location.index !== undefined) {
    throw new CosignetError(
      'USAGE',
      `${quote(formatLocation(location))} names a place to read, not to write.`,
      {
        hint: 'Name the image, or give the path alone.',
      },
    )
  }
  switch (location.transport) {
    case 'docker': {
      const { tag, digest } = location.reference
      const mountFrom = mountable(location, source)
      const registry = await access.open(location.reference, mountFrom === undefined ? {} : { mountFrom })
      return {
        destination: registry,
        readable: registry,
        tag,
        ...(digest === undefined ? {} : { digest }),
        commit: async () => undefined,
        abort: async () => undefined,
      }
    }
    case 'oci': {
      const layout = await createLayout(location.path)
      return { ...staged(layout, location.image), readable: layout }
    }
    case 'oci-archive':
      return staged(createLayoutArchive(location.path, { temporaryFolder: tmpdir() }), location.image)
    case 'dir':
      return staged(await createDirectory(location.path), undefined)
    case 'docker-archive': {
      const references = location.reference === undefined ? [] : [location.reference]
      const options = { references, temporaryFolder: tmpdir() }
      return staged(await createDockerArchive(location.path, options), undefined)
    }
    case 'docker-daemon':
      return await daemonTarget(location, access.openDaemon())
  }
}

/** Writes a location as it was given, its reference in full. */
export function formatLocation(location: ImageLocation): string {
  const { transport } = location
  switch (transport) {
    case 'docker':
      return `docker://${formatReference(location.reference)}`
    case 'docker-daemon':
      return `${transport}:${'id' in location.name ? location.name.id : formatReference(location.name)}`
    case 'docker-archive': {
      const name =
        location.reference === undefined ? placeOf(location) : `:${formatReference(location.reference)}`
      return `${transport}:${location.path}${name}`
    }
    case 'oci':
    case 'oci-archive':
      return `${transport}:${location.path}${location.image === undefined ? placeOf(location) : `:${location.image}`}`
    case 'dir':
      return `${transport}:${location.path}`
  }
}

function placeOf({ index }: { readonly index?: number }): string {
  return index === undefined ? '' : `:@${index}`
}

function staged(destination: StagedDestination, name: string | undefined): CopyTarget {
  return {
    destination,
    tag: name ?? UNNAMED,
    commit: (signal) => destination.commit(signal),
    abort: () => destination.abort(),
  }
}

async function daemonTarget(
  { name }: Extract<ImageLocation, { transport: 'docker-daemon' }>,
  daemon: DaemonAccess,
): Promise<CopyTarget> {
  const close = (): void => daemon.http.close()
  try {
    if ('id' in name) {
      throw new CosignetError('USAGE', `An image gets a name in the daemon, not the ID ${name.id}.`)
    }
    const options = { ...daemon, reference: name, temporaryFolder: tmpdir() }
    const target = staged(await createDockerDaemon(options), undefined)
    return {
      ...target,
      commit: (signal) => target.commit(signal).finally(close),
      abort: () => target.abort().finally(close),
    }
  } catch (error) {
    close()
    throw error
  }
}

function mountable(location: ImageLocation, source: ImageLocation | undefined): string | undefined {
  if (location.transport !== 'docker' || source?.transport !== 'docker') return undefined
  const same = location.reference.registry === source.reference.registry
  return same && repositoryName(location.reference) !== repositoryName(source.reference)
    ? source.reference.repository
    : undefined
}
