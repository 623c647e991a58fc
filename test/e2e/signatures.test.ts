import { createHash, generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, startRegistry } from './cosignet.ts'
import { type RogueServer, startRogueServer } from './rogue-server.ts'

interface Answer {
  readonly verifier: string
  readonly can: boolean
  readonly kinds?: readonly string[]
  readonly reason?: string
  readonly fix?: string
}

interface Printed {
  readonly image: string
  readonly checked: boolean
  readonly manifests: readonly {
    readonly digest: string
    readonly role?: string
    readonly signatures: readonly Record<string, unknown>[]
    readonly others: readonly Record<string, unknown>[]
  }[]
  readonly verifiers: readonly Answer[]
}

const GUEST = 'CoCo guest v0.21'
const PODMAN = 'podman, CRI-O, skopeo'

let sandbox: Sandbox
let registry: string
let rogue: RogueServer

beforeAll(async () => {
  ;[sandbox, rogue] = await Promise.all([Sandbox.create(), startRogueServer()])
  registry = await startRegistry(sandbox)
  await sandbox.write('app/hello', 'hello\n')
  await cosignetDoes(sandbox, ['key', 'generate'])
  await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', 'other'])
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  await sandbox.write('p384.pem', privateKey.export({ type: 'pkcs8', format: 'pem' }))
  await cosignetDoes(sandbox, ['key', 'import', '--output-key-prefix', 'p384', 'p384.pem'])
  await cosignetDoes(sandbox, ['image', 'push', 'app', image('single')])
  const platforms = ['--platform', 'linux/amd64,linux/arm64']
  await cosignetDoes(sandbox, ['image', 'push', ...platforms, 'app', image('index')])
})
afterAll(async () => {
  await Promise.all([sandbox.dispose(), rogue.close()])
})

/** The name of an image of ours. */
function image(name: string): string {
  return `${registry}/team/${name}:v1`
}

/** A new name for the single image, without its signatures. */
async function unsigned(name: string): Promise<string> {
  await cosignetDoes(sandbox, ['image', 'push', 'app', image(name)])
  return image(name)
}

async function sign(...args: readonly string[]): Promise<void> {
  await cosignetDoes(sandbox, ['sign', '--key', 'cosign.key', ...args])
}

async function show(...args: readonly string[]): Promise<Printed> {
  return JSON.parse(await cosignetDoes(sandbox, ['signatures', '-o', 'json', ...args])) as Printed
}

function answer({ verifiers }: Printed, verifier: string): Answer | undefined {
  return verifiers.find((one) => one.verifier === verifier)
}

