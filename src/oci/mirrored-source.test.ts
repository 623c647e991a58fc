import { describe, expect, it } from 'vitest'
import { CosignetError, type ErrorCode } from '../core/index.ts'
import { digestOf } from './digest.ts'
import { type Manifest, MEDIA_TYPES, parseManifest } from './manifest.ts'
import { createMirroredSource } from './mirrored-source.ts'
import type { ImageSource } from './store.ts'

const BLOB = { digest: digestOf(Buffer.from('blob')), size: 4 }

function manifestOf(note: string): Manifest {
  const descriptor = { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(Buffer.from('{}')), size: 2 }
  const text = JSON.stringify({ schemaVersion: 2, config: descriptor, layers: [], annotations: { note } })
  return parseManifest(Buffer.from(text), MEDIA_TYPES.ociManifest, 'the manifest')
}

type Answer = 'ok' | ErrorCode

/** A place that answers by script, and logs what it is asked. */
function place(
  name: string,
  log: string[],
  script: { manifest?: Answer; blob?: Answer; after?: Answer; text?: string },
) {
  const answer = (answer: Answer | undefined, what: string): void => {
    log.push(`${name} ${what}`)
    if (answer !== undefined && answer !== 'ok')
      throw new CosignetError(answer, `${name} fails.`, { hint: `At ${name}.` })
  }
  const { text = 'blob' } = script
  const source: ImageSource = {
    name,
    getManifest: async (tag) => {
      answer(script.manifest, `manifest ${tag}`)
      return manifestOf(name)
    },
    getBlob: async function* () {
      answer(script.blob, 'blob')
      yield Buffer.from(text.slice(0, 2))
      answer(script.after, 'rest')
      yield Buffer.from(text.slice(2))
    },
    listReferrers: async () => {
      answer(script.blob, 'referrers')
      return []
    },
  }
  return { open: async () => source }
}

async function readAll(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

const CODES: readonly ErrorCode[] = [
  'NOT_FOUND',
  'UNAUTHORIZED',
  'FORBIDDEN',
  'DIGEST_MISMATCH',
  'INVALID_MANIFEST',
  'UNAVAILABLE',
  'TIMEOUT',
  'TOO_LARGE',
  'BAD_RESPONSE',
]

describe('an image behind mirrors', () => {
  it.each(CODES)('is read from the next place where one fails with %s', async (code) => {
    const log: string[] = []
    const source = createMirroredSource('r.io/a', [
      place('one', log, { manifest: code }),
      place('two', log, {}),
      place('three', log, {}),
    ])
    expect((await source.getManifest('v1')).bytes).toEqual(manifestOf('two').bytes)
    expect(await readAll(source.getBlob(BLOB))).toBe('blob')
    expect(await source.listReferrers(BLOB.digest)).toEqual([])
    await source.getManifest('v1')
    expect(log).toEqual([
      'one manifest v1',
      'two manifest v1',
      'two blob',
      'two rest',
      'two referrers',
      'two manifest v1',
    ])
  })

  it('tells what the registry itself says, and of the mirrors in the hint', async () => {
    const source = createMirroredSource('r.io/a', [
      place('one', [], { manifest: 'UNAVAILABLE' }),
      place('two', [], { manifest: 'DIGEST_MISMATCH' }),
      place('registry', [], { manifest: 'NOT_FOUND' }),
    ])
    await expect(source.getManifest('v1')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: 'registry fails.',
      hint: 'At registry. It failed elsewhere, too: one fails. two fails.',
    })
  })

  it('tells the plain error where there is one place', async () => {
    const source = createMirroredSource('r.io/a', [place('one', [], { manifest: 'UNAUTHORIZED' })])
    await expect(source.getManifest('v1')).rejects.toMatchObject({ code: 'UNAUTHORIZED', hint: 'At one.' })
  })

  it('is not asked for any more after an abort', async () => {
    const log: string[] = []
    const places = [place('one', log, { manifest: 'ABORTED', blob: 'ABORTED' }), place('two', log, {})]
    const source = createMirroredSource('r.io/a', places)
    await expect(source.getManifest('v1')).rejects.toMatchObject({ code: 'ABORTED' })
    await expect(readAll(source.getBlob(BLOB))).rejects.toMatchObject({ code: 'ABORTED' })
    const failing = createMirroredSource('r.io/a', [
      place('one', log, { manifest: 'UNAVAILABLE' }),
      place('two', log, {}),
    ])
    await expect(failing.getManifest('v1', AbortSignal.abort())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(log).toEqual(['one manifest v1', 'one blob', 'one manifest v1'])
  })

  it('goes on with a blob at another place, and asks the one that failed last from then on', async () => {
    const log: string[] = []
    const source = createMirroredSource('r.io/a', [
      place('one', log, { after: 'UNAVAILABLE' }),
      place('two', log, { blob: 'NOT_FOUND' }),
      place('three', log, {}),
    ])
    await source.getManifest('v1')
    expect(await readAll(source.getBlob(BLOB))).toBe('blob')
    const first = ['one blob', 'one rest', 'two blob', 'three blob', 'three rest']
    expect(log.splice(0)).toEqual(['one manifest v1', ...first])
    expect(await readAll(source.getBlob(BLOB))).toBe('blob')
    expect(log).toEqual(['three blob', 'three rest'])
  })

  it('passes on no blob that two places made up together', async () => {
    const source = createMirroredSource('r.io/a', [
      place('evil', [], { text: 'XXXX', after: 'UNAVAILABLE' }),
      place('two', [], {}),
    ])
    await expect(readAll(source.getBlob(BLOB))).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(await readAll(source.getBlob(BLOB))).toBe('blob')
    const lying = createMirroredSource('r.io/a', [
      place('evil', [], { after: 'DIGEST_MISMATCH' }),
      place('two', [], {}),
    ])
    await expect(readAll(lying.getBlob(BLOB))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
      message: 'evil fails.',
    })
    expect(await readAll(lying.getBlob(BLOB))).toBe('blob')
  })

  it('has the tags of the place that was found, and manifests by digest from all', async () => {
    const log: string[] = []
    const script: { manifest?: Answer } = {}
    const source = createMirroredSource('r.io/a', [place('one', log, script), place('two', log, {})])
    await source.getManifest('v1')
    script.manifest = 'NOT_FOUND'
    await expect(source.getManifest('sha256-x.sig')).rejects.toMatchObject({
      code: 'NOT_FOUND',
      hint: 'At one.',
    })
    expect((await source.getManifest(BLOB.digest)).bytes).toEqual(manifestOf('two').bytes)
    expect(log).toEqual([
      'one manifest v1',
      'one manifest sha256-x.sig',
      `one manifest ${BLOB.digest}`,
      `two manifest ${BLOB.digest}`,
    ])
  })

  it('passes over a place that cannot be opened', async () => {
    const blocked = { open: () => Promise.reject(new CosignetError('FORBIDDEN', 'It is blocked.')) }
    const source = createMirroredSource('r.io/a', [blocked, place('two', [], {})])
    expect((await source.getManifest('v1')).bytes).toEqual(manifestOf('two').bytes)
    const only = createMirroredSource('r.io/a', [place('one', [], { manifest: 'NOT_FOUND' }), blocked])
    await expect(only.getManifest('v1')).rejects.toMatchObject({
      code: 'FORBIDDEN',
      hint: 'It failed elsewhere, too: one fails.',
    })
  })
})
