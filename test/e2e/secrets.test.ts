import { once } from 'node:events'
import { lstat, readdir, readFile } from 'node:fs/promises'
import { createServer, request as forward, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { type CommandOptions, cosignet, startCosignet, startKbs, startRegistry } from './cosignet.ts'

const PASSWORD = 'canary-of-the-key-password'
const LOGIN = { user: 'canary-user', password: 'canary-of-the-registry' }
const RESOURCE = 'canary-of-the-resource'
const ADMIN_TOKEN = 'canary.of.the-admin-token'
const REGISTRY_TOKEN = 'canary-of-the-bearer'
const IDENTITY_TOKEN = 'canary-of-the-identity'
const WRONG = 'canary-that-is-wrong'
const PROXY = 'canary-of-the-proxy'

let sandbox: Sandbox
let registry: string
let kbs: string
let gate: Server
/** What came to the registry's gate to be let in. */
const shown = new Set<string>()
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
    const files = {
      'good.json': { auths: { [registry]: { auth } } },
      'identity.json': { auths: { [registry]: { identitytoken: IDENTITY_TOKEN } } },
      'no-base64.json': { auths: { [registry]: { auth: `${LOGIN.password}!` } } },
      'no-colon.json': { auths: { [registry]: { auth: Buffer.from(LOGIN.password).toString('base64') } } },
    }
    for (const [name, document] of Object.entries(files)) await sandbox.write(name, JSON.stringify(document))
    await sandbox.write('no-json.json', `{"auths":{"${registry}":{"auth":"${auth}"${LOGIN.password}}}}`)
    await sandbox.write('users', `${LOGIN.user}:${LOGIN.password}\n`)
    await sandbox.write('Dockerfile', 'FROM scratch\nCOPY hello /\n')
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

  describe.each(['text', 'json'])('of registries, with --debug -o %s', (format) => {
    const creds = `${LOGIN.user}:${LOGIN.password}`
    const pair = (side: string): string =>
      `--${side}username ${LOGIN.user} --${side}password ${LOGIN.password}`
    const at = (name: string): string => `docker://${registry}/demo/${name}`

    const bearer = (): string => `docker://${registry}/bearer/app`

    const LINES: readonly (readonly [line: () => string, status: number, more?: CommandOptions])[] = [
      [() => `image build -f Dockerfile --dest-creds ${creds} app ${at(format)}`, 0],
      [() => `image copy --src-creds ${creds} ${pair('dest-')} ${at(format)} ${at(`${format}-copy`)}`, 0],
      [() => `image copy --src-authfile good.json ${at(format)} oci:copied-${format}`, 0],
      [() => `image inspect --creds ${creds} ${at(format)}`, 0],
      [() => `image inspect --creds ${LOGIN.user}:${WRONG} ${at(format)}`, 3],
      [() => `image list-tags ${pair('')} ${at(format)}`, 0],
      [() => `image digest --registry-token ${REGISTRY_TOKEN} ${bearer()}`, 3],
      [() => `image copy --src-registry-token ${REGISTRY_TOKEN} ${bearer()} dir:new`, 3],
      [() => `image copy --dest-creds ${LOGIN.user}:${WRONG} oci:copied-${format} ${at('new')}`, 3],
      [() => `image copy --dest-password ${WRONG} oci:copied-${format} ${at('new')}`, 2],
      [() => `image delete --yes --creds ${creds} ${at(`${format}-copy`)}`, 0],
      // Files of logins.
      [() => `image digest docker://me:${WRONG}@registry.example/app`, 2],
      [() => `verify --key ${format}.pub me:${WRONG}@registry.example/app`, 2],
      [() => `image digest --authfile identity.json ${at(format)}`, 3],
      [() => `image digest --authfile no-json.json ${at(format)}`, 2],
      [() => `image digest --authfile no-base64.json ${at(format)}`, 2],
      [() => `image digest --authfile no-colon.json ${at(format)}`, 2],
      [() => `login --authfile kept-${format}.json -u ${LOGIN.user} -p ${LOGIN.password} ${registry}`, 0],
      [
        () => `login --authfile kept-${format}.json -u ${LOGIN.user} --password-stdin ${registry}`,
        0,
        { input: `${LOGIN.password}\n` },
      ],
      [
        () => `login --authfile new.json -u ${LOGIN.user} --password-stdin ${registry}`,
        3,
        { input: `${WRONG}\n` },
      ],
      [() => `login --authfile no-json.json -u ${LOGIN.user} -p ${LOGIN.password} ${registry}`, 2],
      [() => `logout --authfile no-json.json ${registry}`, 2],
      [() => `logout --authfile kept-${format}.json ${registry}`, 0],
      // Proxies and daemons that come with a password.
      [() => `image digest docker://registry.example/app`, 3, proxy(`http://proxy:${PROXY}@127.0.0.1:9`)],
      [() => `image digest docker://registry.example/app`, 2, proxy(`http://proxy:${PROXY}@[127.0.0.1`)],
      [() => `image digest docker://registry.example/app`, 2, proxy(`ftp://proxy:${PROXY}@127.0.0.1:9`)],
      [() => `image digest --daemon-host tcp://me:${WRONG}@127.0.0.1:9 docker-daemon:app`, 2],
      // Users of a registry of ours.
      [() => `registry serve --htpasswd users`, 2],
    ]

    it.each(LINES.map(([line, ...rest], i) => [i, line, ...rest] as const))(
      'are not printed: %i',
      async (_i, line, status, more = {}) => {
        const args = [...line().split(' '), '--debug', '-o', format]
        const outcome = await cosignet(sandbox, args, { password: PASSWORD, ...more })
        const { stdout, stderr } = outcome
        expect(`${line()} ${outcome.status} ${stderr}`).toContain(`${line()} ${status} `)
        // The user is no secret where a result or a flag names it.
        await expectNoSecretIn(stdout + stderr, 'kbs/admin.key', [LOGIN.user])
      },
    )

    it('have reached the registry', () => {
      const basic = (password: string): string =>
        `Basic ${Buffer.from(`${LOGIN.user}:${password}`).toString('base64')}`
      expect([...shown]).toEqual(
        expect.arrayContaining([basic(LOGIN.password), basic(WRONG), `Bearer ${REGISTRY_TOKEN}`]),
      )
    })
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
    const planted = ['resource', 'token', 'config.json', 'users', 'good.json', 'no-json.json']
    planted.push('identity.json', 'no-base64.json', 'no-colon.json')
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

async function expectNoSecretIn(
  text: string,
  adminKey = 'kbs/admin.key',
  known: readonly string[] = [],
): Promise<void> {
  const tokens = [RESOURCE, ADMIN_TOKEN, REGISTRY_TOKEN, IDENTITY_TOKEN, PROXY]
  const all = [PASSWORD, LOGIN.user, LOGIN.password, WRONG, `${LOGIN.user}:${LOGIN.password}`, ...tokens]
  const secrets = all.filter((secret) => !known.includes(secret))
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

/** Through a proxy, with the debug log of how it is reached. */
function proxy(url: string): CommandOptions {
  return { env: { HTTP_PROXY: url, HTTPS_PROXY: url, NO_PROXY: '' } }
}

/** Stands before a registry and lets in who has the password. */
async function startGate(host: string): Promise<Server> {
  const basic = `Basic ${Buffer.from(`${LOGIN.user}:${LOGIN.password}`).toString('base64')}`
  const [hostname, port] = host.split(':')
  const server = createServer((incoming, outgoing) => {
    shown.add(incoming.headers.authorization ?? '')
    if (incoming.headers.authorization !== basic) {
      const bearer = incoming.url?.includes('/bearer/') === true
      const challenge = bearer ? 'Bearer realm="http://127.0.0.1:9/token"' : 'Basic realm="test"'
      outgoing.writeHead(401, { 'www-authenticate': challenge }).end()
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
