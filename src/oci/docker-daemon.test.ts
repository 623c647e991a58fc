import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { packTar, unpackTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { collectBytes, encodeUtf8 } from '../core/index.ts'
import { HttpClient } from '../net/index.ts'
import { digestOf } from './digest.ts'
import { createDockerDaemon, openDockerDaemon } from './docker-daemon.ts'
import { type DaemonHost, parseDaemonHost } from './docker-daemon-host.ts'
import { MEDIA_TYPES, parseManifest } from './manifest.ts'
import { parseReference } from './reference.ts'
import type { StagedDestination } from './store.ts'

const LAYER = 'layer'
const CONFIG = JSON.stringify({ rootfs: { type: 'layers', diff_ids: [digestOf(encodeUtf8(LAYER))] } })

let folder: string
let host: DaemonHost
let http: HttpClient
let server: Server
/** Every request that the daemon got. */
let requests: string[]
/** What the daemon got to load. */
let loaded: Uint8Array | undefined
let answer: (request: IncomingMessage, response: ServerResponse) => void

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-daemon-'))
  host = parseDaemonHost(`unix://${folder}/docker.sock`)
  http = new HttpClient(host.client)
  requests = []
  loaded = undefined
  server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`)
    // As Docker 28.2.2 answers.
    if (request.url === '/_ping') return response.writeHead(200, { 'api-version': '1.50' }).end('OK')
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(join(folder, 'docker.sock'), resolve))
})

afterEach(async () => {
  http.close()
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(folder, { recursive: true })
})

describe('reading from a Docker daemon', () => {
  beforeEach(async () => {
    const archive = await packTar([
      { header: { name: 'layer.tar', size: LAYER.length }, body: LAYER },
      { header: { name: 'config.json', size: CONFIG.length }, body: CONFIG },
      ...listing([{ Config: 'config.json', RepoTags: null, Layers: ['layer.tar'] }]),
    ])
    answer = (_request, response) => void response.end(archive)
  })

  it.each([
    ['busybox', 'busybox%3Alatest', 'busybox:latest'],
    ['docker.io/team/app:v1', 'team%2Fapp%3Av1', 'team/app:v1'],
    ['ghcr.io/library/app:v1', 'ghcr.io%2Flibrary%2Fapp%3Av1', 'ghcr.io/library/app:v1'],
  ])('asks for %s by the name that docker shows', async (reference, query, shown) => {
    const image = await openDockerDaemon({
      http,
      host,
      image: parseReference(reference),
      temporaryFolder: folder,
    })
    expect(requests).toEqual(['GET /_ping', `GET /v1.50/images/get?names=${query}`])
    expect(image.name).toBe(`docker-daemon:${shown}`)
    expect(image.makesManifests).toBe(true)
    const { content } = await image.getManifest(image.root)
    expect(content).toMatchObject({ config: { digest: digestOf(encodeUtf8(CONFIG)) } })
    const layer = { digest: digestOf(encodeUtf8(LAYER)), size: LAYER.length }
    expect(Buffer.from(await collectBytes(image.getBlob(layer), 5, 'The layer')).toString()).toBe(LAYER)
    await image.close()
    expect(await readdir(folder)).toEqual(['docker.sock'])
  })

  it('asks by ID', async () => {
    const id = `sha256:${'a'.repeat(64)}`
    const image = await openDockerDaemon({ http, host, image: { id }, temporaryFolder: folder })
    expect(requests[1]).toBe(`GET /v1.50/images/get?names=sha256%3A${'a'.repeat(64)}`)
    await image.close()
  })

  it.each([
    // podman 5.8.6
    [
      500,
      '{"cause":"image not known","message":"docker.io/a/b:c: image not known","response":500}',
      'NOT_FOUND',
      '"docker.io/a/b:c: image not known".',
    ],
    // moby, daemon/images: errdefs.NotFound
    [
      404,
      '{"message":"No such image: busybox:latest"}',
      'NOT_FOUND',
      'Reading docker-daemon:busybox:latest failed: "No such image: busybox:latest".',
    ],
    [
      500,
      '{"message":"broken"}',
      'BAD_RESPONSE',
      'Reading docker-daemon:busybox:latest failed: the Docker daemon says "broken".',
    ],
    [500, '<html>', 'BAD_RESPONSE', 'the Docker daemon says "status 500".'],
    [500, 'x'.repeat(100_000), 'BAD_RESPONSE', 'the Docker daemon says "status 500".'],
    [302, '', 'BAD_RESPONSE', 'redirects'],
    [200, '', 'INVALID_IMAGE', 'The archive of docker-daemon:busybox:latest is not valid: it is truncated.'],
    [200, 'x'.repeat(1024), 'INVALID_IMAGE', 'it is no tar file'],
  ])('tells what the daemon answers: %i %.30s', async (status, body, code, message) => {
    answer = (_request, response) => void response.writeHead(status, { location: '/elsewhere' }).end(body)
    const opening = openDockerDaemon({
      http,
      host,
      image: parseReference('busybox'),
      temporaryFolder: folder,
    })
    await expect(opening).rejects.toMatchObject({ code, message: expect.stringContaining(message) })
    expect(await readdir(folder)).toEqual(['docker.sock'])
  })

  it('tells that there is no daemon', async () => {
    const none = parseDaemonHost(`unix://${folder}/none.sock`)
    const client = new HttpClient(none.client)
    const options = { http: client, host: none, image: parseReference('busybox'), temporaryFolder: folder }
    await expect(openDockerDaemon(options)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      message: `The Docker daemon at "unix://${folder}/none.sock" cannot be reached: there is no such socket.`,
      hint: expect.stringContaining('DOCKER_HOST'),
    })
    client.close()
  })
})

