import { once } from 'node:events'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer as createPlain, type RequestListener, type Server } from 'node:http'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { issueCertificates } from '../net/index.ts'
import { parseReference } from '../oci/index.ts'
import type { Cli } from './cli.ts'
import { openRegistryAccess, type RegistryAccess, withRegistries } from './registry-access.ts'
import type { RegistrySettings } from './registry-settings.ts'

const MANIFEST = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  config: {
    mediaType: 'application/vnd.oci.empty.v1+json',
    digest: 'sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a',
    size: 2,
  },
  layers: [],
})

let folder: string
let registry: Server
let mirror: Server
let secure: Server
/** `NAME METHOD PATH AUTHORIZATION`, or the names in the client's certificate in its place. */
let seen: string[]
/** What each server wants to see. */
const wanted = new Map<string, string>()

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-access-'))
  const server = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
  const client = await issueCertificates({ hosts: ['client.test'], now: new Date() })
  registry = createPlain(answerAs('registry')).listen(0, '127.0.0.1')
  mirror = createPlain(answerAs('mirror')).listen(0, '127.0.0.1')
  const options = { ...server, ca: client.ca, requestCert: true, rejectUnauthorized: false }
  secure = createServer(options, answerAs('secure')).listen(0, '127.0.0.1')
  await Promise.all([registry, mirror, secure].map(async (one) => await once(one, 'listening')))
  await mkdir(join(folder, 'certs'))
  await writeFile(join(folder, 'certs/ca.crt'), server.ca)
  await writeFile(join(folder, 'certs/me.cert'), client.cert)
  await writeFile(join(folder, 'certs/me.key'), client.key)
  await writeFile(join(folder, 'ca.pem'), server.ca)
})
afterAll(async () => {
  for (const server of [registry, mirror, secure]) server.close().closeAllConnections()
  await rm(folder, { recursive: true })
})
beforeEach(async () => {
  seen = []
  wanted.clear()
  await writeFile(join(folder, 'auth.json'), '{}')
})

function answerAs(name: string): RequestListener {
  return (request, response) => {
    const { method, url, headers, socket } = request
    const proof = headers.authorization ?? (socket instanceof TLSSocket ? certificateOf(socket) : '-')
    seen.push(`${name} ${method} ${url} ${proof}`)
    const scheme = wanted.get(name)
    if (scheme !== undefined && headers.authorization === undefined) {
      response.writeHead(401, { 'www-authenticate': scheme }).end()
    } else if (name === 'mirror' && url?.includes('/gone/') === true) response.writeHead(404).end()
    else {
      response.writeHead(200, { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }).end(MANIFEST)
    }
  }
}

/** The names in the client's certificate. */
function certificateOf(socket: TLSSocket): string {
  return socket.getPeerCertificate().subjectaltname ?? '-'
}

