import { EventEmitter, once } from 'node:events'
import { cp, mkdir, readdir } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Outcome } from '../interop/sandbox.ts'
import { Sandbox } from '../interop/sandbox.ts'
import {
  type CommandOptions,
  cosignet,
  cosignetDoes,
  listing,
  MAIN,
  startCosignet,
  startRegistry,
} from './cosignet.ts'

const DIGEST = /sha256:[0-9a-f]{64}/
const KEY_URI = 'kbs:///default/sig-public-key/test'

let sandbox: Sandbox
let registry: string
/** `demo/app:v1` is one image, signed; `demo/app:multi` an index of two, all of it signed; `demo/plain:v1` is unsigned. */
let digests: Readonly<Record<'v1' | 'multi' | 'plain', string>>

beforeAll(async () => {
  sandbox = await Sandbox.create()
  registry = await startRegistry(sandbox)
  await Promise.all([
    sandbox.write('app/hello', 'hello\n'),
    sandbox.write('plain/hello', 'plain\n'),
    cosignetDoes(sandbox, ['key', 'generate']),
    cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', 'other']),
  ])
  const [v1, multi, plain] = await Promise.all([
    push('app', 'demo/app:v1'),
    push('app', 'demo/app:multi', '--platform', 'linux/amd64,linux/arm64'),
    push('plain', 'demo/plain:v1'),
  ])
  digests = { v1, multi, plain }
  await cosignetDoes(sandbox, ['sign', '--key', 'cosign.key', `${registry}/demo/app:v1`])
  await cosignetDoes(sandbox, ['sign', '-r', '--key', 'cosign.key', `${registry}/demo/app:multi`])
})
afterAll(() => sandbox.dispose())

describe('an image on its way', () => {
  /** The steps build on each other. */
  it.each([
    ['docker://REG/demo/app:v1', 'dir:way/dir'],
    ['dir:way/dir', 'oci:way/layout:app'],
    ['oci:way/layout:app', 'oci-archive:way/image.tar:app'],
    ['oci-archive:way/image.tar:app', 'docker://REG/way/app:v1'],
  ])('goes with its signature and its digest from %s to %s', async (from, to) => {
    const { data } = await copied(from, to)
    expect(data).toMatchObject({ outcome: 'copied', digest: digests.v1, manifests: [digests.v1] })
    expect(data.attached).toEqual([
      { subject: digests.v1, digest: expect.stringMatching(DIGEST), tag: signatureTag(digests.v1) },
    ])
    expect(await cosignetDoes(sandbox, ['image', 'digest', at(to)])).toBe(`${digests.v1}\n`)
  })

  it('is still what its key signed', async () => {
    const image = `${registry}/way/app:v1`
    expect(await cosignetDoes(sandbox, ['verify', '--key', 'cosign.pub', image])).toContain('ALLOWED')
    expect(await cosignet(sandbox, ['verify', '--key', 'other.pub', image])).toMatchObject({ status: 1 })
  })

  it('does not lose its signature unasked', async () => {
    const refused = await copy('oci:way/layout:app docker-archive:way/docker.tar:demo/app:v1')
    expect(refused).toMatchObject({ status: 3, stdout: '' })
    expect(refused.stderr).toMatch(
      /cannot hold the 1 signature\(s\) or other referrers .*\n {2}hint: .*--remove-signatures/,
    )
    expect((await readdir(sandbox.path('way'))).sort()).toEqual(['dir', 'image.tar', 'layout'])
  })

  it("goes into docker's archive alone, and back with the same configuration", async () => {
    await copied('oci:way/layout:app', 'docker-archive:way/docker.tar:demo/app:v1', '--remove-signatures')
    const { data } = await copied('docker-archive:way/docker.tar:demo/app:v1', 'docker://REG/way/back:v1')
    expect(data).toMatchObject({ attached: [], left: [] })
    const config = (name: string): Promise<string> =>
      cosignetDoes(sandbox, ['image', 'inspect', '--config', '--raw', at(name)])
    expect(await config('docker://REG/way/back:v1')).toBe(await config('docker://REG/demo/app:v1'))
  })
})

