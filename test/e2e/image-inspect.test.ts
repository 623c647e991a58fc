import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, startRegistry } from './cosignet.ts'

const OCI_MANIFEST = 'application/vnd.oci.image.manifest.v1+json'
/** The registry's page, and some more. */
const TAGS = 1500

let sandbox: Sandbox
let registry: string

beforeAll(async () => {
  sandbox = await Sandbox.create()
  registry = await startRegistry(sandbox)
  await sandbox.write('app/hello', 'hello\n')
  const platform = ['--platform', 'linux/amd64,linux/arm64']
  await cosignetDoes(sandbox, ['image', 'push', ...platform, 'app', `${registry}/demo/app:multi`])
  await cosignetDoes(sandbox, ['image', 'push', '--entrypoint', '/hello', 'app', `${registry}/demo/app:v1`])
})
afterAll(() => sandbox.dispose())

describe('image inspect', () => {
  it.each(['v1', 'multi'])('--raw prints what the digest is of: %s', async (tag) => {
    const name = `docker://${registry}/demo/app:${tag}`
    const raw = await run('inspect', '--raw', name)
    expect(`sha256:${sha256(raw)}\n`).toBe(await run('digest', name))
  })

  it('--config prints the configuration, with --raw byte for byte', async () => {
    const name = `docker://${registry}/demo/app:v1`
    const { config } = JSON.parse(await run('inspect', '--raw', name)) as { config: { digest: string } }
    const raw = await run('inspect', '--raw', '--config', name)
    expect(`sha256:${sha256(raw)}`).toBe(config.digest)
    expect(JSON.parse(raw)).toMatchObject({ config: { Entrypoint: ['/hello'] } })
    expect(JSON.parse(await run('inspect', '--config', name))).toEqual(JSON.parse(raw))
  })

  it('lists the platforms of an index and shows the image of one', async () => {
    const name = `docker://${registry}/demo/app:multi`
    const { manifests } = JSON.parse(await run('inspect', '--raw', name)) as {
      manifests: { digest: string; size: number; mediaType: string }[]
    }
    const [amd64, arm64] = manifests
    const text = await run('inspect', '--override-arch', 'arm64', name)
    expect(text).toMatch(
      new RegExp(`^platforms: +linux/amd64 +${amd64?.digest}\n +linux/arm64 +${arm64?.digest}\n`, 'm'),
    )
    expect(text).toMatch(new RegExp(`^image: +${arm64?.digest}\nplatform: +linux/arm64\n`, 'm'))
    const data = JSON.parse(await run('inspect', '-o', 'json', '--override-arch', 'arm64', name))
    expect(data).toMatchObject({
      digest: (await run('digest', name)).trim(),
      platforms: [
        { platform: 'linux/amd64', digest: amd64?.digest, size: amd64?.size },
        { platform: 'linux/arm64', digest: arm64?.digest, size: arm64?.size },
      ],
      manifest: { digest: arm64?.digest, platform: 'linux/arm64' },
      attached: [],
    })
  })

  it('says which platforms there are where the wanted one is not', async () => {
    const name = `docker://${registry}/demo/app:multi`
    const outcome = await cosignet(sandbox, ['image', 'inspect', '--override-arch', 's390x', name])
    expect(outcome).toMatchObject({ status: 3, stdout: '' })
    expect(outcome.stderr).toContain('It has linux/amd64, linux/arm64;')
  })
})

/** The words of an image are its maker's: a terminal obeys none of them, and no line of them passes for one of ours. */
describe('a hostile image', () => {
  // Escape, the one-byte form of its sequences (C1), a bell, an order of writing, and a line of its own.
  const EVIL = '\u001b[2J\u009b31m\u0007\u202e\nplatform:   linux/evil\r'
  const NOTHING_OBEYED = /[^\P{Cc}\n]|\p{Cf}/u
  let name: string

  beforeAll(async () => {
    const config = JSON.stringify({
      architecture: 'amd64',
      os: `linux${EVIL}`,
      created: `2026-01-01${EVIL}`,
      config: { Labels: { [EVIL]: EVIL } },
      rootfs: { type: 'layers', diff_ids: [] },
    })
    const layer = 'layer'
    await putBlob('hostile/app', config)
    await putBlob('hostile/app', layer)
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: OCI_MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...described(config) },
      layers: [{ mediaType: `text/x${EVIL}`, ...described(layer) }],
      annotations: { [EVIL]: EVIL },
    })
    expect(await putManifest('hostile/app', 'v1', manifest)).toBe(201)
    name = `docker://${registry}/hostile/app:v1`
  })

  it.each([[[]], [['--config']], [['-o', 'json']], [['-o', 'yaml']], [['--config', '-o', 'json']]])(
    'is shown with %j',
    async (flags) => {
      const text = await run('inspect', ...flags, name)
      expect(text).not.toMatch(NOTHING_OBEYED)
      expect(text).not.toMatch(/^platform: {3}linux\/evil/m)
      // Nothing is hidden either.
      expect(text).toContain('\\u001b[2J\\u009b31m')
    },
  )

  it('is copied with nothing of it on the terminal', async () => {
    const outcome = await cosignet(sandbox, ['image', 'copy', '-o', 'json', name, 'oci:hostile:app'])
    expect(outcome).toMatchObject({ status: 0 })
    expect(outcome.stdout + outcome.stderr).not.toMatch(NOTHING_OBEYED)
  })

  it('is kept byte for byte by --raw', async () => {
    const raw = await run('inspect', '--raw', name)
    expect(`sha256:${sha256(raw)}\n`).toBe(await run('digest', name))
  })
})

