import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { type ErrorCode, encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import type { CredentialProvider } from './credentials.ts'
import { type Digest, digestOf, parseDigest } from './digest.ts'
import { MEDIA_TYPES, parseManifest } from './manifest.ts'
import { openRegistry, RegistryClient } from './registry-client.ts'

const cleanups: (() => void)[] = []
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup()
})

type Handler = (request: IncomingMessage, response: ServerResponse, body: Buffer) => void

/** Starts a server and notes each request as "METHOD path" with its Authorization. */
async function serve(
  handler: Handler,
): Promise<{ host: string; log: string[]; auth: (string | undefined)[] }> {
  const log: string[] = []
  const auth: (string | undefined)[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      log.push(`${request.method} ${request.url}`)
      auth.push(request.headers.authorization)
      handler(request, response, Buffer.concat(chunks))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return { host: `127.0.0.1:${(server.address() as AddressInfo).port}`, log, auth }
}

function open(host: string, credentials?: CredentialProvider, waits: number[] = []): RegistryClient {
  const http = new HttpClient()
  cleanups.push(() => http.close())
  return new RegistryClient({
    registry: host,
    repository: 'a/b',
    http,
    ...(credentials === undefined ? {} : { credentials }),
    sleep: async (ms) => {
      waits.push(ms)
    },
  })
}

const config = { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(encodeUtf8('{}')), size: 2 }
const IMAGE = encodeUtf8(
  JSON.stringify({ schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [] }),
)
const IMAGE_DIGEST = parseDigest(`sha256:${createHash('sha256').update(IMAGE).digest('hex')}`)
const OTHER = parseDigest(`sha256:${'0'.repeat(64)}`)

function answerImage(response: ServerResponse, headers: Record<string, string> = {}): void {
  response.writeHead(200, { 'content-type': MEDIA_TYPES.ociManifest, ...headers }).end(IMAGE)
}

function answerError(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, { 'content-type': 'application/json' })
  response.end(JSON.stringify({ errors: [{ code, message }] }))
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describe('reading manifests', () => {
  it('asks once, without a ping, and gives the bytes as they are', async () => {
    const { host, log } = await serve((request, response) => {
      expect(request.headers.accept).toContain(MEDIA_TYPES.ociIndex)
      answerImage(response, { 'docker-content-digest': IMAGE_DIGEST })
    })
    const client = open(host)
    const manifest = await client.getManifest('v1')
    expect(Buffer.from(manifest.bytes).equals(IMAGE)).toBe(true)
    expect(manifest.digest).toBe(IMAGE_DIGEST)
    expect((await client.getManifest(IMAGE_DIGEST)).digest).toBe(IMAGE_DIGEST)
    expect(log).toEqual(['GET /v2/a/b/manifests/v1', `GET /v2/a/b/manifests/${IMAGE_DIGEST}`])
  })

  it.each<[string, string, Record<string, string>, ErrorCode]>([
    ['other bytes than asked for', OTHER, {}, 'DIGEST_MISMATCH'],
    ['other bytes than announced', 'v1', { 'docker-content-digest': OTHER }, 'DIGEST_MISMATCH'],
    [
      'the right bytes, announced wrongly',
      IMAGE_DIGEST,
      { 'docker-content-digest': OTHER },
      'DIGEST_MISMATCH',
    ],
    ['no digest where one belongs', 'v1', { 'docker-content-digest': '../x' }, 'BAD_RESPONSE'],
    ['another type than they say', 'v1', { 'content-type': MEDIA_TYPES.ociIndex }, 'INVALID_MANIFEST'],
    ['a login page', 'v1', { 'content-type': 'text/html; charset=utf-8' }, 'BAD_RESPONSE'],
    ['too much', 'v1', { 'content-length': String(IMAGE.byteLength) }, 'TOO_LARGE'],
  ])('refuses %s', async (name, reference, headers, code) => {
    const { host } = await serve((_request, response) => {
      if (name === 'too much') response.writeHead(200).end(Buffer.alloc(4 * 1024 * 1024 + 1))
      else answerImage(response, headers)
    })
    await expect(open(host).getManifest(reference)).rejects.toMatchObject({ code })
  })

  it.each([
    '../../x',
    'a/b',
    '',
    'sha256:short',
    'sha256:../../x',
    `sha256:${'A'.repeat(64)}`,
    `sha256:${'a'.repeat(63)}/`,
    `md5:${'0'.repeat(32)}`,
    'x'.repeat(129),
  ])('never asks for %j (CVE-2024-3727)', async (reference) => {
    const { host, log } = await serve((_request, response) => response.end())
    await expect(open(host).getManifest(reference)).rejects.toMatchObject({ code: 'INVALID_REFERENCE' })
    expect(log).toEqual([])
  })

  it.each<[number, ErrorCode, boolean]>([
    [401, 'UNAUTHORIZED', false],
    [403, 'FORBIDDEN', false],
    [404, 'NOT_FOUND', false],
    [400, 'BAD_RESPONSE', false],
    [501, 'UNSUPPORTED', false],
    [429, 'UNAVAILABLE', true],
    [503, 'UNAVAILABLE', true],
  ])('maps status %i to %s', async (status, code, retryable) => {
    const { host } = await serve((_request, response) =>
      answerError(response, status, 'SOME_CODE', 'why\n\u202enot'),
    )
    await expect(open(host).getManifest('v1')).rejects.toMatchObject({
      code,
      retryable,
      message: `Reading the manifest "v1" of ${host}/a/b failed: ${host} answers ${status} (SOME_CODE: "why\\n\\u202enot").`,
    })
  })

  it('has one meaning whatever the registry announces (CVE-2021-41190)', async () => {
    const both = encodeUtf8(JSON.stringify({ schemaVersion: 2, config, layers: [], manifests: [] }))
    for (const type of [MEDIA_TYPES.ociManifest, MEDIA_TYPES.ociIndex, 'application/json']) {
      const { host } = await serve((_request, response) =>
        response.writeHead(200, { 'content-type': type }).end(both),
      )
      await expect(open(host).getManifest('v1')).rejects.toMatchObject({
        code: 'INVALID_MANIFEST',
        message: expect.stringContaining('so it is ambiguous'),
      })
    }
  })

  it('tells the head of a manifest, and its absence', async () => {
    const { host, log } = await serve((request, response) => {
      if (request.url?.endsWith('/gone') === true) return response.writeHead(404).end()
      const announced =
        request.url?.endsWith('/bare') === true ? {} : { 'docker-content-digest': IMAGE_DIGEST }
      answerImage(response, { 'content-length': String(IMAGE.byteLength), ...announced })
    })
    const client = open(host)
    const head = { digest: IMAGE_DIGEST, mediaType: MEDIA_TYPES.ociManifest, size: IMAGE.byteLength }
    expect(await client.headManifest('v1')).toEqual(head)
    expect(await client.headManifest('bare')).toEqual(head)
    expect(await client.headManifest('gone')).toBeUndefined()
    await expect(client.headManifest(OTHER)).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    expect(log.slice(0, 3)).toEqual([
      'HEAD /v2/a/b/manifests/v1',
      'HEAD /v2/a/b/manifests/bare',
      'GET /v2/a/b/manifests/bare',
    ])
  })

  it('asks a busy registry three times more, and waits as it says, up to a limit', async () => {
    let requests = 0
    const { host } = await serve((_request, response) => {
      requests += 1
      if (requests === 4) return answerImage(response)
      response.writeHead(
        requests === 1 ? 503 : 429,
        requests === 1 ? {} : { 'retry-after': requests === 2 ? '2' : '999' },
      )
      response.end()
    })
    const waits: number[] = []
    await open(host, undefined, waits).getManifest('v1')
    expect(waits).toEqual([500, 2000, 60_000])
  })
})

describe('reading blobs', () => {
  const blob = encodeUtf8('blob')
  const digest = digestOf(blob)

  it('gives the right bytes, also from another host', async () => {
    const storage = await serve((_request, response) => response.end(blob))
    const { host } = await serve((_request, response) => {
      response.writeHead(307, { location: `http://${storage.host}/signed?key=x` }).end()
    })
    expect(await read(open(host).getBlob({ digest, size: 4 }))).toBe('blob')
    expect(storage.log).toEqual(['GET /signed?key=x'])
  })

  it.each<[string, string, number, ErrorCode]>([
    ['other bytes', 'blub', 4, 'DIGEST_MISMATCH'],
    ['more than announced', 'blob and more', 4, 'DIGEST_MISMATCH'],
    ['less than announced', 'bl', 4, 'DIGEST_MISMATCH'],
    ['nothing', '', 4, 'DIGEST_MISMATCH'],
  ])('fails on %s', async (_name, body, size, code) => {
    const { host } = await serve((_request, response) => response.end(body))
    await expect(read(open(host).getBlob({ digest, size }))).rejects.toMatchObject({ code })
  })

  it('fails on a connection that breaks', async () => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': '4' })
      response.write('bl', () => response.destroy())
    })
    await expect(read(open(host).getBlob({ digest, size: 4 }))).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  })
})