describe('what of an image is copied', () => {
  it('is all of an index with --all, and every signature', async () => {
    const { data } = await copied('docker://REG/demo/app:multi', 'docker://REG/all/app:multi', '--all')
    expect(data).toMatchObject({ digest: digests.multi, left: [] })
    expect(data.manifests).toHaveLength(3)
    expect(data.attached.map(({ subject }) => subject).sort()).toEqual([...data.manifests].sort())
    for (const digest of data.manifests) {
      const verify = ['verify', '--key', 'cosign.pub', `${registry}/all/app@${digest}`]
      expect(await cosignetDoes(sandbox, verify)).toContain('ALLOWED')
    }
  })

  it.each(['amd64', 'arm64'])('is the one for a platform: %s', async (arch) => {
    const index = JSON.parse(
      await cosignetDoes(sandbox, ['image', 'inspect', '--raw', at('docker://REG/demo/app:multi')]),
    ) as { manifests: { digest: string; platform: { architecture: string } }[] }
    const wanted = index.manifests.find(({ platform }) => platform.architecture === arch)
    const { data, stderr } = await copied(
      'docker://REG/demo/app:multi',
      `oci:${arch}:app`,
      '--override-arch',
      arch,
    )
    expect(data).toMatchObject({
      digest: wanted?.digest,
      manifests: [wanted?.digest],
      attached: [{ subject: wanted?.digest }],
      left: [{ subject: digests.multi }],
    })
    expect(stderr).toMatch(/^Note: 1 signature\(s\) .* of the whole index stay behind; .*--all/m)
  })

  it('is nothing where the platform is not', async () => {
    const outcome = await copy('--override-arch s390x docker://REG/demo/app:multi oci:s390x:app')
    expect(outcome).toMatchObject({ status: 3, stdout: '' })
    expect(outcome.stderr).toMatch(
      /no image for linux\/s390x\.\n {2}hint: It has linux\/amd64, linux\/arm64;/,
    )
    expect(await readdir(sandbox.dir)).not.toContain('s390x')
  })

  it('is told by a file with the digest and nothing else', async () => {
    await copied('docker://REG/demo/app:v1', 'oci:told:app', '--digestfile', 'digest')
    expect(await sandbox.read('digest')).toBe(digests.v1)
  })
})

