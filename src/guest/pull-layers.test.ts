import { gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { hexOf, padded, tarHeader, tarOf } from '../../test/fixtures/guest-bench.ts'
import { CosignetError } from '../core/index.ts'
import { type Descriptor, type Digest, digestOf, type ImageSource, MEDIA_TYPES } from '../oci/index.ts'
import type { TraceStep } from '../policy/index.ts'
import { findLayerFault, type LayersToCheck } from './pull-layers.ts'

/** Does not compress to nothing, so that a cut lies inside of it. */
const PROGRAM = Array.from({ length: 80 }, (_, i) => digestOf(Buffer.from([i])).slice(7)).join('')
// Headers at 0 and 1024, the program from 1536 to 6656.
const TAR = tarOf({ 'etc/motd': 'hello', 'bin/sh': PROGRAM })
const GZIP = gzipSync(TAR)
const ZSTD = zstdCompressSync(TAR)

const LAYER = 'Errors happened when pulling image: '
const STREAM = `${LAYER}Failed to decode layer data stream: `
const UNREADABLE = `${STREAM}Failed to unpack layer: Failed to read entries from the tar`
const CUT = `${STREAM}Failed to unpack layer: Failed to unpack layer to destination`
const NOT_PULLED = `${LAYER}Failed to async pull blob stream`

interface Case {
  readonly blob: Uint8Array
  readonly mediaType?: string
  readonly diffId?: string
  /** What the registry has under the digest. */
  readonly served?: Uint8Array | CosignetError
  readonly options?: Partial<LayersToCheck>
}

/** The guest's words for what is wrong with a layer; `ok` where nothing is. */
async function reasonOf(layer: Case): Promise<string> {
  return (await findLayerFault(optionsFor([layer])))?.reason ?? 'ok'
}

function optionsFor(layers: readonly Case[]): LayersToCheck {
  const served = new Map(layers.map(({ blob, served }) => [digestOf(blob), served ?? blob]))
  return {
    source: sourceOf(served),
    layers: layers.map(({ blob, mediaType = MEDIA_TYPES.ociLayerGzip }): Descriptor => {
      return { mediaType, digest: digestOf(blob), size: 1 }
    }),
    diffIds: layers.map(({ diffId = digestOf(TAR) }) => diffId),
    unpacked: new Set(),
    trace: [],
    ...layers[0]?.options,
  }
}

/** Serves blobs in pieces of 700 bytes, without looking at them. */
function sourceOf(blobs: ReadonlyMap<Digest, Uint8Array | CosignetError>): ImageSource {
  return {
    name: 'registry.test/a',
    getManifest: () => Promise.reject(new Error('no manifest is read')),
    listReferrers: async () => [],
    async *getBlob({ digest }) {
      const bytes = blobs.get(digest)
      if (bytes === undefined) throw new CosignetError('NOT_FOUND', 'There is no such blob.')
      if (bytes instanceof CosignetError) throw bytes
      for (let i = 0; i < bytes.byteLength; i += 700) yield bytes.subarray(i, i + 700)
    },
  }
}

/** A tar and its own digest. */
function plain(content: Uint8Array): Case {
  return { blob: content, mediaType: MEDIA_TYPES.ociLayer, diffId: digestOf(content) }
}

describe('findLayerFault', () => {
  it.each<[string, Case]>([
    ['gzip', { blob: GZIP }],
    ['gzip of docker', { blob: GZIP, mediaType: MEDIA_TYPES.dockerLayerGzip }],
    [
      'gzip, not to be distributed',
      { blob: GZIP, mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
    ],
    ['a plain tar', plain(TAR)],
    ['zstd', { blob: ZSTD, mediaType: MEDIA_TYPES.ociLayerZstd }],
    [
      'gzip in two members',
      { blob: Buffer.concat([gzipSync(TAR.subarray(0, 1000)), gzipSync(TAR.subarray(1000))]) },
    ],
    ['a diff_id of sha512', { blob: GZIP, diffId: hexOf('sha512', TAR) }],
    ['nothing but zeros', plain(Buffer.alloc(1024))],
    ['an archive without its end', plain(TAR.subarray(0, -1024))],
    ['files after zeros', plain(Buffer.concat([TAR, TAR]))],
    [
      'a zstd frame that something skippable follows',
      {
        blob: Buffer.concat([ZSTD, Buffer.from('502a4d180400000074657374', 'hex')]),
        mediaType: MEDIA_TYPES.ociLayerZstd,
      },
    ],
    [
      'a size in a PAX record',
      plain(Buffer.concat([paxHeader('size=5'), tarHeader('a', 0), padded(Buffer.from('hello'))])),
    ],
    ['a size in binary', plain(Buffer.concat([binarySize(5), padded(Buffer.from('hello'))]))],
  ])('takes %s', async (_, layer) => {
    expect(await reasonOf(layer)).toBe('ok')
  })

  it.each<[string, Case, string]>([
    ['another content of the same size', { blob: GZIP, served: gzipSync(tarOf({ a: 'other' })) }, UNREADABLE],
    ['nothing at all', { blob: GZIP, served: new Uint8Array() }, UNREADABLE],
    [
      'a blob that is too long',
      { ...plain(TAR), served: Buffer.concat([TAR, Buffer.alloc(512)]) },
      UNREADABLE,
    ],
    [
      'another diff_id',
      { blob: GZIP, diffId: digestOf(GZIP) },
      `${LAYER}unequal uncompressed digest ${digestOf(TAR)} config diff_id ${digestOf(GZIP)}`,
    ],
    [
      'a diff_id in capitals',
      { blob: GZIP, diffId: `sha256:${digestOf(TAR).slice(7).toUpperCase()}` },
      `${LAYER}unequal uncompressed digest ${digestOf(TAR)} config diff_id sha256:${digestOf(TAR).slice(7).toUpperCase()}`,
    ],
    [
      'a diff_id of sha384',
      { blob: GZIP, diffId: hexOf('sha384', TAR) },
      `${STREAM}Unsupported uncompressed digest format: ${hexOf('sha384', TAR)}`,
    ],
    [
      'a diff_id that is none',
      { blob: GZIP, diffId: 'x' },
      `${STREAM}Unsupported uncompressed digest format: x`,
    ],
    [
      'an unknown media type',
      { blob: GZIP, mediaType: 'application/vnd.docker.image.rootfs.diff.tar' },
      `${LAYER}Failed to decode layer: unhandled media type: application/vnd.docker.image.rootfs.diff.tar`,
    ],
    ['gzip that is cut in a file', { blob: GZIP.subarray(0, GZIP.byteLength / 2) }, CUT],
    ['zeros after gzip', { blob: Buffer.concat([GZIP, Buffer.alloc(3000)]) }, UNREADABLE],
    ['no gzip', { blob: TAR }, UNREADABLE],
    [
      'two zstd frames',
      {
        blob: Buffer.concat([zstdCompressSync(TAR.subarray(0, 2000)), zstdCompressSync(TAR.subarray(2000))]),
        mediaType: MEDIA_TYPES.ociLayerZstd,
      },
      CUT,
    ],
    ['zstd that is cut', { blob: ZSTD.subarray(0, -5), mediaType: MEDIA_TYPES.ociLayerZstd }, UNREADABLE],
    ['no tar', plain(Buffer.alloc(2048, 'a')), UNREADABLE],
    ['a tar of odd length', plain(TAR.subarray(0, -1)), UNREADABLE],
    ['a tar that is cut in a file', plain(TAR.subarray(0, 2000)), CUT],
    ['a header with a wrong checksum', plain(flipped(TAR, 3)), UNREADABLE],
    ['a size that is no number', plain(tarOf({ a: 'b' }, (header) => header.write('x', 130))), UNREADABLE],
    [
      'an owner that is no number',
      plain(tarOf({ a: 'b' }, (header) => header.write('x', 110))),
      `${STREAM}Failed to unpack layer: Failed to get a legal UID of the file`,
    ],
    [
      'a group that is no number',
      plain(tarOf({ a: 'b' }, (header) => header.write('x', 118))),
      `${STREAM}Failed to unpack layer: Failed to get a legal GID of the file`,
    ],
    [
      'a time that is no number',
      plain(tarOf({ a: 'b' }, (header) => header.write('x', 140))),
      `${STREAM}Failed to unpack layer: Failed to get a legal mtime of the file`,
    ],
    ['an extension of no file', plain(Buffer.concat([paxHeader('path=a'), Buffer.alloc(1024)])), UNREADABLE],
    ['a PAX record without its length', plain(Buffer.concat([paxBlocks('path=a\n'), TAR])), UNREADABLE],
    ['a blob that is missing', { blob: GZIP, served: new CosignetError('NOT_FOUND', 'No.') }, NOT_PULLED],
    [
      'a blob that is missing, of an unknown type',
      { blob: GZIP, mediaType: 'x', served: new CosignetError('NOT_FOUND', 'No.') },
      NOT_PULLED,
    ],
    ['a blob that is refused', { blob: GZIP, served: new CosignetError('UNAUTHORIZED', 'No.') }, NOT_PULLED],
  ])('refuses %s', async (_, layer, reason) => {
    expect(await reasonOf(layer)).toBe(reason)
  })

  // Here zlib keeps back what it had unpacked, so the place where the guest's tar reader stops is not known.
  it.each<[string, Case]>([
    ['gzip without its trailer', { blob: GZIP.subarray(0, -4) }],
    ['something else after gzip', { blob: Buffer.concat([GZIP, Buffer.from('x')]) }],
    ['a wrong checksum of gzip', { blob: flipped(GZIP, GZIP.byteLength - 6) }],
  ])('refuses %s', async (_, layer) => {
    expect([UNREADABLE, CUT]).toContain(await reasonOf(layer))
  })

  it.each<[string, Case, string]>([
    ['is encrypted', { blob: GZIP, mediaType: `${MEDIA_TYPES.ociLayerGzip}+encrypted` }, 'UNSUPPORTED'],
    ['cannot be reached', { blob: GZIP, served: new CosignetError('UNAVAILABLE', 'Later.') }, 'UNAVAILABLE'],
    ['takes too long', { blob: GZIP, served: new CosignetError('TIMEOUT', 'Late.') }, 'TIMEOUT'],
    ['is a bomb', { blob: GZIP, options: { unpackedBytesMax: TAR.byteLength - 1 } }, 'TOO_LARGE'],
    ['has a sparse file', plain(tarHeader('a', 0, 'S')), 'UNSUPPORTED'],
    ['has a global header', plain(tarHeader('a', 0, 'g')), 'UNSUPPORTED'],
  ])('decides nothing where a layer %s', async (_, layer, code) => {
    await expect(findLayerFault(optionsFor([layer]))).rejects.toMatchObject({ code })
  })

  it('decides nothing where the connection breaks off in a layer', async () => {
    const options = optionsFor([{ blob: GZIP }])
    const source: ImageSource = {
      ...options.source,
      async *getBlob() {
        yield GZIP.subarray(0, 20)
        throw new CosignetError('UNAVAILABLE', 'The connection was closed.')
      },
    }
    await expect(findLayerFault({ ...options, source })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })

  it('does not read again what the Pod has unpacked, but asks for it', async () => {
    const unpacked = new Set([digestOf(GZIP)])
    expect(await reasonOf({ blob: GZIP, diffId: 'x', options: { unpacked } })).toBe('ok')
    const missing = new CosignetError('NOT_FOUND', 'No.')
    expect(await reasonOf({ blob: GZIP, served: missing, options: { unpacked } })).toBe(NOT_PULLED)
  })

  it('names the first layer at fault, and says of each what it found', async () => {
    const trace: TraceStep[] = []
    const second = gzipSync(tarOf({ other: 'file' }))
    const options = { ...optionsFor([{ blob: GZIP }, { blob: second }]), trace }
    expect(await findLayerFault(options)).toMatchObject({
      cause: { code: 'layer-invalid', message: expect.stringContaining(digestOf(second)) },
    })
    expect(trace.map(({ outcome }) => outcome)).toEqual(['ok', 'failed'])
  })
})

/** A PAX header with one record, whose length is computed as POSIX says: itself included. */
function paxHeader(record: string): Buffer {
  const bare = record.length + 2
  const length = [1, 2].map((digits) => bare + digits).find((total) => String(total).length === total - bare)
  return paxBlocks(`${length} ${record}\n`)
}

function paxBlocks(text: string): Buffer {
  return Buffer.concat([tarHeader('pax', text.length, 'x'), padded(Buffer.from(text))])
}

function binarySize(size: number): Buffer {
  return tarHeader('a', 0, '0', (header) => {
    header.fill(0, 124, 136)
    header[124] = 0x80
    header[135] = size
  })
}

function flipped(bytes: Buffer, at: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}