function hostOf(server: Server): string {
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** A command line with nothing of this machine but the files that are named. */
function cliWith(environment: Readonly<Record<string, string>> = {}): Cli {
  return {
    environment: { REGISTRY_AUTH_FILE: join(folder, 'auth.json'), ...environment },
    signal: new AbortController().signal,
    interactive: false,
    say: () => undefined,
    print: () => undefined,
  } as unknown as Cli
}

/** Opens registries by a registries.conf. */
async function access(conf: string, settings: RegistrySettings = {}): Promise<RegistryAccess> {
  const path = join(folder, 'registries.conf')
  await writeFile(path, conf)
  return await openRegistryAccess(cliWith({ CONTAINERS_REGISTRIES_CONF: path }), settings)
}

function mirrored(): string {
  return `[[registry]]\nlocation = "${hostOf(registry)}"\n[[registry.mirror]]\nlocation = "${hostOf(mirror)}/m"`
}

const basic = (pair: string): string => `Basic ${Buffer.from(pair).toString('base64')}`

describe('registries behind mirrors', () => {
  it('are read from the mirror and written to by their name', async () => {
    const opened = await access(mirrored())
    const reference = parseReference(`${hostOf(registry)}/a/b:v1`)
    await (await opened.openSource(reference)).getManifest('v1')
    await (await opened.open(reference)).getManifest('v1')
    opened.close()
    expect(seen).toEqual(['mirror GET /v2/m/a/b/manifests/v1 -', 'registry GET /v2/a/b/manifests/v1 -'])
  })

  it.each<[string, RegistrySettings, string]>([
    ['user and password', { creds: { username: 'u', password: 'p' } }, basic('u:p')],
    ['a token', { registryToken: 'canary' }, 'Bearer canary'],
  ])('get %s of the user only under their name', async (_name, settings, expected) => {
    const challenge = expected.startsWith('Basic')
      ? 'Basic realm="x"'
      : 'Bearer realm="https://127.0.0.1:1/token"'
    wanted.set('mirror', challenge)
    wanted.set('registry', challenge)
    const opened = await access(mirrored(), settings)
    const source = await opened.openSource(parseReference(`${hostOf(registry)}/a:v1`))
    await source.getManifest('v1')
    opened.close()
    expect(seen.filter((line) => !line.endsWith(' -'))).toEqual([
      `registry GET /v2/a/manifests/v1 ${expected}`,
    ])
  })

  it('get what the file of credentials has for each of them', async () => {
    wanted.set('mirror', 'Basic realm="x"')
    wanted.set('registry', 'Basic realm="x"')
    const auths = {
      [hostOf(mirror)]: { auth: Buffer.from('m:1').toString('base64') },
      [hostOf(registry)]: { auth: Buffer.from('r:2').toString('base64') },
    }
    await writeFile(join(folder, 'auth.json'), JSON.stringify({ auths }))
    const reference = parseReference(`${hostOf(registry)}/gone/a:v1`)
    const opened = await access(mirrored())
    await (await opened.openSource(reference)).getManifest('v1')
    opened.close()
    expect(seen.filter((line) => !line.endsWith(' -'))).toEqual([
      `mirror GET /v2/m/gone/a/manifests/v1 ${basic('m:1')}`,
      `registry GET /v2/gone/a/manifests/v1 ${basic('r:2')}`,
    ])
    seen = []
    const anonymous = await access(mirrored(), { creds: 'none' })
    const source = await anonymous.openSource(reference)
    await expect(source.getManifest('v1')).rejects.toMatchObject({ code: 'UNAUTHORIZED' })
    anonymous.close()
    expect(seen.every((line) => line.endsWith(' -'))).toBe(true)
  })

  it('are not asked where they are blocked', async () => {
    const opened = await access(`[[registry]]\nlocation = "${hostOf(registry)}"\nblocked = true`)
    const reference = parseReference(`${hostOf(registry)}/a:v1`)
    await expect(opened.open(reference)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(opened.openSource(reference)).rejects.toMatchObject({ code: 'FORBIDDEN' })
    await expect(opened.login(hostOf(registry), { username: 'u', password: 'p' })).rejects.toMatchObject({
      code: 'FORBIDDEN',
    })
    expect(seen).toEqual([])
  })
})

describe('a registry with a certificate that nobody knows', () => {
  async function read(settings: RegistrySettings, conf = ''): Promise<unknown> {
    const opened = await access(conf, settings)
    const client = await opened.open(parseReference(`${hostOf(secure)}/a:v1`))
    const result = await client.getManifest('v1').catch((error: unknown) => error)
    opened.close()
    return result
  }
  const insecure = (): string => `[[registry]]\nlocation = "${hostOf(secure)}"\ninsecure = true`
  const untrusted = expect.objectContaining({
    code: 'UNAVAILABLE',
    message: expect.stringMatching(/certificate/),
  })
  const manifest = expect.objectContaining({ bytes: expect.anything() })

  it('is refused', async () => {
    expect(await read({})).toEqual(untrusted)
    expect(await read({ tlsVerify: true }, insecure())).toEqual(untrusted)
  })

  it('is read where the user or registries.conf says that it is insecure', async () => {
    expect(await read({ tlsVerify: false })).toEqual(manifest)
    expect(await read({}, insecure())).toEqual(manifest)
  })

  it('is read where its authority is given', async () => {
    expect(await read({ registryCa: join(folder, 'ca.pem') })).toEqual(manifest)
    expect(seen.at(-1)).toMatch(/ -$/)
  })

  it('is read with the certificates of a folder, and sees that of the client', async () => {
    expect(await read({ certDir: join(folder, 'certs') })).toEqual(manifest)
    expect(seen.at(-1)).toMatch(/ DNS:client\.test$/)
  })

  it('stays insecure by the flag of the commands', async () => {
    const flags = { insecureSkipTlsVerify: true }
    const reference = parseReference(`${hostOf(secure)}/a:v1`)
    const found = await withRegistries(
      cliWith(),
      flags,
      async (open) => await (await open(reference)).getManifest('v1'),
    )
    expect(found).toEqual(manifest)
  })
})

describe('plain HTTP', () => {
  /** A host that is not this machine, behind a proxy that knows it by plain HTTP alone. */
  async function read(settings: RegistrySettings): Promise<unknown> {
    const proxy = `http://${hostOf(registry)}`
    const cli = cliWith({ CONTAINERS_REGISTRIES_CONF: '/dev/null', HTTP_PROXY: proxy, HTTPS_PROXY: proxy })
    const opened = await openRegistryAccess(cli, settings)
    try {
      return await (await opened.open(parseReference('registry.test/a:v1'))).getManifest('v1')
    } catch (error) {
      return error
    } finally {
      opened.close()
    }
  }

  it('is taken where the user says so, and the host does not speak TLS', async () => {
    expect(await read({ tlsVerify: false })).toHaveProperty('digest')
    expect(seen).toEqual([
      'registry GET http://registry.test/v2/ -',
      'registry GET http://registry.test/v2/a/manifests/v1 -',
    ])
  })

  it('is not taken from any other host but this machine', async () => {
    expect(await read({})).toMatchObject({ code: 'UNAVAILABLE' })
    expect(seen).toEqual([])
  })

  it('is not taken where TLS is required', async () => {
    const opened = await access('', { tlsVerify: true })
    const client = await opened.open(parseReference(`${hostOf(registry)}/a:v1`))
    await expect(client.getManifest('v1')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    opened.close()
    expect(seen).toEqual([])
  })
})