describe('the format', () => {
  it('is another one where --format says so, with the same blobs', async () => {
    const before = await manifestOf('docker://REG/demo/plain:v1')
    await copied('docker://REG/demo/plain:v1', 'docker://REG/format/plain:docker', '--format', 'v2s2')
    const docker = await manifestOf('docker://REG/format/plain:docker')
    expect(docker.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json')
    await copied('docker://REG/format/plain:docker', 'docker://REG/format/plain:oci', '--format', 'oci')
    const oci = await manifestOf('docker://REG/format/plain:oci')
    expect(oci.mediaType).toBe('application/vnd.oci.image.manifest.v1+json')
    for (const { config, layers } of [docker, oci]) {
      expect(config.digest).toBe(before.config.digest)
      expect(layers.map(({ digest }) => digest)).toEqual(before.layers.map(({ digest }) => digest))
    }
  })

  it.each([
    ['--format v2s2 docker://REG/demo/app:v1', /signatures or other referrers hang at its digest/],
    ['--format v2s2 --preserve-digests docker://REG/demo/plain:v1', /--preserve-digests is given/],
  ])('stays where digests must: %s', async (flags, says) => {
    const outcome = await copy(`${flags} docker://REG/format/refused:v1`)
    expect(outcome).toMatchObject({ status: 3, stdout: '' })
    expect(outcome.stderr).toMatch(says)
    expect(await cosignet(sandbox, ['image', 'digest', at('docker://REG/format/refused:v1')])).toMatchObject({
      status: 3,
    })
  })
})

describe('a blob that is there', () => {
  it.each(['oci:twice:app', 'docker://REG/twice/app:v1'])('is not copied again to %s', async (to) => {
    const { data: first } = await copied('oci:way/layout:app', to)
    const { data } = await copied('oci:way/layout:app', to)
    expect(first.blobs.written).toBeGreaterThan(0)
    expect(data.blobs).toMatchObject({ written: 0, bytes: 0, present: first.blobs.written })
    expect(data.digest).toBe(first.digest)
  })

  it('in another repository of the registry is mounted', async () => {
    const { data } = await copied('docker://REG/demo/app:v1', 'docker://REG/mounted/app:v1')
    // Configuration and layer of the image and of its signature; the empty configuration may be one that is there.
    expect(data.blobs).toMatchObject({ written: 0, bytes: 0 })
    expect(data.blobs.mounted + data.blobs.present).toBe(4)
    expect(data.blobs.mounted).toBeGreaterThan(0)
  })
})

describe('a copy under a policy', () => {
  const EARLIER = ['dir:kept/dir', 'oci:kept/layout:app', 'docker://REG/kept/app:v1'] as const

  beforeAll(async () => {
    for (const to of EARLIER) await copied('docker://REG/demo/plain:v1', to)
    await mkdir(sandbox.path('resources/default/sig-public-key'), { recursive: true })
    await cp(sandbox.path('cosign.pub'), sandbox.path('resources/default/sig-public-key/test'))
    await mkdir(sandbox.path('no-resources'))
    const policies = {
      file: policyWith(sandbox.path('cosign.pub')),
      'other-key': policyWith(sandbox.path('other.pub')),
      'no-file': policyWith(sandbox.path('missing.pub')),
      kbs: policyWith(KEY_URI),
      reject: { default: [{ type: 'reject' }], transports: {} },
    }
    for (const [name, policy] of Object.entries(policies))
      await sandbox.write(`${name}.json`, JSON.stringify(policy))
    await sandbox.write('broken.json', '{"default":[{"type":"sigstoreSinged"}],"transports":{}}')
  })

  it.each([
    ['a key in a file', '--policy file.json'],
    ['a key of the KBS', '--policy kbs.json --resources resources'],
    ['an index, of which each image is judged', '--all --policy file.json', 'docker://REG/demo/app:multi'],
  ])('goes where it is allowed: %s', async (_what, flags, from = 'docker://REG/demo/app:v1') => {
    const outcome = await copy(`${flags} ${from} docker://REG/allowed/app:v1`)
    expect(outcome).toMatchObject({ status: 0 })
  })

  const [DIR, LAYOUT, TAG] = EARLIER
  const REFUSED: readonly (readonly [string, string, readonly string[], number, RegExp])[] = [
    ['the policy rejects it', '--policy reject.json', [DIR], 1, /^DENIED /],
    [
      'another key signed it',
      '--policy other-key.json',
      [...EARLIER, 'oci-archive:kept/new.tar:app', 'dir:kept/new'],
      1,
      /^DENIED /,
    ],
    ['the KBS has no such key', '--policy kbs.json --resources no-resources', [LAYOUT], 1, /^DENIED /],
    ['there is no KBS', '--policy kbs.json', EARLIER, 2, /there is no KBS here.*\n.*--resources/],
    ['the key file is missing', '--policy no-file.json', [TAG], 3, /"[^"]*missing\.pub" cannot be read/],
    ['the policy is not there', '--policy missing.json', [DIR], 3, /"missing\.json" cannot be read/],
    ['the policy is none', '--policy broken.json', [TAG], 2, /"broken\.json".*"sigstoreSinged"/],
  ]

  it.each(REFUSED)('touches nothing where %s', async (_what, flags, destinations, status, says) => {
    const before = await everything('kept')
    for (const to of destinations) {
      const outcome = await copy(`${flags} docker://REG/demo/app:v1 ${to}`)
      expect({ to, status: outcome.status }).toEqual({ to, status })
      expect(status === 1 ? outcome.stdout : outcome.stderr).toMatch(says)
      expect(status === 1 ? outcome.stderr : outcome.stdout).toBe('')
    }
    expect(await everything('kept')).toEqual(before)
  })

  it('says why as data too', async () => {
    const outcome = await copy('-o json --policy other-key.json docker://REG/demo/app:v1 dir:kept/new')
    expect(outcome.status).toBe(1)
    expect(JSON.parse(outcome.stdout)).toMatchObject({
      outcome: 'denied',
      verdicts: [{ outcome: 'denied', profile: 'guest' }],
    })
  })

  it('denies an unsigned image', async () => {
    const policy = policyWith(sandbox.path('cosign.pub'), 'demo/plain')
    await sandbox.write('plain.json', JSON.stringify(policy))
    const outcome = await copy('--policy plain.json docker://REG/demo/plain:v1 oci:unsigned')
    expect(outcome).toMatchObject({ status: 1, stdout: expect.stringMatching(/^DENIED /) })
    expect(await readdir(sandbox.dir)).not.toContain('unsigned')
  })
})

describe('what is told', () => {
  it('in a pipe is a line for each blob', async () => {
    const { status, stdout, stderr } = await copy('docker://REG/demo/app:v1 dir:piped')
    expect({ status, stdout }).toEqual({
      status: 0,
      stdout: expect.stringMatching(
        /^Copied docker:\/\/\S+\/demo\/app:v1 to dir:piped\n.*\nsha256:[0-9a-f]{64}\n$/,
      ),
    })
    const lines = stderr.trimEnd().split('\n').sort()
    expect(lines).toEqual([
      expect.stringMatching(/^config {4}sha256:[0-9a-f]{12} {2}\d+ B {2}copied/),
      expect.stringMatching(/^layer {5}sha256:[0-9a-f]{12} {2}[\d.]+ (?:Ki)?B {2}copied/),
    ])
  })

  it('with -o json is an event a line, and one document at the end', async () => {
    const { status, stdout, stderr } = await copy('-o json docker://REG/demo/app:v1 oci:events:app')
    expect(status).toBe(0)
    expect(JSON.parse(stdout)).toMatchObject({ outcome: 'copied', digest: digests.v1 })
    const events = stderr
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { kind: string; digest?: string })
    const kinds = events.map(({ kind }) => kind)
    expect(kinds.filter((kind) => kind === 'blob-started')).toHaveLength(4)
    expect(kinds.filter((kind) => kind === 'blob-done')).toHaveLength(4)
    // The signature is there before the name stands for the image.
    expect(events.at(-1)).toMatchObject({ kind: 'manifest', digest: digests.v1, tag: 'app' })
    expect(kinds.filter((kind) => kind === 'manifest')).toHaveLength(2)
  })

  it('with -q is nothing but the result', async () => {
    const outcome = await copy('-q docker://REG/demo/app:v1 oci:quiet:app')
    expect(outcome).toMatchObject({ status: 0, stderr: '', stdout: expect.stringContaining(digests.v1) })
  })

  it('stays off standard output where the image goes there', async () => {
    const command = `"${process.execPath}" "${MAIN}" image copy --remove-signatures docker://${registry}/demo/app:v1`
    const piped = `${command} docker-archive:/dev/stdout:demo/app:v1 | cat > piped.tar`
    const { stdout, stderr } = await sandbox.succeed('sh', ['-c', piped])
    expect(stdout).toBe('')
    expect(stderr).toMatch(/^Copied docker:\/\/.* to docker-archive:\/dev\/stdout:/m)
    expect(
      await cosignetDoes(sandbox, ['image', 'inspect', '--config', '--raw', 'docker-archive:piped.tar']),
    ).toBe(
      await cosignetDoes(sandbox, ['image', 'inspect', '--config', '--raw', at('docker://REG/demo/app:v1')]),
    )
    const both = await copy('-o json --remove-signatures docker://REG/demo/app:v1 docker-archive:/dev/stdout')
    expect(both).toMatchObject({ status: 2, stdout: '' })
  })
})

