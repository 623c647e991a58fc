import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { LIMITS } from '../core/index.ts'
import { parseDigest } from '../oci/index.ts'
import { BlobHomes } from './blob-homes.ts'

const digestOf = (n: number) => parseDigest(`sha256:${createHash('sha256').update(String(n)).digest('hex')}`)

it('forgets the blob that was touched the longest ago', () => {
  const homes = new BlobHomes()
  for (let n = 0; n < LIMITS.registryBlobHomes; n++) homes.remember(digestOf(n), `r${n}`)
  homes.remember(digestOf(0), 'again')
  homes.remember(digestOf(-1), 'new')
  expect([0, 1, 2, -1].map((n) => homes.find(digestOf(n)))).toEqual(['again', undefined, 'r2', 'new'])
})
