import { folderFiles } from './layout-files.ts'
import { type LocalImage, openLayoutImage } from './layout-image.ts'

/**
 * Opens an image in a folder that is an OCI image layout (`oci:`).
 * @param image name in the layout (`org.opencontainers.image.ref.name`) or place in its index, from 0. Default: the
 * only image that there is, not counting what goes with another one.
 * @throws NOT_FOUND if the layout has no such image; INVALID_REFERENCE if it has several and none is named;
 * INVALID_IMAGE if the folder is not a layout; INVALID_MANIFEST, FILE, TOO_LARGE
 */
export async function openLayout(path: string, image?: string | number): Promise<LocalImage> {
  return await openLayoutImage(folderFiles(path, `oci:${path}`), image)
}
