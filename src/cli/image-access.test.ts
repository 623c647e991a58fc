import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { parseLocation } from '../oci/index.ts'
import { formatLocation, openImage, openTarget } from './image-access.ts'

const DIGEST = `sha256:${'1'.repeat(64)}`
const ID = `sha256:${'2'.repeat(64)}`

describe('formatLocation', () => {
  it.each([
    ['docker://ghcr.io/a/b:c', undefined],
    ['docker://a', 'docker://docker.io/library/a:latest'],
    [`docker://ghcr.io/a/b@${DIGEST}`, undefined],
    ['dir:/a/b', undefined],
    ['oci:a', undefined],
    ['oci:a:', 'oci:a'],
    ['oci:a:b/c:d', undefined],
    ['oci:a:@1', undefined],
    ['oci-archive:a.tar:b', undefined],
    ['docker-archive:a.tar', undefined],
    ['docker-archive:a.tar:b', 'docker-archive:a.tar:docker.io/library/b:latest'],
    ['docker-archive:a.tar:@0', undefined],
    [`docker-daemon:${ID}`, undefined],
    ['docker-daemon:a:b', 'docker-daemon:docker.io/library/a:b'],
  ])('writes %s so that it is read as the same', (text, full = text) => {
    const written = formatLocation(parseLocation(text))
    expect(written).toBe(full)
    expect(parseLocation(written)).toEqual(parseLocation(text))
  })
})

describe('openTarget', () => {
  let folder: string
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it.each([
    ['oci:FOLDER/new:@0', 'names a place to read, not to write'],
    ['oci-archive:FOLDER/new.tar:@3', 'names a place to read, not to write'],
    ['docker-archive:FOLDER/new.tar:@0', 'names a place to read, not to write'],
    [`docker-daemon:${ID}`, `not the ID ${ID}`],
  ])('refuses %s, and makes nothing', async (text, message) => {
    const location = parseLocation(text.replace('FOLDER', folder))
    const close = vi.fn()
    const daemon = { http: { close } }
    const access = { ...nobody, openDaemon: () => daemon as never }
    await expect(openTarget(location, access)).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(message),
    })
    expect(await readdir(folder)).toEqual([])
    expect(close).toHaveBeenCalledTimes(text.startsWith('docker-daemon') ? 1 : 0)
  })

  it.each([
    ['docker://ghcr.io/a/b', 'docker://ghcr.io/c/d:e', 'c/d'],
    ['docker://ghcr.io/a/b', 'docker://ghcr.io/a/b:e', undefined],
    ['docker://ghcr.io/a/b', 'docker://quay.io/c/d', undefined],
    ['docker://ghcr.io/a/b', 'dir:c/d', undefined],
    ['docker://ghcr.io/a/b', undefined, undefined],
  ])('mounts into %s from %s: %s', async (to, from, mountFrom) => {
    const asked: unknown[] = []
    const open = async (_reference: unknown, options: unknown): Promise<never> => {
      asked.push(options)
      return {} as never
    }
    const source = from === undefined ? undefined : parseLocation(from)
    const target = await openTarget(parseLocation(to), { ...nobody, open }, source)
    expect(asked).toEqual([mountFrom === undefined ? {} : { mountFrom }])
    expect(target.tag).toBe('latest')
  })

  it('has no name for an image that is named by its digest', async () => {
    const open = async (): Promise<never> => ({}) as never
    const target = await openTarget(parseLocation(`docker://ghcr.io/a/b@${DIGEST}`), { ...nobody, open })
    expect([target.tag, target.digest]).toEqual([undefined, DIGEST])
  })
})

describe('openImage', () => {
  it.each([
    ['docker://ghcr.io/a/b', 'latest'],
    ['docker://ghcr.io/a/b:c', 'c'],
    [`docker://ghcr.io/a/b:c@${DIGEST}`, DIGEST],
  ])('asks a registry for what %s names', async (text, from) => {
    const openSource = async (): Promise<never> => ({}) as never
    expect(await openImage(parseLocation(text), { ...nobody, openSource })).toMatchObject({ from })
  })
})

/** No registry and no daemon may be asked. */
const nobody = {
  open: refuse,
  openSource: refuse,
  openDaemon: (): never => {
    throw new Error('There is no daemon.')
  },
}

async function refuse(): Promise<never> {
  throw new Error('There is no registry.')
}
