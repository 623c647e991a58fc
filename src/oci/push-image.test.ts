import { describe, expect, it } from 'vitest'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { digestOf } from './digest.ts'
import { MANIFEST_MEDIA_TYPES, type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { pushImage } from './push-image.ts'
import type { ImageDestination, ImageSource } from './store.ts'

function blob(text: string): { mediaType: string; digest: string; size: number } {
  return { mediaType: 'a/b', digest: digestOf(encodeUtf8(text)), size: text.length }
}

function manifest(document: object): Manifest {
  return parseManifest(encodeUtf8(JSON.stringify({ schemaVersion: 2, ...document })), undefined, 'It')
}

function image(...layers: string[]): Manifest {
  return manifest({ mediaType: MEDIA_TYPES.ociManifest, config: blob('{}'), layers: layers.map(blob) })
}

function index(...manifests: Manifest[]): Manifest {
  return manifest({
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: manifests.map(({ mediaType, digest, bytes }) => ({
      mediaType,
      digest,
      size: bytes.byteLength,
    })),
  })
}

function source(...manifests: Manifest[]): ImageSource {
  return {
    name: 'the source',
    getManifest: async (digest) => {
      const found = manifests.find((candidate) => candidate.digest === digest)
      if (found === undefined) throw new CosignetError('NOT_FOUND', 'Not there.')
      return found
    },
    async *getBlob() {
      yield new Uint8Array()
    },
    listReferrers: async () => [],
  }
}

/** Notes what is stored, in order; each blob takes a while. */
function destination(failOn?: string): ImageDestination & { stored: string[]; most: number } {
  let running = 0
  const made = {
    name: 'the destination',
    rules: { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: true },
    stored: [] as string[],
    most: 0,
    putBlob: async ({ digest }: { digest: string }) => {
      running += 1
      made.most = Math.max(made.most, running)
      await new Promise((resolve) => setTimeout(resolve, 2))
      running -= 1
      if (digest === failOn) throw new CosignetError('FORBIDDEN', 'No.')
      made.stored.push(digest)
      return 'written' as const
    },
    putManifest: async ({ digest }: { digest: string }, options?: { tag?: string }) => {
      made.stored.push(options?.tag === undefined ? digest : `${options.tag}=${digest}`)
    },
  }
  return made
}

describe('pushImage', () => {
  const [a, b] = [image('1', '2', '3', '4', '5', '6'), image('1', '7')]
  const root = index(a, b)

  it('stores blobs once and four at a time, then manifests, and the tag last', async () => {
    const to = destination()
    const pushed = await pushImage(source(root, a, b), root.digest, to, 'v1')
    expect(pushed).toEqual({ root: root.digest, manifests: [a.digest, b.digest] })
    const blobs = ['{}', '1', '2', '3', '4', '5', '6', '7'].map((text) => blob(text).digest)
    expect(to.stored.slice(0, 8).sort()).toEqual(blobs.sort())
    expect(to.stored.slice(8)).toEqual([a.digest, b.digest, `v1=${root.digest}`])
    expect(to.most).toBe(4)
  })

  it('stores an image without an index under its tag', async () => {
    const to = destination()
    await pushImage(source(b), b.digest, to, 'v1')
    expect(to.stored.slice(3)).toEqual([`v1=${b.digest}`])
  })

  it('stores no manifest where a blob fails, and starts no further blob', async () => {
    const to = destination(blob('1').digest)
    await expect(pushImage(source(root, a, b), root.digest, to, 'v1')).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
    expect(to.stored.length).toBeLessThan(8)
    expect(to.stored).not.toContain(a.digest)
  })

  it('stops at the signal', async () => {
    const to = destination()
    await expect(
      pushImage(source(root, a, b), root.digest, to, 'v1', AbortSignal.abort()),
    ).rejects.toMatchObject({ code: 'ABORTED' })
    expect(to.stored).toEqual([])
  })

  it('refuses an index in an index', async () => {
    const outer = index(root)
    await expect(pushImage(source(outer, root), outer.digest, destination(), 'v1')).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
  })
})