describe('writing to a Docker daemon', () => {
  beforeEach(() => {
    answer = (request, response) => {
      collectBytes(request, 1_000_000, 'The archive')
        .then((bytes) => {
          loaded = bytes
          // Docker 28: "docker load --quiet", as its API answers.
          response.end('{"stream":"Loaded image: example.com/a/b:c\\n"}\r\n')
        })
        .catch(() => response.destroy())
    }
  })

  it('loads an archive at commit, and nothing before', async () => {
    const image = await create()
    await put(image)
    expect(requests).toEqual([])
    await image.commit()
    expect(requests).toEqual(['GET /_ping', 'POST /v1.50/images/load?quiet=1'])
    const members = await unpackTar(loaded ?? new Uint8Array())
    const list = members.find(({ header }) => header.name === 'manifest.json')
    expect(JSON.parse(Buffer.from(list?.data ?? []).toString())).toEqual([
      {
        Config: `${digestOf(encodeUtf8(CONFIG)).slice(7)}.json`,
        RepoTags: ['example.com/a/b:c'],
        Layers: [`${digestOf(encodeUtf8(LAYER)).slice(7)}.tar`],
      },
    ])
    expect(await readdir(folder)).toEqual(['docker.sock'])
  })

  it('asks without a version where the daemon does not say one', async () => {
    server.removeAllListeners('request')
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      requests.push(`${request.method} ${request.url}`)
      if (request.url === '/_ping') response.writeHead(200, { 'api-version': '../1' }).end('OK')
      else answer(request, response)
    })
    const image = await create()
    await put(image)
    await image.commit()
    expect(requests[1]).toBe('POST /images/load?quiet=1')
  })

  it.each([
    [
      200,
      '{"stream":"a"}\n{"errorDetail":{"message":"no space left"},"error":"no space left"}',
      'says "no space left".',
    ],
    [200, '{"error":"broken"}', 'says "broken".'],
    [200, 'not JSON', 'The answer of the Docker daemon to "images/load" is not JSON'],
    [200, Buffer.from([0xff]), 'is not JSON'],
    [
      500,
      '{"message":"broken"}',
      'Writing docker-daemon:example.com/a/b:c failed: the Docker daemon says "broken".',
    ],
  ])('tells an error in what the daemon answers: %i %s', async (status, body, message) => {
    answer = (request, response) => {
      request.resume().on('end', () => response.writeHead(status).end(body))
    }
    const image = await create()
    await put(image)
    await expect(image.commit()).rejects.toMatchObject({
      code: 'BAD_RESPONSE',
      message: expect.stringContaining(message),
    })
    expect(await readdir(folder)).toEqual(['docker.sock'])
  })

  it('bounds what the daemon says', async () => {
    answer = (request, response) => {
      request.resume().on('end', () => response.end(Buffer.alloc(5 * 1024 * 1024, '{}\n')))
    }
    const image = await create()
    await put(image)
    await expect(image.commit()).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })

  it('sends nothing of an image that is not whole', async () => {
    const image = await create()
    await expect(put(image, 'other')).rejects.toMatchObject({ code: 'DIGEST_MISMATCH' })
    await image.abort()
    expect(requests).toEqual([])
    expect(await readdir(folder)).toEqual(['docker.sock'])
  })
})

async function create(): Promise<StagedDestination> {
  const reference = parseReference('example.com/a/b:c')
  return await createDockerDaemon({ http, host, reference, temporaryFolder: folder })
}

async function put(image: StagedDestination, content = LAYER): Promise<void> {
  const packed = gzipSync(content)
  const layer = { mediaType: MEDIA_TYPES.ociLayerGzip, digest: digestOf(packed), size: packed.byteLength }
  const bytes = encodeUtf8(CONFIG)
  const config = { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(bytes), size: bytes.byteLength }
  await image.putBlob(layer, packed)
  await image.putBlob(config, bytes)
  const manifest = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociManifest, config, layers: [layer] }
  const text = encodeUtf8(JSON.stringify(manifest))
  await image.putManifest(parseManifest(text, MEDIA_TYPES.ociManifest, 'The manifest'))
}

function listing(items: readonly object[]): { header: { name: string; size: number }; body: string }[] {
  const body = JSON.stringify(items)
  return [{ header: { name: 'manifest.json', size: body.length }, body }]
}