describe('referrers', () => {
  const index = (count: number, offset = 0): string =>
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: Array.from({ length: count }, (_, i) => ({
        mediaType: MEDIA_TYPES.ociManifest,
        digest: digestOf(encodeUtf8(String(offset + i))),
        size: 1,
        artifactType: 'a/b',
      })),
    })

  it('are listed over pages of the same origin', async () => {
    const { host } = await serve((request, response) => {
      const second = request.url?.includes('page=2') === true
      const next: Record<string, string> = second ? {} : { link: `<${request.url}?page=2>; rel="next"` }
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex, ...next }).end(index(2, second ? 2 : 0))
    })
    const found = await open(host).listReferrers(IMAGE_DIGEST)
    expect(found.map(({ digest }) => digest)).toEqual(
      ['0', '1', '2', '3'].map((text) => digestOf(encodeUtf8(text))),
    )
    expect(found[0]?.artifactType).toBe('a/b')
  })

  it('are none where the list is null', async () => {
    const body = `{"schemaVersion":2,"mediaType":"${MEDIA_TYPES.ociIndex}","manifests":null}`
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex }).end(body)
    })
    expect(await open(host).listReferrers(IMAGE_DIGEST)).toEqual([])
  })

  it.each<[string, Record<string, string>, string, ErrorCode]>([
    ['a page elsewhere', { link: '<https://evil.test/>; rel="next"' }, index(1), 'BAD_RESPONSE'],
    ['pages without end', { link: '</v2/a/b/referrers/x>; rel=next' }, index(500), 'TOO_LARGE'],
    ['what is no JSON', {}, '<html>', 'BAD_RESPONSE'],
    ['what is no index', {}, '[]', 'BAD_RESPONSE'],
    ['what has no digest', {}, index(1).replace(/sha256:/, 'sha256'), 'BAD_RESPONSE'],
  ])('are refused for %s', async (_name, headers, body, code) => {
    const { host } = await serve((_request, response) => {
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex, ...headers }).end(body)
    })
    await expect(open(host).listReferrers(IMAGE_DIGEST)).rejects.toMatchObject({ code })
  })

  it('fall back to the tag where there is no API, and may be none', async () => {
    const { host, log } = await serve((request, response) => {
      if (request.url?.includes('/referrers/') === true)
        return response.writeHead(404).end('404 page not found')
      if (request.url?.includes(OTHER.replace(':', '-')) === true) return response.writeHead(404).end()
      response.writeHead(200, { 'content-type': MEDIA_TYPES.ociIndex }).end(index(1))
    })
    const client = open(host)
    expect(await client.listReferrers(IMAGE_DIGEST)).toHaveLength(1)
    expect(await client.listReferrers(OTHER)).toEqual([])
    expect(log[1]).toBe(`GET /v2/a/b/manifests/${IMAGE_DIGEST.replace(':', '-')}`)
    await client.listReferrers(parseDigest(`sha512:${'ab'.repeat(64)}`))
    expect(log.at(-1)).toBe(`GET /v2/a/b/manifests/sha512-${'ab'.repeat(32)}`)
  })

  it.each([429, 500, 503, 401, 403])('that answer %i are an error, never none', async (status) => {
    const { host } = await serve((_request, response) => response.writeHead(status).end())
    await expect(open(host).listReferrers(IMAGE_DIGEST)).rejects.toMatchObject({ name: 'CosignetError' })
    const fallback = await serve((request, response) =>
      response.writeHead(request.url?.includes('/referrers/') === true ? 404 : status).end(),
    )
    await expect(open(fallback.host).listReferrers(IMAGE_DIGEST)).rejects.toMatchObject({
      name: 'CosignetError',
    })
  })
})