describe('a copy that fails', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('by %s leaves what was there, and nothing else', async (signal) => {
    const stalling = await startStallingProxy(registry)
    try {
      for (const to of ['dir:kept/dir', 'oci:kept/layout:app', 'oci-archive:kept/image.tar:app']) {
        const before = await listing(sandbox.dir)
        const stalled = stalling.stalled()
        const from = `docker://${stalling.host}/demo/app:v1`
        const running = startCosignet(sandbox, ['image', 'copy', from, to])
        await stalled
        running.child.kill(signal)
        expect({ to, status: await running.ended, stdout: running.stdout() }).toEqual({
          to,
          status: 3,
          stdout: '',
        })
        expect(running.stderr()).toMatch(/^cosignet: [^\n]* was stopped before its end\.\n$/)
        expect(await listing(sandbox.dir)).toEqual(before)
      }
    } finally {
      await stalling.close()
    }
  })

  it.each([
    ['a full disk', 'oci-archive:/dev/full', /"\/dev\/full" cannot be written: there is no space left/],
    ['a full disk', 'docker-archive:/dev/full', /"\/dev\/full" cannot be written: there is no space left/],
    ['a folder that takes no file', 'oci-archive:/proc/new.tar', /"\/proc\/new\.tar" cannot be written/],
  ])('for %s says so: %s', async (_what, to, says) => {
    const before = await listing(sandbox.dir)
    const outcome = await copy(`-q docker://REG/demo/plain:v1 ${to}`)
    expect(outcome).toMatchObject({ status: 3, stdout: '', stderr: expect.stringMatching(says) })
    expect(await listing(sandbox.dir)).toEqual(before)
  })

  it.skipIf(process.getuid?.() === 0)('for a folder that is read-only says so', async () => {
    await mkdir(sandbox.path('read-only'), { mode: 0o500 })
    for (const to of ['dir:read-only/new', 'oci:read-only/new', 'oci-archive:read-only/new']) {
      const outcome = await copy(`-q docker://REG/demo/plain:v1 ${to}`)
      expect(outcome).toMatchObject({
        status: 3,
        stdout: '',
        stderr: expect.stringContaining('permission denied'),
      })
    }
    expect(await readdir(sandbox.path('read-only'))).toEqual([])
  })

  it('makes the folders that lead to its destination', async () => {
    await copied('docker://REG/demo/app:v1', 'dir:deep/er/dir')
    await copied('docker://REG/demo/app:v1', 'oci-archive:deep/est/image.tar')
    expect((await readdir(sandbox.path('deep'))).sort()).toEqual(['er', 'est'])
  })
})

