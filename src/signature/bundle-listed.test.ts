import { describe, expect, it } from 'vitest'
import { BUNDLED_DIGEST, SIGNED_BUNDLE_MANIFEST } from '../../test/fixtures/cosign-bundles.ts'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { encodeUtf8 } from '../core/index.ts'
import { type Descriptor, digestOf, MEDIA_TYPES, parseManifest } from '../oci/index.ts'
import { wait } from './append-signature.ts'
import { keepListed } from './bundle-listed.ts'

const OURS = parseManifest(encodeUtf8(SIGNED_BUNDLE_MANIFEST), undefined, 'The manifest')

function entry(name: string): Descriptor {
  const digest = name === 'ours' ? OURS.digest : digestOf(encodeUtf8(name))
  return { mediaType: MEDIA_TYPES.ociManifest, digest, size: 1 }
}

/** A registry whose list is another each time that it is asked; the last one stays. */
class ListStore extends MemoryImageStore {
  readonly looks: number[] = []
  readonly #lists: readonly (readonly string[])[]

  constructor(lists: readonly (readonly string[])[]) {
    super()
    this.#lists = lists
  }

  override async listReferrers(): Promise<readonly Descriptor[]> {
    const list = this.#lists[Math.min(this.looks.length, this.#lists.length - 1)] ?? []
    this.looks.push(list.length)
    return list.map(entry)
  }
}

async function keep(lists: readonly (readonly string[])[], before: readonly string[] = []) {
  const store = new ListStore(lists)
  let pauses = 0
  const pause = async () => {
    pauses += 1
  }
  const { signal } = new AbortController()
  await keepListed(
    { store, digest: BUNDLED_DIGEST, manifest: OURS, took: 0, signal, pause },
    before.map(entry),
  )
  return { looks: store.looks.length, writes: store.calls.length, pauses }
}

describe('keepListed', () => {
  it.each([
    ['looks once where nobody else signs', [['old', 'ours']], 1, 0],
    ['asks no more of a store that keeps no list', [[]], 1, 0],
    [
      'looks again while others come',
      [
        ['ours', 'a'],
        ['ours', 'a', 'b'],
        ['ours', 'a', 'b'],
      ],
      3,
      0,
    ],
    ['enters it again that another lost', [['a'], ['a', 'ours']], 2, 1],
    ['enters it as often as it is lost', [['a'], ['b'], ['b'], ['b', 'ours']], 4, 3],
  ] as const)('%s', async (_, lists, looks, writes) => {
    expect(await keep(lists, ['old'])).toEqual({ looks, writes, pauses: looks - 1 })
  })

  it('gives up where it is never kept', async () => {
    const lists = [['a'], []]
    await expect(keep(lists)).rejects.toMatchObject({
      code: 'CONFLICT',
      message: `The bundle ${OURS.digest} does not stay on the list of referrers in registry.example/team/app: others keep writing there.`,
    })
  })

  it('stops when it is told to', async () => {
    const store = new ListStore([['a']])
    const job = {
      store,
      digest: BUNDLED_DIGEST,
      manifest: OURS,
      took: 0,
      signal: AbortSignal.abort(),
      pause: wait,
    }
    await expect(keepListed(job, [])).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
