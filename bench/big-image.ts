import { createHash, randomFillSync } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const MiB = 1024 * 1024
const LAYER_MIB = 128

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/**
 * Writes a new image as skopeo's `dir:`: layers of 128 MiB of random bytes in a frame of gzip, which nobody compresses
 * again. What is in them is no archive; to copy an image, nobody looks.
 */
export async function makeBigImage(folder: string, layerCount: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const put = async (mediaType: string, bytes: Uint8Array): Promise<Descriptor> => {
    const hex = sha256(bytes)
    await writeFile(join(folder, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength }
  }
  const layers: Descriptor[] = []
  const diffIds: string[] = []
  const content = Buffer.allocUnsafe(LAYER_MIB * MiB)
  for (let i = 0; i < layerCount; i++) {
    randomFillSync(content)
    diffIds.push(`sha256:${sha256(content)}`)
    const framed = gzipSync(content, { level: 0 })
    layers.push(await put('application/vnd.oci.image.layer.v1.tar+gzip', framed))
  }
  const config = await put(
    'application/vnd.oci.image.config.v1+json',
    Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: diffIds },
      }),
    ),
  )
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  await writeFile(
    join(folder, 'manifest.json'),
    JSON.stringify({ schemaVersion: 2, mediaType, config, layers }),
  )
  await writeFile(join(folder, 'version'), 'Directory Transport Version: 1.1\n')
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