describe('signatures', () => {
  it('draws what refers to an index and its platforms, and who can verify it', async () => {
    await sign('--format', 'both', image('index'))
    const text = await cosignetDoes(sandbox, ['signatures', '--key', 'cosign.pub', image('index')])
    const [tree = '', table = ''] = text.split('\n\n')
    const shape = tree
      .replaceAll(/sha256[:-][0-9a-f]{64}/g, 'DIGEST')
      .replaceAll(registry, 'REGISTRY')
      .replaceAll(/key hint \S+=/g, 'key hint H')
    const leaves = (indent: string): string[] => [
      `${indent}├─ cosign signature  DIGEST.sig  says REGISTRY/team/index  (made by cosign.pub)`,
      `${indent}└─ sigstore bundle  DIGEST  says key hint H  (made by cosign.pub)`,
    ]
    expect(shape.split('\n')).toEqual([
      'REGISTRY/team/index:v1',
      'DIGEST  index',
      '├─ cosign signature  DIGEST.sig  says REGISTRY/team/index  (made by cosign.pub)',
      '├─ sigstore bundle  DIGEST  says key hint H  (made by cosign.pub)',
      '├─ linux/amd64  DIGEST',
      ...leaves('│  '),
      '└─ linux/arm64  DIGEST',
      ...leaves('   '),
    ])
    expect(table).toMatch(/^Who can verify it, with the key that was given:\n/)
    expect(table).toMatch(/\n {2}yes {2}CoCo guest v0\.21 +by its cosign signature\n/)
    expect(table).toMatch(/\n {2}yes {2}cosign v3 +by its bundle signature\n/)
    expect(table).toMatch(/\n {2}no {3}CoCo guest v0\.18 +it finds no signature/)
  })

  it('is as JSON what it is as text', async () => {
    const name = await unsigned('json')
    await sign(name)
    const printed = await show('--key', 'cosign.pub', '--key', 'other.pub', name)
    const digest = (await cosignetDoes(sandbox, ['image', 'digest', `docker://${name}`])).trim()
    expect(printed).toMatchObject({ image: name, checked: true })
    expect(printed.manifests).toEqual([
      {
        digest,
        signatures: [
          {
            kind: 'cosign',
            of: digest,
            location: `${digest.replace(':', '-')}.sig`,
            claims: `${registry}/team/json`,
            namesRepository: true,
            madeBy: { algorithm: 'ecdsa-p256', hashes: ['key', 'sha256'], name: 'cosign.pub' },
          },
        ],
        others: [],
      },
    ])
    expect(answer(printed, GUEST)).toEqual({ verifier: GUEST, can: true, kinds: ['cosign'] })
    expect(answer(printed, PODMAN)).toMatchObject({
      can: true,
      needs: expect.stringContaining('registries.d'),
    })
  })

  it('says of a signature whether the key made it, and nothing of it without a key', async () => {
    const name = await unsigned('keys')
    await sign(name)
    const [without, wrong] = [await show(name), await show('--key', 'other.pub', name)]
    expect(without.checked).toBe(false)
    expect(without.manifests[0]?.signatures[0]).not.toHaveProperty('madeBy')
    expect(answer(without, GUEST)).toMatchObject({ can: true })
    expect(wrong.manifests[0]?.signatures[0]).toMatchObject({ madeBy: 'none' })
    expect(wrong.verifiers.filter(({ can }) => can)).toEqual([])
  })

  it('shows the same in a layout and in a folder', async () => {
    const name = await unsigned('places')
    await sign('--format', 'both', name)
    const { manifests } = await show('--key', 'cosign.pub', name)
    for (const place of ['oci:layout:v1', 'dir:folder', 'oci-archive:image.tar']) {
      await cosignetDoes(sandbox, ['image', 'copy', '-q', `docker://${name}`, place])
      const there = await show('--key', 'cosign.pub', place)
      const kinds = there.manifests.map(({ signatures }) =>
        signatures.map(({ kind, madeBy }) => [kind, madeBy]),
      )
      expect(kinds).toEqual(
        manifests.map(({ signatures }) => signatures.map(({ kind, madeBy }) => [kind, madeBy])),
      )
    }
  })

  it('looks where COSIGN_REPOSITORY says, as sign does, and beside the image', async () => {
    const name = await unsigned('apart')
    const elsewhere = `${registry}/team/signatures`
    const env = { env: { COSIGN_REPOSITORY: elsewhere } }
    await cosignetDoes(sandbox, ['sign', '--format', 'both', '--key', 'cosign.key', name], env)
    const args = ['signatures', '--key', 'cosign.pub', name]
    const printed: Printed = JSON.parse(await cosignetDoes(sandbox, [...args, '-o', 'json'], env))
    expect(printed.manifests[0]?.signatures).toMatchObject([
      { kind: 'cosign', apart: elsewhere, madeBy: { name: 'cosign.pub' } },
      { kind: 'bundle', apart: elsewhere, madeBy: { name: 'cosign.pub' } },
    ])
    expect(printed.manifests[0]?.others).toEqual([])
    expect(answer(printed, 'cosign v3')).toMatchObject({ can: true, needs: `COSIGN_REPOSITORY ${elsewhere}` })
    expect(await cosignetDoes(sandbox, args, env)).toContain(`.sig  in ${elsewhere}  says `)
    expect(answer(await show(name), 'cosign v3')).toMatchObject({ can: false })
    const guest = answer(printed, GUEST)
    expect(guest).toMatchObject({ can: false, reason: expect.stringContaining('beside the image alone') })
    await cosignetDoes(sandbox, (guest?.fix ?? '').split(' ').slice(1), env)
    expect(answer(await show(name), GUEST)).toMatchObject({ can: true })
    const wrong = await cosignet(sandbox, args, { env: { COSIGN_REPOSITORY: `${elsewhere}:v1` } })
    expect(wrong).toMatchObject({ status: 2, stdout: '' })
  })

  it('gives fixes that help when they are typed', async () => {
    const spoil = ['--identity', 'registry.example/other']
    const cases: readonly (readonly [name: string, verifier: string, flags?: readonly string[]])[] = [
      ['fix-none', GUEST],
      ['fix-bundle', GUEST, ['--format', 'bundle']],
      ['fix-name', GUEST, spoil],
      ['fix-podman', PODMAN, spoil],
      ['fix-key', GUEST, ['--key', 'p384.key']],
    ]
    for (const [short, verifier, flags] of cases) {
      const name = await unsigned(short)
      const key = flags?.includes('--key') === true ? 'p384' : 'cosign'
      if (flags !== undefined) {
        const rest = flags.filter((flag) => !/^--key$|\.key$/.test(flag))
        await cosignetDoes(sandbox, ['sign', '--key', `${key}.key`, ...rest, name])
      }
      const before = answer(await show('--key', `${key}.pub`, name), verifier)
      expect(before, short).toMatchObject({ can: false })
      let pub = 'cosign.pub'
      for (const typed of before?.fix?.split(' && ') ?? []) {
        const args = typed.split(' ').slice(1)
        if (args[1] === 'generate') pub = `${args.at(-1)}.pub`
        await cosignetDoes(sandbox, args.includes('delete') ? [...args, '--yes'] : args)
      }
      expect(answer(await show('--key', pub, name), verifier), short).toMatchObject({ can: true })
    }
  })

  it('escapes what a stranger wrote', async () => {
    const name = await unsigned('hostile')
    const digest = (await cosignetDoes(sandbox, ['image', 'digest', `docker://${name}`])).trim()
    const claimed = 'a\u001b[2J\u0007\u202eb\nc'
    const payload = JSON.stringify({
      critical: {
        identity: { 'docker-reference': claimed },
        image: { 'docker-manifest-digest': digest },
        type: 'x',
      },
      optional: null,
    })
    await putSignatureImage('hostile', digest, payload)
    const text = await cosignetDoes(sandbox, ['signatures', name])
    expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    expect(text).toContain('cosign signature')
    expect(text.split('\n').find((line) => line.includes('says a'))).toContain('[2J')
    const printed = await show(name)
    expect(printed.manifests[0]?.signatures[0]).toMatchObject({ claims: claimed, namesRepository: false })
  })

  it('cannot decide what a registry that fails does not tell', async () => {
    const outcome = await cosignet(sandbox, ['signatures', `${rogue.host}/html/app`])
    expect(outcome).toMatchObject({ status: 3, stdout: '' })
  })
})

/** Puts a signature image beside an image by hand, with one payload that nobody signed. */
async function putSignatureImage(name: string, digest: string, payload: string): Promise<void> {
  const base = `http://${registry}/v2/team/${name}`
  const put = async (bytes: string): Promise<{ digest: string; size: number }> => {
    const hash = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    const posted = await fetch(`${base}/blobs/uploads/?digest=${hash}`, { method: 'POST', body: bytes })
    expect(posted.status).toBe(201)
    return { digest: hash, size: Buffer.byteLength(bytes) }
  }
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = {
    schemaVersion: 2,
    mediaType,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...(await put('{}')) },
    layers: [
      {
        mediaType: 'application/vnd.dev.cosign.simplesigning.v1+json',
        ...(await put(payload)),
        annotations: { 'dev.cosignproject.cosign/signature': 'AAAA' },
      },
    ],
  }
  const tag = `${digest.replace(':', '-')}.sig`
  const headers = { 'content-type': mediaType }
  const stored = await fetch(`${base}/manifests/${tag}`, {
    method: 'PUT',
    headers,
    body: JSON.stringify(manifest),
  })
  expect(stored.status).toBe(201)
}
