import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, type Running, startCosignet } from './cosignet.ts'

const ROUNDS = 12
const CLIENTS = 4
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json'

let sandbox: Sandbox
let server: Running | undefined
beforeAll(async () => {
  sandbox = await Sandbox.create()
})
afterAll(async () => {
  server?.child.kill('SIGKILL')
  await sandbox.dispose()
})

/** What the registry answered with 201: the path that it must be found under, and its digest. */
type Promised = Map<string, string>

it('keeps what it answered with 201 through kill -9, and shows nothing half-written', async () => {
  const promised: Promised = new Map()
  for (let round = 0; round < ROUNDS; round++) {
    const { running, url } = await start()
    const before = promised.size
    const clients = Array.from({ length: CLIENTS }, (_, i) => pushUntilCut(url, `${round}-${i}`, promised))
    // A moment from the first answer on.
    while (promised.size === before) await pause(1)
    await pause(Math.random() * 120)
    running.child.kill('SIGKILL')
    await Promise.all(clients)
    expect(await running.ended).toBeNull()
    await checkFiles(sandbox.path('images'))
  }
  const { running, url } = await start()
  expect(await readdir(sandbox.path('images/incoming'))).toEqual([])
  expect(promised.size).toBeGreaterThan(ROUNDS)
  for (const [path, digest] of promised) {
    const response = await fetch(`${url}${path}`)
    const content = Buffer.from(await response.arrayBuffer())
    expect([path, response.status, sha256(content)]).toEqual([path, 200, digest])
  }
  running.child.kill('SIGTERM')
  expect(await running.ended).toBe(0)
})

it('takes a folder for one writer, and gives it to readers', async () => {
  const { running } = await start()
  const second = await cosignet(sandbox, ['registry', 'serve', '--storage', 'images'])
  expect([second.status, second.stdout]).toEqual([3, ''])
  expect(second.stderr).toMatch(/^cosignet: The folder "images" is in use by another registry\.\n {2}hint: /)
  const reader = await start('--read-only')
  expect(reader.running.stdout()).toMatch(/, in "images", open to all, read-only\n$/)
  const refused = await fetch(`${reader.url}/v2/a/blobs/uploads/`, { method: 'POST' })
  expect(refused.status).toBe(405)
  for (const { child, ended } of [running, reader.running]) {
    child.kill('SIGTERM')
    expect(await ended).toBe(0)
  }
})

async function start(...flags: string[]): Promise<{ running: Running; url: string }> {
  const running = startCosignet(sandbox, ['registry', 'serve', '--storage', 'images', ...flags])
  server = running
  for (;;) {
    const url = / at (http:\S+)\/,/.exec(running.stdout())?.[1]
    if (url !== undefined) return { running, url }
    if (running.child.exitCode !== null) throw new Error(`It ended:\n${running.stderr()}`)
    await pause(5)
  }
}

/** Pushes images of one client, each referring to the one before, until the registry is gone. */
async function pushUntilCut(url: string, name: string, promised: Promised): Promise<void> {
  const put = async (method: string, path: string, body: Buffer, found: string, type = ''): Promise<void> => {
    const response = await fetch(`${url}${path}`, {
      method,
      body: new Uint8Array(body),
      headers: { 'content-type': type },
    })
    if (response.status !== 201) throw new Error(`${path}: ${response.status} ${await response.text()}`)
    promised.set(found, sha256(body))
  }
  let subject: object | undefined
  for (let i = 0; ; i++) {
    const repository = `/v2/team/app-${name.replace(/^.*-/, '')}`
    const layer = randomBytes(20_000 + Math.floor(Math.random() * 300_000))
    const config = Buffer.from(JSON.stringify({ name, i }))
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST,
        config: { mediaType: 'application/x', digest: sha256(config), size: config.length },
        layers: [{ mediaType: 'application/x', digest: sha256(layer), size: layer.length }],
        subject,
      }),
    )
    try {
      for (const blob of [layer, config]) {
        const found = `${repository}/blobs/${sha256(blob)}`
        await put('POST', `${repository}/blobs/uploads/?digest=${sha256(blob)}`, blob, found)
      }
      const byTag = `${repository}/manifests/${name}-${i}`
      await put('PUT', byTag, manifest, byTag, MANIFEST)
      promised.set(`${repository}/manifests/${sha256(manifest)}`, sha256(manifest))
    } catch (error) {
      if (error instanceof TypeError) return
      throw error
    }
    subject = { mediaType: MANIFEST, digest: sha256(manifest), size: manifest.length }
  }
}

/** Whatever has a name must have the content that the name says. */
async function checkFiles(folder: string): Promise<void> {
  const entries = await readdir(join(folder, 'repositories'), { recursive: true, withFileTypes: true })
  for (const entry of entries.filter((found) => found.isFile())) {
    const path = join(entry.parentPath, entry.name)
    const bytes = await readFile(path)
    const kind = /\/_(blobs|manifests|referrers|tags)\b/.exec(path)?.[1]
    if (kind === 'blobs') expect(sha256(bytes)).toBe(`sha256:${basename(path)}`)
    else if (kind === 'manifests')
      expect(sha256(bytes.subarray(bytes.indexOf('\n') + 1))).toBe(`sha256:${basename(path)}`)
    else if (kind === 'tags') {
      const hex = /^sha256:([0-9a-f]{64})\n$/.exec(bytes.toString())?.[1] ?? ''
      await readFile(join(path, '../../_manifests/sha256', hex))
    } else expect([kind, bytes.length]).toEqual(['referrers', 0])
  }
}

function sha256(content: Uint8Array): string {
  return `sha256:${createHash('sha256').update(content).digest('hex')}`
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