describe('tags', () => {
  it('are listed over pages, without what is not a tag', async () => {
    const { host } = await serve((request, response) => {
      const second = request.url?.includes('last=') === true
      if (!second) response.setHeader('link', '</v2/a/b/tags/list?last=b&n=1000>; rel="next"')
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ name: 'a/b', tags: second ? ['c', 'b'] : ['a', 'b', '../x', 7] }))
    })
    expect(await open(host).listTags()).toEqual(['a', 'b', 'c'])
  })

  it('may be null, and are refused where they are no list', async () => {
    let tags: unknown = null
    const { host } = await serve((_request, response) => response.end(JSON.stringify({ tags })))
    expect(await open(host).listTags()).toEqual([])
    tags = 'a'
    await expect(open(host).listTags()).rejects.toMatchObject({ code: 'BAD_RESPONSE' })
  })
})

describe('writing', () => {
  const blob = encodeUtf8('blob')
  const digest = digestOf(blob)

  /** A registry that takes one blob and one manifest. */
  async function registry(
    location: (host: string) => string,
  ): Promise<{ host: string; log: string[]; stored: Buffer[] }> {
    const stored: Buffer[] = []
    const { host, log } = await serve((request, response, body) => {
      if (request.method === 'HEAD') return response.writeHead(404).end()
      if (request.method === 'POST') return response.writeHead(202, { location: location(host) }).end()
      stored.push(body)
      response.writeHead(201).end()
    })
    return { host, log, stored }
  }

  it('puts a blob by HEAD, POST and PUT, and keeps the query of the Location', async () => {
    const { host, log, stored } = await registry(() => '/v2/a/b/blobs/uploads/1?_state=a%2Bb+c')
    async function* content(): AsyncGenerator<Uint8Array> {
      yield blob.subarray(0, 2)
      yield blob.subarray(2)
    }
    await open(host).putBlob({ digest, size: 4 }, content)
    expect(stored.map(String)).toEqual(['blob'])
    expect(log).toEqual([
      `HEAD /v2/a/b/blobs/${digest}`,
      'POST /v2/a/b/blobs/uploads/',
      `PUT /v2/a/b/blobs/uploads/1?_state=a%2Bb+c&digest=${encodeURIComponent(digest)}`,
    ])
  })

  it('sends a blob that is there already by HEAD alone', async () => {
    const { host, log } = await serve((_request, response) => response.end())
    await open(host).putBlob({ digest, size: 4 }, blob)
    expect(log).toEqual([`HEAD /v2/a/b/blobs/${digest}`])
  })

  it('stores nothing of content that does not match', async () => {
    const { host } = await registry(() => '/up')
    await expect(open(host).putBlob({ digest, size: 4 }, encodeUtf8('blub'))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
    await expect(open(host).putBlob({ digest, size: 4 }, encodeUtf8('bl'))).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
  })

  it('starts an upload again that broke off', async () => {
    let puts = 0
    const { host, log } = await serve((request, response) => {
      if (request.method === 'HEAD') return response.writeHead(404).end()
      if (request.method === 'POST') return response.writeHead(202, { location: '/up' }).end()
      puts += 1
      response.writeHead(puts === 1 ? 503 : 201).end()
    })
    await open(host).putBlob({ digest, size: 4 }, blob)
    expect(log.filter((line) => line.startsWith('POST'))).toHaveLength(2)
  })

  it('uploads to another host without credentials', async () => {
    const storage = await serve((_request, response) => response.writeHead(201).end())
    const { host } = await serve((request, response) => {
      if (request.headers.authorization === undefined) {
        return response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      }
      if (request.method === 'HEAD') return response.writeHead(404).end()
      response.writeHead(202, { location: `http://${storage.host}/up` }).end()
    })
    const client = open(host, async () => ({ kind: 'basic', username: 'u', password: 'p' }))
    await client.putBlob({ digest, size: 4 }, blob)
    expect(storage.auth).toEqual([undefined])
  })

  it('refuses a registry that names no place to upload to', async () => {
    const { host } = await serve((request, response) =>
      response.writeHead(request.method === 'HEAD' ? 404 : 202).end(),
    )
    await expect(open(host).putBlob({ digest, size: 4 }, blob)).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
    })
  })

  const manifest = parseManifest(IMAGE, undefined, 'It')

  it('puts a manifest under a tag or its digest', async () => {
    const { host, log, stored } = await registry(() => '')
    await open(host).putManifest(manifest, { tag: 'v1' })
    await open(host).putManifest(manifest)
    expect(log).toEqual(['PUT /v2/a/b/manifests/v1', `PUT /v2/a/b/manifests/${IMAGE_DIGEST}`])
    expect(stored.every((body) => body.equals(IMAGE))).toBe(true)
  })

  it.each<[string, Digest | null, Digest | undefined, string | undefined]>([
    ['still there', IMAGE_DIGEST, IMAGE_DIGEST, undefined],
    ['not there yet', null, undefined, undefined],
    ['moved', OTHER, IMAGE_DIGEST, `points to ${IMAGE_DIGEST} by now`],
    ['made by another', null, IMAGE_DIGEST, `points to ${IMAGE_DIGEST} by now`],
    ['gone', IMAGE_DIGEST, undefined, 'is not there any more'],
  ])('moves a tag only if it is as expected: %s', async (_name, ifMatch, actual, conflict) => {
    const conditions: unknown[] = []
    const { host } = await serve((request, response) => {
      if (request.method === 'HEAD') {
        if (actual === undefined) return response.writeHead(404).end()
        const length = String(IMAGE.byteLength)
        return answerImage(response, { 'docker-content-digest': actual, 'content-length': length })
      }
      conditions.push([request.headers['if-match'], request.headers['if-none-match']])
      response.writeHead(201).end()
    })
    const done = open(host).putManifest(manifest, { tag: 'v1', ifMatch })
    if (conflict === undefined) {
      await done
      expect(conditions).toEqual([ifMatch === null ? [undefined, '*'] : [`"${ifMatch}"`, undefined]])
    } else {
      await expect(done).rejects.toMatchObject({
        code: 'CONFLICT',
        message: expect.stringContaining(conflict),
      })
      expect(conditions).toEqual([])
    }
  })

  it('moves a tag once where the answer was lost', async () => {
    let puts = 0
    const { host } = await serve((request, response) => {
      if (request.method === 'PUT') {
        puts += 1
        // Moved, and not told; then found moved.
        return puts === 1 ? response.destroy() : response.writeHead(412).end()
      }
      const length = String(IMAGE.byteLength)
      answerImage(response, {
        'docker-content-digest': puts === 0 ? OTHER : IMAGE_DIGEST,
        'content-length': length,
      })
    })
    await open(host).putManifest(manifest, { tag: 'v1', ifMatch: OTHER })
    expect(puts).toBe(2)
  })

  it('maps 412 to CONFLICT, and refuses another digest than was sent', async () => {
    let status = 412
    const { host } = await serve((_request, response) =>
      response.writeHead(status, { 'docker-content-digest': OTHER }).end(),
    )
    await expect(open(host).putManifest(manifest, { tag: 'v1' })).rejects.toMatchObject({ code: 'CONFLICT' })
    status = 201
    await expect(open(host).putManifest(manifest, { tag: 'v1' })).rejects.toMatchObject({
      code: 'DIGEST_MISMATCH',
    })
  })

  it('deletes a manifest by digest', async () => {
    const { host, log } = await serve((request, response) =>
      request.method === 'GET' ? answerImage(response) : response.writeHead(202).end(),
    )
    await open(host).deleteManifest(IMAGE_DIGEST)
    expect(log).toEqual([`GET /v2/a/b/manifests/${IMAGE_DIGEST}`, `DELETE /v2/a/b/manifests/${IMAGE_DIGEST}`])
  })
})

