import { beforeEach, describe, expect, it } from 'vitest'
import { addImage, attach, makeKey, signed } from '../../test/fixtures/judged-image.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { CosignetError } from '../core/index.ts'
import { type Digest, parseLocation, parseReference, type Reference, repositoryName } from '../oci/index.ts'
import { type Verified, type VerifyTask, verifyImages } from './verify-images.ts'

const KEY = makeKey()

let store: MemoryImageStore
let digest: Digest
/** Repositories in the order in which they were opened. */
let opened: string[]
/** What opening a repository waits for, or fails with. */
let before: (reference: Reference) => Promise<void>

beforeEach(async () => {
  store = new MemoryImageStore()
  digest = await addImage(store)
  opened = []
  before = async () => undefined
})

function task(more: Partial<VerifyTask> = {}): VerifyTask {
  const openSource = async (reference: Reference) => {
    opened.push(repositoryName(reference))
    await before(reference)
    return store
  }
  const open = () => Promise.reject(new Error('Nothing is written.'))
  const keys = [{ kind: 'cosign', key: KEY.publicKey, name: 'cosign.pub' }] as const
  const requirement = { keys, required: 1, annotations: {}, checkClaims: true }
  return { cli: quietCli(), requirement, access: { open, openSource }, ...more }
}

function named(...names: readonly string[]) {
  return names.map((name) => parseLocation(`docker://registry.example/${name}@${digest}`))
}

function outcomes(results: readonly Verified[]): readonly string[] {
  return results.map((result) =>
    'error' in result ? String((result.error as CosignetError).code) : result.outcome,
  )
}

describe('verifyImages', () => {
  it('gives what became of each image in the order of their names, whoever is first', async () => {
    await attach(store, digest, [signed(KEY, digest)])
    before = async ({ repository }) => {
      if (repository === 'slow') await new Promise((resolve) => setTimeout(resolve, 30))
    }
    const results = await verifyImages(task(), named('slow', 'fast'))
    expect(results.map((result) => ('error' in result ? '' : result.image.reference))).toEqual([
      `registry.example/slow@${digest}`,
      `registry.example/fast@${digest}`,
    ])
    expect(outcomes(results)).toEqual(['allowed', 'allowed'])
  })

  it('goes on after a denial, and ends at the first image that cannot be judged', async () => {
    before = async ({ repository }) => {
      if (repository.startsWith('down')) throw new CosignetError('UNAVAILABLE', 'It does not answer.')
    }
    const many = Array.from({ length: 40 }, (_, i) => `more-${i}`)
    const results = await verifyImages(task(), named('one', 'two', 'down', 'down2', ...many))
    expect(outcomes(results)).toEqual(['denied', 'denied', 'UNAVAILABLE'])
    // Those that were begun at the same time, and no others.
    expect(opened.length).toBeLessThan(40)
  })

  it('opens a repository once for all its images by digest, and again for its tags', async () => {
    store.tags.set('v1', digest)
    const images = [...named('a', 'a', 'b'), parseLocation('docker://registry.example/a:v1')]
    expect(outcomes(await verifyImages(task(), images))).toEqual(['denied', 'denied', 'denied', 'denied'])
    expect([...opened].sort()).toEqual(['registry.example/a', 'registry.example/a', 'registry.example/b'])
  })

  it('looks for signatures in the repository that is named for them', async () => {
    await attach(store, digest, [signed(KEY, digest)])
    const signatureRepository = parseReference('registry.example/signatures')
    const results = await verifyImages(task({ signatureRepository }), named('a'))
    expect(outcomes(results)).toEqual(['allowed'])
    expect([...opened].sort()).toEqual(['registry.example/a', 'registry.example/signatures'])
  })

  it('ends when it is told to', async () => {
    const stop = new AbortController()
    stop.abort(new CosignetError('ABORTED', 'Stopped.'))
    const cli = quietCli({ signal: stop.signal })
    await expect(verifyImages(task({ cli }), named('a'))).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