interface Copied {
  readonly outcome: string
  readonly digest: string
  readonly manifests: readonly string[]
  readonly blobs: Readonly<Record<'written' | 'bytes' | 'present' | 'mounted' | 'left', number>>
  readonly attached: readonly { readonly subject: string }[]
}

/** Writes the registry's host for `REG`. */
function at(text: string): string {
  return text.replaceAll('REG/', `${registry}/`)
}

async function copy(line: string, options: CommandOptions = {}): Promise<Outcome> {
  return await cosignet(sandbox, ['image', 'copy', ...at(line).split(' ')], options)
}

/** Copies, and expects no failure. */
async function copied(
  from: string,
  to: string,
  ...flags: readonly string[]
): Promise<{ data: Copied; stderr: string }> {
  const { status, stdout, stderr } = await copy([...flags, '-o', 'json', from, to].join(' '))
  expect({ status, said: status === 0 ? '' : stderr }).toEqual({ status: 0, said: '' })
  return { data: JSON.parse(stdout) as Copied, stderr }
}

async function push(folder: string, name: string, ...flags: readonly string[]): Promise<string> {
  const text = await cosignetDoes(sandbox, ['image', 'push', ...flags, folder, `${registry}/${name}`])
  return DIGEST.exec(text)?.[0] ?? 'no digest'
}

async function manifestOf(name: string): Promise<{
  mediaType: string
  config: { digest: string }
  layers: { digest: string }[]
}> {
  return JSON.parse(await cosignetDoes(sandbox, ['image', 'inspect', '--raw', at(name)]))
}

/** What is in a folder of the sandbox and, by digest and tag, in the repositories of that name. */
async function everything(name: string): Promise<unknown> {
  const repository = `http://${registry}/v2/${name}/app`
  const { tags } = (await (await fetch(`${repository}/tags/list`)).json()) as { tags: string[] }
  const manifests = await Promise.all(
    tags.map(async (tag) => [tag, await (await fetch(`${repository}/manifests/${tag}`)).text()]),
  )
  return [await listing(sandbox.path(name)), manifests]
}

function signatureTag(digest: string): string {
  return `${digest.replace(':', '-')}.sig`
}

/** Only what the key signed, whatever name the signature gives the image in the repository. */
function policyWith(keyPath: string, repository = 'demo/app'): object {
  const requirement = { type: 'sigstoreSigned', keyPath, signedIdentity: { type: 'matchRepository' } }
  return {
    default: [{ type: 'reject' }],
    transports: { docker: { [`${registry}/${repository}`]: [requirement] } },
  }
}

interface StallingProxy {
  readonly host: string
  /** Settles when a blob has begun that will not end. */
  stalled(): Promise<void>
  close(): Promise<void>
}

/** Stands before a registry, and sends of each blob its first byte. */
async function startStallingProxy(target: string): Promise<StallingProxy> {
  const events = new EventEmitter()
  const server = createServer((request, response) => {
    void fetch(`http://${target}${request.url ?? ''}`, { method: request.method ?? 'GET' }).then(
      async (answer) => {
        const bytes = new Uint8Array(await answer.arrayBuffer())
        const type = answer.headers.get('content-type') ?? 'application/octet-stream'
        response.writeHead(answer.status, { 'content-type': type, 'content-length': bytes.byteLength })
        if (request.url?.includes('/blobs/') !== true) return response.end(bytes)
        return response.write(bytes.subarray(0, 1), () => events.emit('stalled'))
      },
    )
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    stalled: async () => void (await once(events, 'stalled')),
    close: async () => {
      server.close().closeAllConnections()
      await once(server, 'close')
    },
  }
}