describe('authentication', () => {
  const credentials: CredentialProvider = async () => ({
    kind: 'basic',
    username: 'user',
    password: 'CANARY',
  })
  const BASIC = `Basic ${Buffer.from('user:CANARY').toString('base64')}`

  it('answers a Basic challenge once, with credentials', async () => {
    const { host, auth } = await serve((request, response) => {
      if (request.headers.authorization === BASIC) return answerImage(response)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
    })
    const client = open(host, credentials)
    await client.getManifest('v1')
    await client.getManifest('v1')
    expect(auth).toEqual([undefined, BASIC, BASIC])
    const wrong = open(host, async () => ({ kind: 'basic', username: 'u', password: 'CANARY' }))
    const error = await wrong.getManifest('v1').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'UNAUTHORIZED', hint: expect.stringContaining('Log in') })
    expect(String(error)).not.toContain('CANARY')
    await expect(open(host).getManifest('v1')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('gets a token for each scope and keeps it', async () => {
    const scopes: (string | null)[] = []
    const { host, log, auth } = await serve((request, response) => {
      const url = new URL(request.url ?? '', `http://${host}`)
      if (url.pathname === '/token') {
        scopes.push(url.searchParams.get('scope'))
        expect(url.searchParams.get('service')).toBe('s')
        return response.end(JSON.stringify({ token: `t${scopes.length}` }))
      }
      if (request.headers.authorization === undefined) {
        const challenge = `Bearer realm="http://${host}/token",service="s",scope="repository:evil:pull"`
        return response.writeHead(401, { 'www-authenticate': challenge }).end()
      }
      if (request.method === 'PUT') return response.writeHead(201).end()
      answerImage(response)
    })
    const client = open(host)
    await client.getManifest('v1')
    await client.getManifest('v1')
    await client.putManifest(parseManifest(IMAGE, undefined, 'It'), { tag: 'v1' })
    expect(scopes).toEqual(['repository:a/b:pull', 'repository:a/b:pull,push'])
    expect(log.filter((line) => !line.includes('/token'))).toHaveLength(4)
    expect(auth.filter((value) => value !== undefined)).toEqual(['Bearer t1', 'Bearer t1', 'Bearer t2'])
  })

  it('gets one token for requests at once, and another when it is refused', async () => {
    let tokens = 0
    let accepted = 't1'
    const { host } = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) {
        tokens += 1
        return response.end(JSON.stringify({ access_token: `t${tokens}`, expires_in: 3600 }))
      }
      if (request.headers.authorization === `Bearer ${accepted}`) return answerImage(response)
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end()
    })
    const client = open(host)
    await Promise.all([client.getManifest('a'), client.getManifest('b'), client.getManifest('c')])
    expect(tokens).toBe(1)
    accepted = 't2'
    await client.getManifest('a')
    expect(tokens).toBe(2)
    accepted = 'never'
    await expect(client.getManifest('a')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
  })

  it('asks for another token when the time of one is over', async () => {
    let tokens = 0
    let now = 0
    const { host } = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) {
        tokens += 1
        return response.end(JSON.stringify({ token: 't', expires_in: 100 }))
      }
      if (request.headers.authorization !== undefined) return answerImage(response)
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end()
    })
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const reference = { registry: host, repository: 'a/b' }
    const client = openRegistry(reference, { http, clock: () => new Date(now) })
    await client.getManifest('v1')
    now = 89_000
    await client.getManifest('v1')
    expect(tokens).toBe(1)
    now = 91_000
    await client.getManifest('v1')
    expect(tokens).toBe(2)
  })

  it('never sends credentials to a token server over plain http', async () => {
    const { host, auth } = await serve((request, response) => {
      if (request.url?.startsWith('/token') === true) return response.end(JSON.stringify({ token: 't' }))
      if (request.headers.authorization === 'Bearer t') return answerImage(response)
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end()
    })
    await open(host, credentials).getManifest('v1')
    expect(auth).toEqual([undefined, undefined, 'Bearer t'])
  })

  it.each([
    'http://tokens.example.com/token',
    'http://169.254.169.254/latest/meta-data',
    'https://user:pass@tokens.example.com/',
    'file:///etc/passwd',
    'not a URL',
    '',
  ])('does not trust the token server %j', async (realm) => {
    const { host, log } = await serve((_request, response) =>
      response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}"` }).end(),
    )
    await expect(open(host, credentials).getManifest('v1')).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: expect.stringContaining('a token server that is not trusted'),
    })
    expect(log).toHaveLength(1)
  })

  it.each<[string, Handler, ErrorCode]>([
    ['HTML', (_request, response) => response.end('<html>CANARY'), 'BAD_RESPONSE'],
    ['no token', (_request, response) => response.end('{}'), 'BAD_RESPONSE'],
    ['null', (_request, response) => response.end('null'), 'BAD_RESPONSE'],
    [
      'a token with a line end',
      (_r, response) => response.end('{"token":"CANARY\\r\\nX: y"}'),
      'BAD_RESPONSE',
    ],
    ['an endless token', (_r, response) => response.end('x'.repeat(70_000)), 'TOO_LARGE'],
    [
      'a redirect',
      (_r, response) => response.writeHead(302, { location: '/elsewhere' }).end(),
      'BAD_RESPONSE',
    ],
    ['a refusal', (_r, response) => response.writeHead(401).end(), 'UNAUTHORIZED'],
    ['an outage', (_r, response) => response.writeHead(503).end(), 'UNAVAILABLE'],
  ])('fails on a token server that answers %s', async (_name, handler, code) => {
    const { host } = await serve((request, response, body) => {
      if (request.url?.startsWith('/token') === true) return handler(request, response, body)
      response.writeHead(401, { 'www-authenticate': `Bearer realm="http://${host}/token"` }).end()
    })
    const error = await open(host)
      .getManifest('v1')
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code })
    expect(String(error)).not.toContain('CANARY')
  })

  it('never takes a token along to another host', async () => {
    const other = await serve((_request, response) => answerImage(response))
    const { host } = await serve((request, response) => {
      if (request.headers.authorization !== BASIC) {
        return response.writeHead(401, { 'www-authenticate': 'Basic realm="r"' }).end()
      }
      response.writeHead(307, { location: `http://${other.host}/x` }).end()
    })
    await open(host, credentials).getManifest('v1')
    expect(other.auth).toEqual([undefined])
  })
})

