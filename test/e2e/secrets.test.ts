import { once } from 'node:events'
import { lstat, readdir, readFile } from 'node:fs/promises'
import { createServer, request as forward, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, startCosignet, startKbs, startRegistry } from './cosignet.ts'

const PASSWORD = 'canary-of-the-key-password'
const LOGIN = { user: 'canary-user', password: 'canary-of-the-registry' }
const RESOURCE = 'canary-of-the-resource'
const ADMIN_TOKEN = 'canary.of.the-admin-token'

let sandbox: Sandbox
let registry: string
let kbs: string
let gate: Server
/** Everything that any command printed. */
let printed = ''

describe('secrets', () => {
  beforeAll(async () => {
    sandbox = await Sandbox.create()
    ;[registry, kbs] = await Promise.all([startRegistry(sandbox), startKbs(sandbox)])
    gate = await startGate(registry)
    registry = `127.0.0.1:${(gate.address() as AddressInfo).port}`
    const auth = Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')
    await sandbox.write('config/docker/config.json', JSON.stringify({ auths: { [registry]: { auth } } }))
    await sandbox.write('resource', RESOURCE)
    await sandbox.write('token', ADMIN_TOKEN)
    await sandbox.write('app/hello', 'hello\n')
  })
  afterAll(async () => {
    gate.closeAllConnections()
    gate.close()
    await sandbox.dispose()
  })

  it.each(['text', 'json'])('are not in what the commands print with --debug -o %s', async (format) => {
    const run = async (line: string, status = 0): Promise<void> => {
      const args = [...line.split(' '), '--debug', '-o', format]
      const outcome = await cosignet(sandbox, args, { password: PASSWORD })
      printed += outcome.stdout + outcome.stderr
      expect(`${line} ${outcome.status} ${outcome.stderr}`).toContain(`${line} ${status} `)
    }
    const image = `${registry}/demo/app:${format}`
    const admin = `--url ${kbs} --auth-private-key kbs/admin.key`
    await run(`key generate --output-key-prefix ${format}`)
    await run(`image push app ${image}`)
    await run(`sign --key ${format}.key ${image}`)
    await run(`verify --key ${format}.pub ${image}`)
    await run(`register ${admin} --key ${format}.pub --replace ${image}`)
    await run(`kbs set-resource ${admin} --path a/b/${format} --resource-file resource`)
    await run(`kbs get-resource --url ${kbs} --path a/b/${format} --out got-${format}`)
    await run(`kbs delete-resource ${admin} --path a/b/${format}`)
    await run(`kbs delete-resource --url ${kbs} --admin-token-file token --path a/b/${format}`, 3)
    // Failures quote what they were given.
    await run(`sign --key ${format}.pub ${image}`, 2)
    await run(`verify --key ${format}.key ${image}`, 2)
    await run(`verify --key kbs/admin.key ${image}`, 2)
    await run(`sign --key kbs/admin.key ${image}`, 2)
    await run(`kbs delete-resource --url ${kbs} --auth-private-key ${format}.key --path a/b/c`, 2)
    await run(`kbs delete-resource --url ${kbs} --admin-token-file kbs/admin.key --path a/b/c`, 2)
    await run(`initdata inspect kbs/admin.key`, 2)
    await run(`preflight ${format}.key`, 2)
    await expectNoSecretIn(printed)
    // The log of the wire was there, and the registry did ask for the password.
    expect(printed).toMatch(/debug: .*authorization/i)
  })

  it('are not in what a KBS prints that makes its own key', async () => {
    const server = startCosignet(sandbox, ['kbs', 'serve', '--storage', 'kbs2', '--insecure-http', '--debug'])
    while (!server.stdout().includes('admin.key')) await new Promise((resolve) => setTimeout(resolve, 10))
    server.child.kill('SIGTERM')
    expect(await server.ended).toBe(0)
    await expectNoSecretIn(server.stdout() + server.stderr(), 'kbs2/admin.key')
  })

  it('are in no file that others may read', async () => {
    const files = await readdir(sandbox.dir, { recursive: true, withFileTypes: true })
    const planted = ['resource', 'token', 'config.json']
    for (const file of files) {
      if (!file.isFile() || planted.includes(file.name)) continue
      const path = join(file.parentPath, file.name)
      const mode = (await lstat(path)).mode & 0o777
      if ((mode & 0o077) !== 0) await expectNoSecretIn(await readFile(path, 'latin1'))
    }
    for (const name of ['text.key', 'json.key', 'kbs/admin.key', 'kbs2/admin.key', 'got-text', 'got-json']) {
      expect(`${name} ${((await lstat(sandbox.path(name))).mode & 0o777).toString(8)}`).toBe(`${name} 600`)
    }
  })
})

async function expectNoSecretIn(text: string, adminKey = 'kbs/admin.key'): Promise<void> {
  const secrets = [PASSWORD, LOGIN.user, LOGIN.password, RESOURCE, ADMIN_TOKEN]
  const pem = await sandbox.read(adminKey)
  for (const secret of [...secrets, ...secrets.map((plain) => Buffer.from(plain).toString('base64'))]) {
    expect(text).not.toContain(secret.replace(/=+$/, ''))
  }
  // The key as it stands in the file, or a good part of it.
  const body = pem.split('\n')[1] ?? ''
  expect(body.length).toBeGreaterThan(40)
  expect(text).not.toContain(body.slice(0, 40))
  expect(text).not.toContain(body.slice(-40))
  expect(text).not.toContain('Bearer ey')
}

/** Stands before a registry and lets in who has the password. */
async function startGate(host: string): Promise<Server> {
  const basic = `Basic ${Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')}`
  const [hostname, port] = host.split(':')
  const server = createServer((incoming, outgoing) => {
    if (incoming.headers.authorization !== basic) {
      outgoing.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end()
      return
    }
    const { method, url, headers } = incoming
    const inner = forward({ hostname, port, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(outgoing)
    })
    inner.on('error', () => outgoing.destroy())
    incoming.pipe(inner)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}
