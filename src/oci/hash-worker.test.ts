import { createHash } from 'node:crypto'
import os from 'node:os'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { type RemoteHash, startRemoteHash } from './hash-worker.ts'

const MiB = 1024 * 1024

describe('startRemoteHash', () => {
  const processors = vi.spyOn(os, 'availableParallelism')
  beforeEach(() => {
    processors.mockReturnValue(4)
  })
  afterEach(() => {
    processors.mockReset()
  })

  it.each([1, 2])('starts no thread on %i processors', (count) => {
    processors.mockReturnValue(count)
    expect(startRemoteHash('sha256')).toBeUndefined()
  })

  it.each([
    ['nothing', [0]],
    ['a byte', [1]],
    ['a block, to the byte', [512 * 1024]],
    ['more than is held at a time, in one piece', [9 * MiB + 1]],
    ['many pieces of odd sizes', Array.from({ length: 300 }, (_, i) => 12_345 + 7 * i)],
  ])('hashes %s', async (_case, sizes) => {
    const hash = start('sha256')
    const expected = createHash('sha256')
    for (const [i, size] of sizes.entries()) {
      const chunk = Buffer.alloc(size, `chunk ${i}`)
      expected.update(chunk)
      await hash.update(chunk)
      chunk.fill(0)
    }
    expect(await hash.finish()).toBe(expected.digest('hex'))
    hash.close()
  })

  it('is not disturbed by a hash that was given up', async () => {
    const given = start('sha256')
    await given.update(Buffer.alloc(3 * MiB, 1))
    given.close()
    const kept = start('sha256')
    await kept.update(Buffer.from('hello'))
    expect(await kept.finish()).toBe(createHash('sha256').update('hello').digest('hex'))
    kept.close()
  })

  it('fails all hashes of a thread that fails, and takes a new thread for the next', async () => {
    const others = Array.from({ length: 8 }, () => start('sha256'))
    const failing = start('no such algorithm')
    const failure = { code: 'INTERNAL', message: /^The thread that computes digests failed: / }
    await expect(failing.finish()).rejects.toMatchObject({
      ...failure,
      message: expect.stringMatching(failure.message),
    })
    // Filled up, for what is told to a thread that is gone is never given back.
    const outcomes = await Promise.allSettled(
      others.map(async (hash) => {
        await hash.update(Buffer.alloc(9 * MiB))
        return await hash.finish()
      }),
    )
    const zeros = createHash('sha256')
      .update(Buffer.alloc(9 * MiB))
      .digest('hex')
    const rejected = outcomes.filter(({ status }) => status === 'rejected')
    expect(rejected.length).toBeGreaterThan(0)
    for (const outcome of outcomes) {
      if (outcome.status === 'fulfilled') expect(outcome.value).toBe(zeros)
      else expect(outcome.reason).toMatchObject({ code: 'INTERNAL' })
    }
    for (const hash of [...others, failing]) hash.close()

    const next = start('sha256')
    await next.update(Buffer.from('hello'))
    expect(await next.finish()).toBe(createHash('sha256').update('hello').digest('hex'))
    next.close()
  })
})

function start(algorithm: string): RemoteHash {
  const hash = startRemoteHash(algorithm)
  if (hash === undefined) throw new Error('there is no thread')
  return hash
}
