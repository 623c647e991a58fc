import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { issueCertificates } from '../../src/net/index.ts'
import { cosignetProgram } from './cosignet.ts'
import { peer } from './peers.ts'
import type { Sandbox } from './sandbox.ts'

/** A registry on the loopback interface; it ends with its sandbox. */
export interface TestRegistry {
  /** `127.0.0.1:PORT`, as it stands in a reference. */
  readonly host: string
  readonly url: string
  /** PEM of the authority that issued its certificate; empty on plain HTTP. */
  readonly ca: string
}

export interface TestRegistryOptions {
  readonly tls: boolean
  /** File of users, who alone get in then. */
  readonly htpasswd?: string
  /** PEM file of the authority whose certificate a client must show. */
  readonly clientCa?: string
}

/** Starts distribution's registry. With TLS, all programs of the sandbox trust it. */
export async function startDockerRegistry(
  sandbox: Sandbox,
  { tls, htpasswd, clientCa }: TestRegistryOptions,
): Promise<TestRegistry> {
  const files = tls ? await issue(sandbox, 'docker-registry') : undefined
  const clients = clientCa === undefined ? {} : { clientcas: [clientCa] }
  const config = await sandbox.write(
    `docker-registry/config-${tls ? 'https' : 'http'}.json`,
    // YAML, of which JSON is a part. Port 0: the system picks one, and the log names it.
    JSON.stringify({
      version: 0.1,
      log: { accesslog: { disabled: true } },
      ...(htpasswd === undefined ? {} : { auth: { htpasswd: { realm: 'test', path: htpasswd } } }),
      storage: {
        filesystem: { rootdirectory: sandbox.path(`docker-registry/${tls ? 'https' : 'http'}`) },
        delete: { enabled: true },
      },
      http: {
        addr: '127.0.0.1:0',
        ...(files === undefined ? {} : { tls: { certificate: files.cert, key: files.key, ...clients } }),
      },
    }),
  )
  const host = await sandbox.serve(
    peer('docker-registry'),
    ['serve', config],
    /listening on (127\.0\.0\.1:\d+)/,
  )
  return { host, url: `${tls ? 'https' : 'http'}://${host}`, ca: files?.ca ?? '' }
}

/** Starts the embedded registry by its command. With TLS, all programs of the sandbox trust it. */
export async function startCosignetRegistry(
  sandbox: Sandbox,
  { tls, htpasswd }: Pick<TestRegistryOptions, 'tls' | 'htpasswd'>,
): Promise<TestRegistry> {
  const files = tls ? await issue(sandbox, 'cosignet-registry') : undefined
  const args = ['registry', 'serve', '--listen', '127.0.0.1:0']
  if (htpasswd !== undefined) args.push('--htpasswd', htpasswd)
  if (files !== undefined) args.push('--tls-cert', files.cert, '--tls-key', files.key)
  const host = await sandbox.serve(cosignetProgram, args, /https?:\/\/(127\.0\.0\.1:\d+)/)
  return { host, url: `${tls ? 'https' : 'http'}://${host}`, ca: files?.ca ?? '' }
}

/**
 * Starts olareg, which keeps each repository as an OCI layout and has the referrers API. With TLS, all programs of the
 * sandbox trust it.
 */
export async function startOlareg(
  sandbox: Sandbox,
  { tls }: Pick<TestRegistryOptions, 'tls'>,
): Promise<TestRegistry> {
  const files = tls ? await issue(sandbox, 'olareg') : undefined
  const port = await freePort()
  const args = ['serve', '--addr', '127.0.0.1', '--port', String(port), '--dir', sandbox.path('olareg/data')]
  args.push('--verbosity', 'info', '--api-delete', '--api-blob-delete')
  if (files !== undefined) args.push('--tls-cert', files.cert, '--tls-key', files.key)
  const host = await sandbox.serve(peer('olareg'), args, /launching server" addr=(127\.0\.0\.1:\d+)/)
  // It says so before it listens.
  await listening(port)
  return { host, url: `${tls ? 'https' : 'http'}://${host}`, ca: files?.ca ?? '' }
}

/** Starts the registry of go-containerregistry that crane brings: plain HTTP, in memory, no referrers API. */
export async function startCraneRegistry(sandbox: Sandbox): Promise<TestRegistry> {
  const args = ['registry', 'serve', '--address', '127.0.0.1:0']
  const port = await sandbox.serve(peer('crane'), args, /serving on port (\d+)/)
  return { host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}`, ca: '' }
}

/** The registries of the tests that sign and verify. */
export const REGISTRIES = [
  { registry: 'docker-registry', start: startDockerRegistry },
  { registry: 'the embedded registry', start: startCosignetRegistry },
] as const

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}

async function listening(port: number): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const socket = connect(port, '127.0.0.1')
    const connected = await once(socket, 'connect').then(
      () => true,
      () => false,
    )
    socket.destroy()
    if (connected) return
    await setTimeout(50)
  }
  throw new Error(`nothing listens on port ${port}`)
}

async function issue(sandbox: Sandbox, name: string): Promise<{ cert: string; key: string; ca: string }> {
  const { ca, cert, key } = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
  sandbox.trust(ca)
  return {
    ca,
    cert: await sandbox.write(join(name, 'tls.crt'), cert),
    key: await sandbox.write(join(name, 'tls.key'), key),
  }
}
