import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeUtf8, LIMITS } from '../core/index.ts'
import { isManifestMediaType, MEDIA_TYPES, parseManifest } from './manifest.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`
const config = { mediaType: MEDIA_TYPES.ociConfig, digest: DIGEST, size: 2 }
const layer = { mediaType: MEDIA_TYPES.ociLayerGzip, digest: DIGEST, size: 3 }
const image = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [layer] }
const index = {
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociIndex,
  manifests: [{ ...image.config, mediaType: MEDIA_TYPES.ociManifest }],
}

function parse(document: unknown, announced?: string): ReturnType<typeof parseManifest> {
  const text = typeof document === 'string' ? document : JSON.stringify(document)
  return parseManifest(encodeUtf8(text), announced, 'It')
}

describe('parseManifest', () => {
  it('reads an image manifest and keeps its bytes', () => {
    const text = `  ${JSON.stringify({ ...image, annotations: { a: 'b' }, subject: config, artifactType: 't/x' })}\n`
    const manifest = parse(text, `${MEDIA_TYPES.ociManifest}; charset=utf-8`)
    expect(Buffer.from(manifest.bytes).toString()).toBe(text)
    expect(manifest.digest).toBe(`sha256:${createHash('sha256').update(text).digest('hex')}`)
    expect(manifest.mediaType).toBe(MEDIA_TYPES.ociManifest)
    expect(manifest.content).toEqual({
      kind: 'image',
      config,
      layers: [layer],
      annotations: { a: 'b' },
      subject: config,
      artifactType: 't/x',
    })
  })

  it('reads an index with platforms', () => {
    const platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }
    const entry = { ...index.manifests[0], platform: { ...platform, 'os.version': '1' } }
    const { content } = parse({ ...index, manifests: [entry] }, MEDIA_TYPES.ociIndex)
    expect(content).toEqual({ kind: 'index', manifests: [{ ...index.manifests[0], platform }] })
  })

  it.each([
    ['an image', { ...image, mediaType: undefined }, undefined, MEDIA_TYPES.ociManifest],
    ['an index', { ...index, mediaType: undefined }, undefined, MEDIA_TYPES.ociIndex],
    [
      'Docker by header',
      { ...image, mediaType: undefined },
      MEDIA_TYPES.dockerManifest,
      MEDIA_TYPES.dockerManifest,
    ],
    [
      'Docker by itself',
      { ...image, mediaType: MEDIA_TYPES.dockerManifest },
      'text/plain',
      MEDIA_TYPES.dockerManifest,
    ],
  ])('finds the media type of %s', (_name, document, announced, expected) => {
    expect(parse(document, announced).mediaType).toBe(expected)
    expect(isManifestMediaType(expected)).toBe(true)
  })

  it.each<[string, unknown, string | undefined, string]>([
    ['two kinds at once (CVE-2021-41190)', { ...image, manifests: [] }, undefined, 'ambiguous'],
    ['an index with layers (CVE-2021-41190)', { ...index, layers: [] }, undefined, 'ambiguous'],
    ['an index with a config', { ...index, config }, undefined, 'ambiguous'],
    ['another announced type (CVE-2021-41190)', image, MEDIA_TYPES.ociIndex, 'was announced as'],
    ['schema 1', { ...image, schemaVersion: 1 }, undefined, 'schemaVersion is not 2'],
    ['an unknown type', { ...image, mediaType: 'a/b' }, undefined, 'not one of an image or an index'],
    ['a type named like a member of Object', { ...image, mediaType: 'constructor' }, undefined, 'not one of'],
    [
      'a digest that is a path',
      { ...image, config: { ...config, digest: 'sha256:../x' } },
      undefined,
      'config.digest',
    ],
    ['a negative size', { ...image, layers: [{ ...layer, size: -1 }] }, undefined, 'layers[0].size'],
    ['a fractional size', { ...image, layers: [{ ...layer, size: 1.5 }] }, undefined, 'layers[0].size'],
    ['a size beyond 2^53', { ...image, layers: [{ ...layer, size: 2 ** 60 }] }, undefined, 'layers[0].size'],
    ['no config', { ...image, config: undefined }, undefined, 'config is not an object'],
    ['no layers', { ...image, layers: undefined }, undefined, 'layers is not a list'],
    ['too many layers', { ...image, layers: Array(1001).fill(layer) }, undefined, 'more than 1000 entries'],
    [
      'too many entries',
      { ...index, manifests: Array(1001).fill(config) },
      undefined,
      'more than 1000 entries',
    ],
    ['annotations that are no text', { ...image, annotations: { a: 1 } }, undefined, 'is not a string'],
    ['a list', [], undefined, 'the document is not an object'],
    ['null', 'null', undefined, 'the document is not an object'],
  ])('refuses %s', (_name, document, announced, reason) => {
    expect(() => parse(document, announced)).toThrow(
      expect.objectContaining({ code: 'INVALID_MANIFEST', message: expect.stringContaining(reason) }),
    )
  })

  it.each([
    ['HTML', '<html></html>'],
    ['a key given twice', JSON.stringify(image).replace('{', '{"schemaVersion":2,')],
    ['something after it', `${JSON.stringify(image)}x`],
    ['a byte order mark', `\ufeff${JSON.stringify(image)}`],
    ['deep nesting', '['.repeat(100)],
    ['nothing', ''],
  ])('refuses %s as INVALID_JSON', (_name, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'INVALID_JSON' }))
  })

  it('refuses more than the limit', () => {
    const text = JSON.stringify(image) + ' '.repeat(LIMITS.manifestBytes)
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'TOO_LARGE' }))
  })
})
