import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, type Running, startCosignet } from './cosignet.ts'

let sandbox: Sandbox
const running: Running[] = []
beforeAll(async () => {
  sandbox = await Sandbox.create()
  await sandbox.write('users', `# people\nann:${hashSync('s3cret', 10)}\n`)
})
afterAll(async () => {
  for (const { child } of running) child.kill('SIGKILL')
  await sandbox.dispose()
})

it('lets in the users of the file alone, and ends in peace afterwards', async () => {
  const server = startCosignet(sandbox, ['registry', 'serve', '--htpasswd', 'users', '-o', 'json'])
  running.push(server)
  while (!server.stdout().includes('\n}')) {
    if (server.child.exitCode !== null) throw new Error(`It ended:\n${server.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  const started = JSON.parse(server.stdout()) as { url: string }
  expect(started).toMatchObject({ storage: null, authentication: 'basic', readOnly: false })
  const ask = async (credentials: string) => {
    const authorization = `Basic ${Buffer.from(credentials).toString('base64')}`
    const response = await fetch(`${started.url}v2/`, { headers: { authorization } })
    return [response.status, response.headers.get('www-authenticate')]
  }
  const asked = 'Basic realm="cosignet"'
  expect(await ask('ann:s3cret')).toEqual([200, null])
  expect(await ask('ann:secret')).toEqual([401, asked])
  expect(await ask('eve:s3cret')).toEqual([401, asked])
  expect((await fetch(`${started.url}v2/`)).status).toBe(401)
  server.child.kill('SIGTERM')
  expect(await server.ended).toBe(0)
  expect(server.stdout() + server.stderr()).not.toContain('s3cret')
})

it.each([
  [
    'a hash of another kind',
    'ann:{SHA}s3cret',
    /The htpasswd file "bad", line 1: the hash is not one of bcrypt\./,
  ],
  ['no user', '', /The htpasswd file "bad" has no user\./],
])('does not start with %s', async (_what, text, message) => {
  await sandbox.write('bad', text)
  const { status, stdout, stderr } = await cosignet(sandbox, ['registry', 'serve', '--htpasswd', 'bad'])
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' })
  expect(stderr).toMatch(message)
  expect(stderr).not.toContain('s3cret')
})

it.each([
  [
    'a file that is not there',
    ['--htpasswd', 'none'],
    3,
    /The htpasswd file "none" cannot be read: no such file/,
  ],
  ['a read-only memory', ['--read-only'], 2, /A registry in memory that is read-only would stay empty\./],
  ['a folder that is not there to read', ['--read-only', '--storage', 'none'], 3, /"none".* cannot be read/],
  ['users in the clear', ['--htpasswd', 'users', '--listen', '0.0.0.0:0'], 2, /is no loopback address/],
] as const)('does not start with %s', async (_what, flags, status, message) => {
  const outcome = await cosignet(sandbox, ['registry', 'serve', ...flags])
  expect([outcome.status, outcome.stdout]).toEqual([status, ''])
  expect(outcome.stderr).toMatch(message)
})
