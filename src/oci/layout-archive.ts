import { CosignetError } from '../core/index.ts'
import { type ImageFiles, stoppable } from './layout-files.ts'
import { type LocalImage, openLayoutImage } from './layout-image.ts'
import type { Descriptor } from './manifest.ts'
import { openTar, type TarFile } from './tar-index.ts'
import { verifiedStream } from './verified-stream.ts'

export interface LayoutArchiveOptions {
  /** Name in the layout or place in its index, from 0. Default: the only image, as for `openLayout`. */
  readonly image?: string | number | undefined
  /** Where an archive that is compressed or a pipe is unpacked to, for as long as it is open. */
  readonly temporaryFolder: string
}

/** An image in an archive, which stays open until it is closed. */
export interface ArchivedImage extends LocalImage {
  close(): Promise<void>
}

/**
 * Opens an image in a tar file of an OCI image layout (`oci-archive:`). Blobs are read where they stand in it.
 * @throws as `openLayout`; INVALID_IMAGE, UNSUPPORTED if it is not a tar file or one that leads out
 */
export async function openLayoutArchive(path: string, options: LayoutArchiveOptions): Promise<ArchivedImage> {
  const tar = await openTar(path, options)
  try {
    const image = await openLayoutImage(archiveFiles(tar, `oci-archive:${path}`), options.image)
    return { ...image, close: () => tar.close() }
  } catch (error) {
    await tar.close()
    throw error
  }
}

function archiveFiles(tar: TarFile, name: string): ImageFiles {
  return {
    name,
    readSmall: (file, limit) => tar.readSmall(file, limit),
    readBlob: (file, blob, signal) => {
      const what = `The blob ${blob.digest} of ${name}`
      const open = async (): Promise<AsyncIterable<Uint8Array>> =>
        stoppable(readMember(tar, file, blob, what), signal, name)
      return verifiedStream(open, blob, what)
    },
    list: (folder) => listFolder(tar, folder),
  }
}

function readMember(
  tar: TarFile,
  file: string,
  { size }: Pick<Descriptor, 'size'>,
  what: string,
): AsyncIterable<Uint8Array> {
  const entry = tar.entries.get(file)
  if (entry === undefined) throw new CosignetError('NOT_FOUND', `${what} is not there.`)
  if (entry.size === size) return tar.readRange(entry)
  throw new CosignetError('DIGEST_MISMATCH', `${what} has ${entry.size} bytes instead of ${size}.`)
}

async function* listFolder(tar: TarFile, folder: string): AsyncGenerator<string, void, undefined> {
  for (const name of tar.entries.keys()) {
    if (name.startsWith(`${folder}/`)) yield name.slice(folder.length + 1)
  }
}