describe('image list-tags', () => {
  it('follows the pages to their end', async () => {
    const manifest = JSON.stringify({
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.index.v1+json',
      manifests: [],
    })
    const tags = Array.from({ length: TAGS }, (_, i) => `t${String(i).padStart(4, '0')}`)
    for (let i = 0; i < TAGS; i += 50) {
      await Promise.all(tags.slice(i, i + 50).map((tag) => putManifest('many/app', tag, manifest)))
    }
    const first = await fetch(`http://${registry}/v2/many/app/tags/list`)
    expect(((await first.json()) as { tags: string[] }).tags).toHaveLength(1000)
    const repository = `docker://${registry}/many/app`
    expect(await run('list-tags', repository)).toBe(tags.map((tag) => `${tag}\n`).join(''))
    expect(JSON.parse(await run('list-tags', '-o', 'json', repository))).toEqual({
      repository: `${registry}/many/app`,
      tags,
    })
  })

  it.each([
    ['a tag', 'docker://REG/demo/app:v1', 2, /is not a repository of a registry/],
    ['a folder', 'oci:app', 2, /is not a repository of a registry/],
    ['a repository that is not there', 'docker://REG/none/app', 3, /none\/app/],
  ])('refuses %s', async (_what, text, status, says) => {
    const outcome = await cosignet(sandbox, ['image', 'list-tags', text.replace('REG', registry)])
    expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(says) })
  })
})

describe('image delete', () => {
  beforeAll(async () => {
    await cosignetDoes(sandbox, ['key', 'generate'])
    for (const tag of ['gone', 'gone-too', 'stays']) {
      await sandbox.write('app/hello', tag === 'stays' ? 'stays\n' : 'goes\n')
      await cosignetDoes(sandbox, ['image', 'push', 'app', `${registry}/delete/app:${tag}`])
    }
    await cosignetDoes(sandbox, ['sign', '--key', 'cosign.key', `${registry}/delete/app:gone`])
  })

  it('asks nobody where nobody sits, and deletes nothing', async () => {
    const name = `docker://${registry}/delete/app:gone`
    const before = await run('list-tags', `docker://${registry}/delete/app`)
    const outcome = await cosignet(sandbox, ['image', 'delete', name])
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr).toMatch(/goes with the tag\(s\) gone, gone-too\.\n/)
    expect(outcome.stderr).toMatch(/cosignet: There is no terminal .*\n {2}hint: Give --yes /)
    expect(await run('list-tags', `docker://${registry}/delete/app`)).toBe(before)
  })

  it('with --yes deletes the digest with its tags, and no other', async () => {
    const name = `docker://${registry}/delete/app:gone`
    const digest = (await run('digest', name)).trim()
    const signature = `${digest.replace(':', '-')}.sig`
    const outcome = await cosignet(sandbox, ['image', 'delete', '--yes', '-o', 'json', name])
    expect(outcome.stderr).toMatch(new RegExp(`^What refers to it stays: ${signature}\\.$`, 'm'))
    expect(JSON.parse(outcome.stdout)).toEqual({
      deleted: `${registry}/delete/app@${digest}`,
      digest,
      tags: ['gone', 'gone-too'],
      left: [signature],
    })
    expect(await run('list-tags', `docker://${registry}/delete/app`)).toBe(`${signature}\nstays\n`)
    expect(await cosignet(sandbox, ['image', 'delete', '--yes', name])).toMatchObject({
      status: 3,
      stdout: '',
    })
  })

  it('deletes no file', async () => {
    const outcome = await cosignet(sandbox, ['image', 'delete', '--yes', 'oci:app'])
    expect(outcome).toMatchObject({ status: 2, stderr: expect.stringContaining('is not in a registry') })
    expect(await sandbox.read('app/hello')).toBe('stays\n')
  })
})

async function run(verb: string, ...args: readonly string[]): Promise<string> {
  return await cosignetDoes(sandbox, ['image', verb, ...args])
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function described(text: string): { digest: string; size: number } {
  return { digest: `sha256:${sha256(text)}`, size: Buffer.byteLength(text) }
}

async function putBlob(repository: string, text: string): Promise<void> {
  const url = `http://${registry}/v2/${repository}/blobs/uploads/?digest=${described(text).digest}`
  const { status } = await fetch(url, {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/octet-stream' },
  })
  expect(status).toBe(201)
}

async function putManifest(repository: string, tag: string, text: string): Promise<number> {
  const { mediaType } = JSON.parse(text) as { mediaType: string }
  const url = `http://${registry}/v2/${repository}/manifests/${tag}`
  return (await fetch(url, { method: 'PUT', body: text, headers: { 'content-type': mediaType } })).status
}
