import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { type Digest, digestOf } from './digest.ts'
import { MEDIA_TYPES } from './manifest.ts'
import { RegistryClient } from './registry-client.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

const DIGESTS: readonly Digest[] = Array.from({ length: 40 }, (_, i) => digestOf(encodeUtf8(`image ${i}`)))
const tagOf = (digest: Digest): string => digest.replace(':', '-')

const REFERRER = {
  mediaType: MEDIA_TYPES.ociManifest,
  digest: digestOf(encodeUtf8('referrer')),
  size: 8,
}
const LIST = JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [REFERRER] })

/** A registry without the referrers API, in which the tags given have a list of referrers. */
async function serve(
  tagged: readonly string[],
  listing: { status?: number; link?: string } = {},
): Promise<{ client: RegistryClient; count: (path: RegExp) => number }> {
  const log: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    log.push(path)
    const tag = /\/manifests\/(.*)$/.exec(path)?.[1]
    if (path.includes('/tags/list')) {
      const { status = 200, link } = listing
      response.writeHead(status, {
        'content-type': 'application/json',
        ...(link === undefined ? {} : { link }),
      })
      response.end(JSON.stringify({ name: 'a/b', tags: tagged }))
    } else if (tag !== undefined && tagged.includes(tag)) {
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex }).end(LIST)
    } else {
      response.writeHead(404, { 'content-type': tag === undefined ? 'text/plain' : 'application/json' })
      response.end('{"errors":[{"code":"MANIFEST_UNKNOWN"}]}')
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const http = new HttpClient()
  cleanups.push(() => {
    http.close()
    server.closeAllConnections()
    server.close()
  })
  const registry = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const client = new RegistryClient({ registry, repository: 'a/b', http })
  return { client, count: (path) => log.filter((one) => path.test(one)).length }
}

/** How many referrers each image has. */
async function look(client: RegistryClient): Promise<readonly number[]> {
  const found: number[] = []
  for (const digest of DIGESTS) found.push((await client.listReferrers(digest)).length)
  return found
}

const [LAST = DIGESTS[0] as Digest] = DIGESTS.slice(-1)
const ONLY_LAST = DIGESTS.map((digest) => (digest === LAST ? 1 : 0))

describe('RegistryClient.expectManyReads', () => {
  it('asks for tags that are in the list, and for no other once it has it', async () => {
    const { client, count } = await serve([tagOf(LAST), 'v1'])
    client.expectManyReads()
    expect(await look(client)).toEqual(ONLY_LAST)
    expect(count(/tags\/list/)).toBe(1)
    // The first twelve one by one, and the one that is there.
    expect(count(/manifests\//)).toBe(13)
    await expect(client.getManifest(`${tagOf(LAST)}.sig`)).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(count(/manifests\//)).toBe(13)
  })

  it('asks for every tag that is not named after a digest', async () => {
    const { client, count } = await serve([])
    client.expectManyReads()
    await look(client)
    await expect(client.getManifest('v1')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(count(/manifests\/v1$/)).toBe(1)
  })

  it.each([
    { what: 'is refused', listing: { status: 403 } },
    { what: 'goes on over more pages', listing: { link: '</v2/a/b/tags/list?last=v1>; rel="next"' } },
  ])('asks for every tag where the list $what', async ({ listing }) => {
    const { client, count } = await serve([tagOf(LAST)], listing)
    client.expectManyReads()
    expect(await look(client)).toEqual(ONLY_LAST)
    expect(count(/tags\/list/)).toBe(1)
    expect(count(/manifests\//)).toBe(DIGESTS.length)
  })

  it('is off unless it is asked for: a list that others add to must not hide what they added', async () => {
    const { client, count } = await serve([tagOf(LAST)])
    expect(await look(client)).toEqual(ONLY_LAST)
    expect(count(/tags\/list/)).toBe(0)
    expect(count(/manifests\//)).toBe(DIGESTS.length)
  })
})