describe('the scheme', () => {
  it.each([
    ['resets', ''],
    ['answers 400 in words', 'HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\nwords'],
    ['answers an alert', '\x15\x03\x03\x00\x02\x02\x46'],
  ])('is https for a loopback port that %s to plain http', async (_name, answer) => {
    const seen: number[] = []
    const server = createTcpServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', (bytes) => {
        seen.push(bytes[0] ?? 0)
        // To a handshake, the reset: it must be the error, and not lead back to plain http.
        socket.end(bytes[0] === 0x16 ? '' : Buffer.from(answer, 'latin1'))
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    cleanups.push(() => server.close())
    const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const error = await openRegistry({ registry: host, repository: 'a/b' }, { http, retries: 0 })
      .getManifest('v1')
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', message: expect.stringContaining(`https://${host}`) })
    expect(seen).toEqual([0x47, 0x16])
  })

  it('is plain http for a loopback registry that answers 400 and no TLS', async () => {
    const { host } = await serve((_request, response) => response.writeHead(400).end('words'))
    const error = await open(host)
      .getManifest('v1')
      .catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'BAD_RESPONSE', message: expect.stringContaining('answers 400') })
  })

  it('is never plain http where it is not allowed to fall back', async () => {
    const { host, log } = await serve((_request, response) => answerImage(response))
    const http = new HttpClient()
    cleanups.push(() => http.close())
    const client = openRegistry({ registry: host, repository: 'a/b' }, { http, scheme: 'https' })
    await expect(client.getManifest('v1')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    expect(log).toEqual([])
  })

  it.each([
    ['ghcr.io', 'A/b'],
    ['ghcr.io/x', 'a'],
    ['ghcr.io', 'a:b'],
    ['ghcr.io', '../a'],
    ['', 'a'],
    ['user@ghcr.io', 'a'],
  ])('is of a registry and a repository, not of %j and %j', (registry, repository) => {
    const http = new HttpClient()
    expect(() => openRegistry({ registry, repository }, { http })).toThrow(
      expect.objectContaining({ code: 'INVALID_REFERENCE' }),
    )
  })
})
