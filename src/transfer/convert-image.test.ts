import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import {
  type DestinationRules,
  digestOf,
  MANIFEST_MEDIA_TYPES,
  type Manifest,
  MEDIA_TYPES,
  parseManifest,
} from '../oci/index.ts'
import { type ConvertOptions, convertImage } from './convert-image.ts'

const ANY: DestinationRules = { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: true }
const DOCKER_ONLY: DestinationRules = { ...ANY, manifests: [MEDIA_TYPES.dockerManifest] }

const CONFIG = { digest: digestOf(encodeUtf8('config')), size: 6 }
const LAYER = { digest: digestOf(encodeUtf8('layer')), size: 5 }

// Names of the same thing in both formats: image-spec, media-types.md, "Compatibility Matrix".
const OCI = {
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...CONFIG },
  layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip', ...LAYER }],
}
const DOCKER = {
  schemaVersion: 2,
  mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', ...CONFIG },
  layers: [{ mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip', ...LAYER }],
}

describe('convertImage', () => {
  it.each([OCI, DOCKER])('keeps the bytes of what the destination takes: $mediaType', (document) => {
    const manifest = manifestOf(document)
    expect(convertImage([manifest], options())).toEqual([manifest])
  })

  it.each([
    { from: OCI, to: DOCKER, format: 'v2s2' as const },
    { from: DOCKER, to: OCI, format: 'oci' as const },
  ])('writes $from.mediaType as $format', ({ from, to, format }) => {
    const [converted] = convertImage([manifestOf(from)], options({ format }))
    expect(documentOf(converted)).toEqual(to)
    expect(converted?.mediaType).toBe(to.mediaType)
  })

  it('converts to what the destination takes', () => {
    const [converted] = convertImage([manifestOf(OCI)], options({ rules: DOCKER_ONLY }))
    expect(documentOf(converted)).toEqual(DOCKER)
  })

  it('converts to what the destination prefers, unless a signature binds the digest', () => {
    const rules = { ...ANY, prefers: 'oci' } as const
    expect(documentOf(convertImage([manifestOf(DOCKER)], options({ rules }))[0])).toEqual(OCI)
    const bound = 'signatures hang at its digest'
    expect(convertImage([manifestOf(DOCKER)], options({ rules, bound }))).toEqual([manifestOf(DOCKER)])
  })

  it('names the converted images in the index', () => {
    const image = manifestOf(OCI)
    const entry = { mediaType: OCI.mediaType, digest: image.digest, size: image.bytes.byteLength }
    const platform = { architecture: 'amd64', os: 'windows', 'os.version': '10.0.1' }
    const index = manifestOf({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [{ ...entry, platform }],
    })
    const [convertedImage, convertedIndex] = convertImage([image, index], options({ format: 'v2s2' }))
    const bytes = encodeUtf8(JSON.stringify(DOCKER))
    expect(convertedImage?.digest).toBe(digestOf(bytes))
    expect(documentOf(convertedIndex)).toEqual({
      schemaVersion: 2,
      mediaType: 'application/vnd.docker.distribution.manifest.list.v2+json',
      manifests: [{ mediaType: DOCKER.mediaType, digest: digestOf(bytes), size: bytes.byteLength, platform }],
    })
  })

  it('puts compressed layers in the place of plain ones', () => {
    const plain = { mediaType: 'application/vnd.docker.image.rootfs.diff.tar', ...LAYER }
    const manifest = manifestOf({ ...DOCKER, layers: [plain] })
    const compressed = { digest: digestOf(encodeUtf8('gz')), size: 2, mediaType: MEDIA_TYPES.ociLayerGzip }
    const [converted] = convertImage([manifest], options({ replaced: new Map([[LAYER.digest, compressed]]) }))
    const [layer] = DOCKER.layers
    expect(documentOf(converted)).toEqual({
      ...DOCKER,
      layers: [{ ...layer, digest: compressed.digest, size: 2 }],
    })
  })

  it.each([
    {
      what: 'another digest where a signature binds it',
      document: OCI,
      more: { format: 'v2s2', bound: 'signatures hang at its digest' } as const,
      message: /must get another digest for the destination, and must not: signatures hang at its digest/,
    },
    {
      what: 'a format that the destination does not take',
      document: DOCKER,
      more: { format: 'oci', rules: DOCKER_ONLY } as const,
      message: /does not take the format oci/,
    },
    {
      what: 'an index where there is room for one image',
      document: { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] },
      more: { rules: DOCKER_ONLY },
      message: /holds one image and no index/,
    },
    {
      what: 'zstd in the format of Docker',
      document: { ...OCI, layers: [{ mediaType: MEDIA_TYPES.ociLayerZstd, ...LAYER }] },
      more: { format: 'v2s2' } as const,
      message: /tar\+zstd", which Docker's format/,
    },
    {
      what: 'an artifact in the format of Docker',
      document: { ...OCI, artifactType: 'text/plain' },
      more: { format: 'v2s2' } as const,
      message: /is an artifact, which Docker's format/,
    },
  ])('refuses $what', ({ document, more, message }) => {
    expect(() => convertImage([manifestOf(document)], options(more))).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED', message: expect.stringMatching(message) }),
    )
  })
})

function options(more: Partial<ConvertOptions> = {}): ConvertOptions {
  return {
    rules: ANY,
    name: 'the destination',
    format: undefined,
    bound: undefined,
    replaced: new Map(),
    ...more,
  }
}

function manifestOf(document: object): Manifest {
  return parseManifest(encodeUtf8(JSON.stringify(document)), undefined, 'The manifest')
}

function documentOf(manifest: Manifest | undefined): unknown {
  return manifest === undefined ? undefined : JSON.parse(Buffer.from(manifest.bytes).toString('utf8'))
}
