import { createHash } from 'node:crypto'
import { posix } from 'node:path'
import {
  CosignetError,
  chunksOf,
  collectBytes,
  encodeUtf8,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import { checkDigest, type Digest, digestOf, isDigest, parseDigest } from './digest.ts'
import {
  type DockerArchiveSelection,
  MANIFEST_JSON,
  parseDockerManifest,
  selectDockerImage,
} from './docker-archive-manifest.ts'
import { type Descriptor, type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { formatReference } from './reference.ts'
import type { ImageSource } from './store.ts'
import { type Compression, decompress, detectCompression, MAGIC_BYTES } from './tar-compression.ts'
import { openTar, type TarFile } from './tar-index.ts'
import type { TarEntry } from './tar-members.ts'
import { verifiedStream } from './verified-stream.ts'

/** An image in a `docker save` archive. */
export interface DockerArchiveImage extends ImageSource {
  /** Of the manifest that was made for the image. */
  readonly root: Digest
  /** Closes the archive. Nothing may be read afterwards. */
  close(): Promise<void>
}

/** What a layer of the made manifest stands for. */
interface Layer {
  readonly descriptor: Descriptor
  readonly open: () => AsyncIterable<Uint8Array>
}

/**
 * Opens an image of an archive that `docker save`, `podman save` or skopeo wrote, through its `manifest.json`, also
 * where the archive is an OCI layout as well (Docker 25 and later). The archive holds no manifest, so one is made
 * (Docker schema 2): a plain layer has its diff ID as its digest, a layer in gzip stays so.
 *
 * Every layer is checked against its digest when it is read; that a layer in gzip unpacks to its diff ID is not.
 * @param options.temporaryFolder where a compressed archive is unpacked.
 * @throws NOT_FOUND if there is no such image; INVALID_REFERENCE if there are several and none is named; INVALID_IMAGE,
 * INVALID_JSON, UNSUPPORTED, DIGEST_MISMATCH, TOO_LARGE, FILE
 */
export async function openDockerArchive(
  path: string,
  select: DockerArchiveSelection,
  options: { readonly temporaryFolder: string },
): Promise<DockerArchiveImage> {
  const tar = await openTar(path, options)
  try {
    return await openImage(tar, select, nameOf(path, select))
  } catch (error) {
    await tar.close()
    throw error
  }
}

/**
 * Opens an image of an archive that is open, and closes it with the image.
 * @param name of the image, for messages.
 * @throws as `openDockerArchive`
 */
export async function openImage(
  tar: TarFile,
  select: DockerArchiveSelection,
  name: string,
): Promise<DockerArchiveImage> {
  const items = parseDockerManifest(
    await readMember(tar, MANIFEST_JSON, LIMITS.manifestBytes, name),
    memberOf(MANIFEST_JSON, name),
  )
  const item = selectDockerImage(items, select, name)
  const configBytes = await readMember(tar, item.config, LIMITS.configBytes, name)
  const named = digestInName(item.config)
  if (named !== undefined) checkDigest(configBytes, named, memberOf(item.config, name))
  const config: Descriptor = {
    mediaType: MEDIA_TYPES.dockerConfig,
    digest: digestOf(configBytes),
    size: configBytes.byteLength,
  }
  const layers = await readLayers(
    tar,
    item.layers,
    readDiffIds(configBytes, memberOf(item.config, name)),
    name,
  )
  const manifest = makeManifest(config, layers, name)
  const blobs = new Map(layers.map((layer) => [layer.descriptor.digest, layer]))

  return {
    name,
    root: manifest.digest,
    makesManifests: true,
    getManifest: async (digest) => {
      if (digest === manifest.digest) return manifest
      throw new CosignetError('NOT_FOUND', `${name} has no manifest ${quote(digest)}.`)
    },
    getBlob: (descriptor) => {
      const { digest } = descriptor
      const what = `The blob ${digest} of ${name}`
      const open = digest === config.digest ? () => chunksOf(configBytes) : blobs.get(digest)?.open
      const chunks = async (): Promise<AsyncIterable<Uint8Array>> => {
        if (open !== undefined) return open()
        throw new CosignetError('NOT_FOUND', `${what} is not there.`)
      }
      return verifiedStream(chunks, descriptor, what)
    },
    listReferrers: async () => [],
    close: () => tar.close(),
  }
}

/** Digests of the layers as they unpack, the lowest first (image-spec, config.md). @throws INVALID_IMAGE, INVALID_JSON */
export function readDiffIds(configBytes: Uint8Array, what: string): readonly Digest[] {
  const config = parseJson(configBytes, what)
  const rootfs = (config as { readonly [key: string]: JsonValue } | null)?.['rootfs']
  const diffIds = (rootfs as { readonly [key: string]: JsonValue } | null | undefined)?.['diff_ids'] ?? []
  const isList = typeof rootfs === 'object' && rootfs !== null && Array.isArray(diffIds)
  if (isList && diffIds.every((id: JsonValue) => typeof id === 'string' && isDigest(id))) {
    return diffIds as readonly Digest[]
  }
  throw new CosignetError('INVALID_IMAGE', `${what} is not a configuration with the diff IDs of its layers.`)
}

async function readLayers(
  tar: TarFile,
  members: readonly string[],
  diffIds: readonly Digest[],
  name: string,
): Promise<readonly Layer[]> {
  if (members.length !== diffIds.length) {
    throw new CosignetError(
      'INVALID_IMAGE',
      `${name} lists ${members.length} layers, and its configuration has ${diffIds.length}.`,
    )
  }
  const known = new Map<Digest, Layer>()
  const layers: Layer[] = []
  for (const [i, diffId] of diffIds.entries()) {
    // An image may have a layer twice, and the archive once or twice.
    const layer = known.get(diffId) ?? (await readLayer(tar, members[i] ?? '', diffId, name))
    known.set(diffId, layer)
    layers.push(layer)
  }
  return layers
}

async function readLayer(tar: TarFile, member: string, diffId: Digest, name: string): Promise<Layer> {
  const entry = tar.entries.get(posix.normalize(member))
  if (entry === undefined) throw noMember(tar, member, name)
  const open = (): AsyncIterable<Uint8Array> => tar.readRange(entry)
  const compression = await compressionOf(tar, entry)
  if (compression === undefined) return plainLayer(diffId, entry.size, open)
  if (compression === 'gzip') {
    const digest = digestInName(member) ?? (await scan(open())).digest
    return { descriptor: { mediaType: MEDIA_TYPES.dockerLayerGzip, digest, size: entry.size }, open }
  }
  // Docker's manifest has no name for it, so the layer is given unpacked.
  const unpack = (): AsyncIterable<Uint8Array> =>
    decompress(open(), LIMITS.unpackedLayerBytes, memberOf(member, name))
  return plainLayer(diffId, (await scan(unpack())).size, unpack)
}

function plainLayer(digest: Digest, size: number, open: () => AsyncIterable<Uint8Array>): Layer {
  return { descriptor: { mediaType: MEDIA_TYPES.dockerLayer, digest, size }, open }
}

async function compressionOf(tar: TarFile, entry: TarEntry): Promise<Compression | undefined> {
  const length = Math.min(entry.size, MAGIC_BYTES)
  return detectCompression(await collectBytes(tar.readRange(entry, { offset: 0, length }), length, tar.what))
}

async function scan(chunks: AsyncIterable<Uint8Array>): Promise<{ digest: Digest; size: number }> {
  const hash = createHash('sha256')
  let size = 0
  for await (const chunk of chunks) {
    hash.update(chunk)
    size += chunk.byteLength
  }
  return { digest: parseDigest(`sha256:${hash.digest('hex')}`), size }
}

/** Archives that are OCI layouts as well name members by their digest. */
function digestInName(member: string): Digest | undefined {
  const match = /^blobs\/([a-z0-9]+)\/([0-9a-f]+)$/.exec(posix.normalize(member))
  const digest = `${match?.[1]}:${match?.[2]}`
  return isDigest(digest) ? digest : undefined
}

/** As containers/image writes it, but for the media type of plain layers. */
function makeManifest(config: Descriptor, layers: readonly Layer[], name: string): Manifest {
  const entry = ({ mediaType, size, digest }: Descriptor): object => ({ mediaType, size, digest })
  const document = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.dockerManifest,
    config: entry(config),
    layers: layers.map(({ descriptor }) => entry(descriptor)),
  }
  const bytes = encodeUtf8(JSON.stringify(document))
  return parseManifest(bytes, MEDIA_TYPES.dockerManifest, `The manifest made for ${name}`)
}

async function readMember(tar: TarFile, member: string, limit: number, name: string): Promise<Uint8Array> {
  try {
    return await tar.readSmall(posix.normalize(member), limit)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) throw noMember(tar, member, name)
    throw error
  }
}

function noMember(tar: TarFile, member: string, name: string): CosignetError {
  return new CosignetError(
    'INVALID_IMAGE',
    `${name} is not an image that Docker saved: it has no ${quote(member)}.`,
    member === MANIFEST_JSON && tar.entries.has('oci-layout')
      ? { hint: 'It is an OCI layout: name it as oci-archive:.' }
      : {},
  )
}

function memberOf(member: string, name: string): string {
  return `The file ${quote(member)} in ${name}`
}

function nameOf(path: string, { reference, index }: DockerArchiveSelection): string {
  if (reference !== undefined) return `docker-archive:${path}:${formatReference(reference)}`
  return index === undefined ? `docker-archive:${path}` : `docker-archive:${path}:@${index}`
}
