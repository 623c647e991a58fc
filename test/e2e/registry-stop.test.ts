import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { type Running, startCosignet } from './cosignet.ts'

let sandbox: Sandbox
const started: Running[] = []
beforeAll(async () => {
  sandbox = await Sandbox.create()
})
afterAll(async () => {
  for (const { child } of started) child.kill('SIGKILL')
  await sandbox.dispose()
})

it('takes the rest of a push that runs when it is stopped, and keeps it', async () => {
  const content = Buffer.alloc(3_000_000, 'blob')
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  const first = await start()
  const socket = connect(first.port, '127.0.0.1')
  const answer = answerOf(socket)
  socket.write(
    `POST /v2/a/blobs/uploads/?digest=${digest} HTTP/1.1\r\nHost: a\r\nContent-Length: ${content.length}\r\n\r\n`,
  )
  socket.write(content.subarray(0, 2_000_000))
  await pause(200)
  first.running.child.kill('SIGTERM')
  await pause(300)
  expect(first.running.child.exitCode).toBeNull()
  await expect(once(connect(first.port, '127.0.0.1'), 'connect')).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  })
  socket.write(content.subarray(2_000_000))
  expect(await answer).toMatch(/^HTTP\/1\.1 201 [\s\S]*\r\nconnection: close\r\n/i)
  expect(await first.running.ended).toBe(0)

  const second = await start()
  const found = await fetch(`http://127.0.0.1:${second.port}/v2/a/blobs/${digest}`)
  expect(Buffer.from(await found.arrayBuffer()).equals(content)).toBe(true)
  second.running.child.kill('SIGTERM')
  expect(await second.running.ended).toBe(0)
})

async function start(): Promise<{ running: Running; port: number }> {
  const running = startCosignet(sandbox, ['registry', 'serve', '--storage', 'images'])
  started.push(running)
  for (;;) {
    const port = /http:\/\/127\.0\.0\.1:(\d+)\/,/.exec(running.stdout())?.[1]
    if (port !== undefined) return { running, port: Number(port) }
    if (running.child.exitCode !== null) throw new Error(`It ended:\n${running.stderr()}`)
    await pause(5)
  }
}

/** All that comes until the other side closes. */
async function answerOf(socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
