import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignetDoes, listing, type Running, startCosignet } from './cosignet.ts'
import { type RogueServer, startRogueServer } from './rogue-server.ts'

const SIGNALS = ['SIGINT', 'SIGTERM'] as const
/** How soon a command must end. */
const SOON_MS = 2000

let sandbox: Sandbox
let rogue: RogueServer

beforeAll(async () => {
  ;[sandbox, rogue] = await Promise.all([Sandbox.create(), startRogueServer()])
  await cosignetDoes(sandbox, ['key', 'generate'])
  await sandbox.write('app/big', randomBytes(16 * 1024 * 1024))
  await sandbox.write('Dockerfile', 'FROM scratch\nCOPY big /\n')
  await cosignetDoes(sandbox, ['image', 'build', '-q', '-f', 'Dockerfile', 'app', 'oci:layout'])
})
afterAll(async () => {
  await Promise.all([sandbox.dispose(), rogue.close()])
})

describe.each(SIGNALS)('%s', (signal) => {
  const WAITING: readonly (readonly [what: string, args: () => readonly string[]])[] = [
    ['signing', () => ['sign', '--key', 'cosign.key', `${rogue.host}/silent/app`]],
    ['verifying', () => ['verify', '--key', 'cosign.pub', `${rogue.host}/silent/app`]],
    ['pushing', () => ['image', 'push', 'app', `${rogue.host}/silent/app:v1`]],
    ['pushing a blob', () => ['image', 'push', 'app', `${rogue.host}/takes-no-blob/app:v1`]],
    ['copying from a registry', () => ['image', 'copy', `docker://${rogue.host}/silent/app`, 'oci:new']],
    [
      'copying to a registry',
      () => ['image', 'copy', '-q', 'oci:layout', `docker://${rogue.host}/takes-no-blob/app`],
    ],
    ['inspecting', () => ['image', 'inspect', `docker://${rogue.host}/silent/app`]],
    ['listing tags', () => ['image', 'list-tags', `docker://${rogue.host}/silent/app`]],
    ['deleting', () => ['image', 'delete', '--yes', `docker://${rogue.host}/silent/app`]],
    [
      'building',
      () => ['image', 'build', '-q', '-f', 'Dockerfile', 'app', `docker://${rogue.host}/takes-no-blob/app`],
    ],
    ['attesting', () => ['kbs', 'get-resource', '--url', `http://${rogue.host}/silent`, '--path', 'a/b/c']],
  ]

  it.each(WAITING)('ends %s at once', async (_what, args) => {
    const before = await listing(sandbox.dir)
    const asked = rogue.waiting()
    const running = startCosignet(sandbox, args())
    await asked
    const { status, ms } = await kill(running, signal)
    expect({ status, stdout: running.stdout() }).toEqual({ status: 3, stdout: '' })
    expect(running.stderr()).toMatch(/^cosignet: [^\n]* was stopped before its end\.\n$/)
    expect(ms).toBeLessThan(SOON_MS)
    expect(await listing(sandbox.dir)).toEqual(before)
  })

  const SERVERS: readonly (readonly [what: string, args: readonly string[]])[] = [
    ['a registry', ['registry', 'serve', '--storage', 'registry']],
    ['a KBS', ['kbs', 'serve', '--storage', 'kbs', '--insecure-http']],
  ]

  it.each(SERVERS)('ends %s in peace', async (_what, args) => {
    const running = startCosignet(sandbox, args)
    const port = await portOf(running)
    // A client that says nothing must not keep the server.
    const idle = connect(port, '127.0.0.1')
    idle.on('error', () => undefined)
    await once(idle, 'connect')
    const { status, ms } = await kill(running, signal)
    expect({ status, stderr: running.stderr() }).toEqual({ status: 0, stderr: '' })
    expect(ms).toBeLessThan(SOON_MS)
    await expect(once(connect(port, '127.0.0.1'), 'connect')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    const left = await readdir(sandbox.dir, { recursive: true })
    expect(left.filter((name) => /tmp|incoming\//.test(name))).toEqual([])
  })
})

it('a second SIGINT does not wait for the running requests of a server', async () => {
  const running = startCosignet(sandbox, ['registry', 'serve'])
  const port = await portOf(running)
  const busy = connect(port, '127.0.0.1')
  busy.on('error', () => undefined)
  // A request whose body never comes: the server gives it some time after the first signal.
  busy.write('POST /v2/a/blobs/uploads/ HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
  const [answer] = (await once(busy, 'data')) as [Buffer]
  const location = /\nlocation: (\S+)/i.exec(answer.toString())?.[1]
  busy.write(`PATCH ${location} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n1`)
  await new Promise((resolve) => setTimeout(resolve, 100))
  running.child.kill('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect(running.child.exitCode).toBeNull()
  const { status, ms } = await kill(running, 'SIGINT')
  expect(status).toBe(3)
  expect(ms).toBeLessThan(500)
})

async function kill(
  running: Running,
  signal: NodeJS.Signals,
): Promise<{ status: number | null; ms: number }> {
  const start = performance.now()
  running.child.kill(signal)
  return { status: await running.ended, ms: performance.now() - start }
}

/** The port that a server prints once it listens. */
async function portOf(running: Running): Promise<number> {
  for (;;) {
    const port = /http:\/\/127\.0\.0\.1:(\d+)/.exec(running.stdout())?.[1]
    if (port !== undefined) return Number(port)
    if (running.child.exitCode !== null) throw new Error(`It ended:\n${running.stderr()}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
