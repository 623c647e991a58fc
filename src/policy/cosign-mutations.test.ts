import { describe, expect, it } from 'vitest'
import { type CosignMutation, cosignMutations } from '../../test/fixtures/cosign-mutations.ts'
import {
  FIRST_MANIFEST,
  FIRST_PAYLOAD,
  FIRST_PUB,
  SIGNED_DIGEST,
  SIGNED_REPOSITORY,
} from '../../test/fixtures/cosign-signatures.ts'
import { judgeByKeys } from '../../test/fixtures/judged-image.ts'
import { CosignetError, encodeUtf8 } from '../core/index.ts'
import { parsePublicKey } from '../keys/index.ts'
import { type Digest, digestOf, type ImageSource, parseManifest } from '../oci/index.ts'
import { signatureTag } from '../signature/index.ts'
import type { Verdict } from './index.ts'

const SIGNATURE = /"dev.cosignproject.cosign\/signature":"([^"]+)"/.exec(FIRST_MANIFEST)?.[1] ?? ''
const MUTATIONS = cosignMutations(FIRST_PAYLOAD, SIGNATURE, '{}')
const KEY = {
  kind: 'cosign',
  key: parsePublicKey(encodeUtf8(FIRST_PUB), 'The key'),
  name: 'first.pub',
} as const

/** A registry that has nothing but the mutated signature image. */
function sourceOf({ image }: CosignMutation): ImageSource {
  const missing = () => new CosignetError('NOT_FOUND', 'There is none.')
  return {
    name: SIGNED_REPOSITORY,
    getManifest: async (tag) => {
      if (tag !== signatureTag(SIGNED_DIGEST)) throw missing()
      return parseManifest(encodeUtf8(image.manifest), image.mediaType, 'The manifest')
    },
    async *getBlob({ digest, size }: { digest: Digest; size: number }) {
      const bytes = image.blobs.get(digest)
      if (bytes === undefined) throw missing()
      // As a registry client, which checks what it was sent.
      if (bytes.byteLength !== size || digestOf(bytes) !== digest) {
        throw new CosignetError('DIGEST_MISMATCH', 'It is another blob.')
      }
      yield bytes
    },
    listReferrers: async () => [],
  }
}

async function judge(mutation: CosignMutation): Promise<Verdict> {
  return await judgeByKeys({ source: sourceOf(mutation), digest: SIGNED_DIGEST, keys: [KEY] })
}

describe('a signature image of cosign that was changed', () => {
  it('comes in at least 200 ways, most of them in what was signed', () => {
    expect(MUTATIONS.length).toBeGreaterThanOrEqual(200)
    expect(MUTATIONS.filter(({ of }) => of === 'signed').length).toBeGreaterThanOrEqual(200)
    expect(new Set(MUTATIONS.map(({ name }) => name)).size).toBe(MUTATIONS.length)
  })

  it('is denied wherever the payload or the signature was changed, and nobody is said to have signed it', async () => {
    for (const mutation of MUTATIONS.filter(({ of }) => of === 'signed')) {
      const { outcome, signatures = [] } = await judge(mutation)
      expect({ name: mutation.name, outcome }).toEqual({ name: mutation.name, outcome: 'denied' })
      expect(signatures.filter(({ signer }) => signer !== undefined)).toEqual([])
    }
  })

  it.each(MUTATIONS.filter(({ of }) => of === 'unsigned'))(
    'is judged as by cosign where nobody signed it: $name',
    async (mutation) => {
      expect((await judge(mutation)).outcome).toBe(mutation.accepted ? 'allowed' : 'denied')
    },
  )
})
