import type { FlagParametersForType } from '@stricli/core'
import { type ImageLocation, parseLocation } from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { type DaemonAccess, openDaemon } from './daemon-access.ts'
import { optionalText } from './flags.ts'
import { type OpenedImage, openImage } from './image-access.ts'
import { openRegistryAccess, type RegistryAccess } from './registry-access.ts'
import {
  type RegistrySideFlags,
  registryFlags,
  registrySettings,
  SHARED_REGISTRY_FLAGS,
  type SharedRegistryFlags,
} from './registry-flags.ts'

/** How a command that speaks to one registry reaches it. */
export type OneRegistryFlags = SharedRegistryFlags & RegistrySideFlags<''>

export const ONE_REGISTRY_FLAGS: FlagParametersForType<OneRegistryFlags> = {
  ...SHARED_REGISTRY_FLAGS,
  ...registryFlags(''),
}

/** How a command that reads one image reaches it. */
export type OneImageFlags = OneRegistryFlags & { readonly daemonHost?: string | undefined }

export const ONE_IMAGE_FLAGS: FlagParametersForType<OneImageFlags> = {
  ...ONE_REGISTRY_FLAGS,
  daemonHost: optionalText('Docker daemon to read from (default: DOCKER_HOST)', 'HOST'),
}

/** Lends the image at a location, given as skopeo spells it, to `use`. @throws INVALID_REFERENCE, and as `openImage` */
export async function withImage<T>(
  cli: Cli,
  flags: OneImageFlags,
  name: string,
  use: (image: OpenedImage, location: ImageLocation) => Promise<T>,
): Promise<T> {
  const location = parseLocation(name)
  return await withImageAt(cli, flags, location, async (image) => await use(image, location))
}

/** Lends the image at a location, and the way to registries, to `use`. @throws as `openImage` */
export async function withImageAt<T>(
  cli: Cli,
  flags: OneImageFlags,
  location: ImageLocation,
  use: (image: OpenedImage, access: RegistryAccess) => Promise<T>,
): Promise<T> {
  const access = await openRegistryAccess(cli, registrySettings('', flags))
  try {
    const openDaemonHost = (): DaemonAccess => openDaemon(cli, flags.daemonHost)
    const image = await openImage(location, { ...access, openDaemon: openDaemonHost })
    try {
      return await use(image, access)
    } finally {
      await image.close()
    }
  } finally {
    access.close()
  }
}
