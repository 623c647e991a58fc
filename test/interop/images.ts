import { createHash, randomUUID } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packTar } from 'modern-tar'
import { peer } from './peers.ts'
import type { Sandbox } from './sandbox.ts'

/** An image that a test made itself, with digests computed here. */
export interface TestImage {
  /** Folder of the OCI layout. */
  readonly layout: string
  /** Digest of what the layout's one entry points to: the index, or the image where it has one platform. */
  readonly digest: string
  /** Digest of each platform's image, in the order that was asked for. */
  readonly images: readonly string[]
}

interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
}

/**
 * Writes an OCI layout (image-spec, image-layout.md) with a new image: two layers of one small file each, different each
 * time. One architecture makes an image, several an index.
 */
export async function makeImage(
  sandbox: Sandbox,
  architectures: readonly string[] = ['amd64'],
): Promise<TestImage> {
  const layout = sandbox.path(`layout-${randomUUID()}`)
  const blobs = join(layout, 'blobs', 'sha256')
  await mkdir(blobs, { recursive: true })
  const put = async (mediaType: string, bytes: Uint8Array): Promise<Descriptor> => {
    const hex = sha256(bytes)
    await writeFile(join(blobs, hex), bytes)
    return { mediaType, digest: `sha256:${hex}`, size: bytes.byteLength }
  }
  const putJson = (mediaType: string, value: object): Promise<Descriptor> =>
    put(mediaType, Buffer.from(JSON.stringify(value)))

  const images: Descriptor[] = []
  for (const architecture of architectures) {
    const diffIds: string[] = []
    const layers: Descriptor[] = []
    for (const name of ['hello.txt', 'world.txt']) {
      const text = `${architecture} ${randomUUID()}\n`
      const tar = await packTar([{ header: { name, size: text.length }, body: text }])
      diffIds.push(`sha256:${sha256(tar)}`)
      layers.push(await put('application/vnd.oci.image.layer.v1.tar+gzip', gzipSync(tar)))
    }
    const config = await putJson('application/vnd.oci.image.config.v1+json', {
      architecture,
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: diffIds },
    })
    const mediaType = 'application/vnd.oci.image.manifest.v1+json'
    images.push(await putJson(mediaType, { schemaVersion: 2, mediaType, config, layers }))
  }
  const [first] = images
  if (first === undefined) throw new Error('an image needs an architecture')
  const mediaType = 'application/vnd.oci.image.index.v1+json'
  const manifests = images.map((image, i) => ({
    ...image,
    platform: { os: 'linux', architecture: architectures[i] },
  }))
  const top =
    images.length === 1 ? first : await putJson(mediaType, { schemaVersion: 2, mediaType, manifests })
  await writeFile(join(layout, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  await writeFile(join(layout, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests: [top] }))
  return { layout, digest: top.digest, images: images.map(({ digest }) => digest) }
}

/** Makes an image and puts it into a registry with skopeo, byte for byte. */
export async function pushNewImage(
  sandbox: Sandbox,
  repository: string,
  architectures: readonly string[] = ['amd64'],
): Promise<TestImage & { readonly reference: string }> {
  const image = await makeImage(sandbox, architectures)
  await pushImage(sandbox, image, repository)
  return { ...image, reference: `${repository}@${image.digest}` }
}

/** Puts an image into a registry as `REPOSITORY:latest` with skopeo, byte for byte. */
export async function pushImage(sandbox: Sandbox, image: TestImage, repository: string): Promise<void> {
  await sandbox.succeed(peer('skopeo'), [
    ...['--insecure-policy', 'copy', '--all', '--preserve-digests', '--dest-tls-verify=false'],
    ...[`oci:${image.layout}`, `docker://${repository}:latest`],
  ])
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
