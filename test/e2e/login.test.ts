import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Outcome } from '../interop/sandbox.ts'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet } from './cosignet.ts'

const PASSWORD = 'canary-of-the-login'
const AUTH = Buffer.from(`alice:${PASSWORD}`).toString('base64')

let sandbox: Sandbox
let server: Server
let registry: string

beforeAll(async () => {
  sandbox = await Sandbox.create()
  server = createServer((request, response) => {
    if (request.headers.authorization === `Basic ${AUTH}`) response.writeHead(200).end('{}')
    else response.writeHead(401, { 'www-authenticate': 'Basic realm="test"' }).end()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  registry = `127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.close().closeAllConnections()
  await sandbox.dispose()
})
beforeEach(async () => {
  await sandbox.write('auth.json', '{}')
})

/** Runs a command line with the logins in `auth.json`. */
async function run(line: string, input = ''): Promise<Outcome> {
  const env = { REGISTRY_AUTH_FILE: sandbox.path('auth.json') }
  return await cosignet(sandbox, line.split(' '), { env, input })
}

describe('login', () => {
  it('keeps a password that the registry takes, until logout', async () => {
    const login = await run(`login -u alice --password-stdin ${registry} --debug`, `${PASSWORD}\n`)
    expect(login).toMatchObject({ status: 0, stdout: `Logged in to ${registry} as alice\n` })
    expect(login.stderr).toContain(
      `WARN The password stands in ${sandbox.path('auth.json')}, readable by you alone and not encrypted.\n`,
    )
    expect(login.stdout + login.stderr).not.toMatch(/canary|YWxpY2/)
    expect(JSON.parse(await sandbox.read('auth.json'))).toEqual({ auths: { [registry]: { auth: AUTH } } })
    expect(await run(`login --get-login ${registry}/team`)).toMatchObject({ status: 0, stdout: 'alice\n' })
    expect(await run(`logout ${registry}`)).toMatchObject({
      status: 0,
      stdout: `Logged out of ${registry}\n`,
    })
    expect(JSON.parse(await sandbox.read('auth.json'))).toEqual({ auths: {} })
    expect(await run(`logout ${registry}`)).toMatchObject({ status: 3 })
    expect(await run(`login --get-login ${registry}`)).toMatchObject({ status: 3 })
  })

  it('keeps nothing that the registry refuses', async () => {
    const login = await run(`login -u alice --password-stdin ${registry} --debug`, 'canary-wrong')
    expect(login).toMatchObject({ status: 3, stdout: '' })
    expect(login.stderr).toContain(`${registry} does not accept this user name and password.`)
    expect(login.stderr).not.toContain('canary')
    expect(await sandbox.read('auth.json')).toBe('{}')
  })

  it('takes a password of the command line, for a path', async () => {
    expect(await run(`login -u alice -p ${PASSWORD} ${registry}/team -o json`)).toMatchObject({ status: 0 })
    expect(JSON.parse(await sandbox.read('auth.json'))).toEqual({
      auths: { [`${registry}/team`]: { auth: AUTH } },
    })
    const logout = await run('logout --all -o json')
    expect(JSON.parse(logout.stdout)).toEqual({ loggedOut: [`${registry}/team`] })
  })

  it.each([
    ['login -u alice REGISTRY', 'There is no terminal to ask for the password.'],
    ['login --password-stdin REGISTRY', 'There is no terminal to ask for the user name.'],
    ['login -u alice --password-stdin REGISTRY', 'The password is empty.'],
    ['login -u a:b --password-stdin REGISTRY', '"a:b" is not a user name'],
    ['login -u a -p canary --password-stdin REGISTRY', 'contradict each other'],
    ['login -u a -p canary quay', '"quay" is not a registry'],
    ['login -u a -p canary REGISTRY/a:b', 'is not a registry'],
    ['logout', 'Give either a registry or --all.'],
    ['logout --all REGISTRY', 'Give either a registry or --all.'],
    ['logout REGISTRY/A', 'is not a registry'],
  ])('refuses %s', async (line, message) => {
    const outcome = await run(line.replace('REGISTRY', registry))
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr).toContain(message)
    expect(outcome.stderr).not.toContain('canary')
  })
})
