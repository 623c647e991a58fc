import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignAccepts, makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, pushImage, type TestImage } from './images.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { registriesD } from './skopeo.ts'

/** Who is asked, by the names in the table. */
interface Answers {
  readonly 'cosign v2': boolean
  readonly 'cosign v3': boolean
  readonly 'podman, CRI-O, skopeo': boolean
}

/** Signs the index or image at `name`; `digests` are those of its manifests, the root first. */
type Signing = (name: string, digests: readonly string[]) => Promise<void>

describeWithPeers('who can verify it', ['cosign3', 'cosign2', 'skopeo', 'gpg'], () => {
  let sandbox: Sandbox
  let host: string
  let cosign: { key: string; pub: string }
  let other: { key: string; pub: string }

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    host = (await startCosignetRegistry(sandbox, { tls: true })).host
    cosign = await makeCosignKey(sandbox, 'cosign')
    other = await makeCosignKey(sandbox, 'other')
    const gpg = ['key', 'generate', '--type', 'gpg', '--user-id', 'me@example.com']
    await cosignetDoes(sandbox, [...gpg, '--output-key-prefix', sandbox.path('me')])
  })
  afterAll(() => sandbox.dispose())

  const sign = async (...args: readonly string[]): Promise<void> =>
    void (await cosignetDoes(sandbox, ['sign', ...args]))
  const signAs =
    (...args: readonly string[]): Signing =>
    (name) =>
      sign('--key', cosign.key, ...args, name)
  const simply: Signing = (name) => sign('--key', sandbox.path('me.gpg.key'), name)
  const byOther =
    (format: string): Signing =>
    (name) =>
      sign('--key', other.key, '--format', format, name)
  const each =
    (...signings: readonly Signing[]): Signing =>
    async (name, digests) => {
      for (const signing of signings) await signing(name, digests)
    }
  const onPlatforms: Signing = async (name, [, ...platforms]) => {
    const repository = name.replace(/:[^:/]*$/, '')
    for (const platform of platforms) await sign('--key', cosign.key, `${repository}@${platform}`)
  }

  it.each<[string, Signing]>([
    ['not signed', async () => undefined],
    ['signed as cosign', signAs('--format', 'cosign')],
    ['signed in a bundle', signAs('--format', 'bundle')],
    ['signed both ways', signAs('--format', 'both')],
    ['signed with OpenPGP', simply],
    ['signed in all ways', each(signAs('--format', 'both'), simply)],
    ['signed as cosign by another', byOther('cosign')],
    ['signed in a bundle by another', byOther('bundle')],
    ['signed as cosign, with a bundle by another', each(signAs('--format', 'cosign'), byOther('bundle'))],
    ['signed in a bundle, and as cosign by another', each(signAs('--format', 'bundle'), byOther('cosign'))],
    ['signed under another name', signAs('--identity', 'registry.example/other')],
    [
      'signed under another name and its own',
      each(signAs('--identity', 'registry.example/other'), signAs('--format', 'cosign')),
    ],
  ])('of an image that is %s', async (_what, signing) => {
    await compare(await makeImage(sandbox), signing)
  })

  it.each<[string, Signing]>([
    ['not signed', async () => undefined],
    ['signed as cosign, platforms and all', signAs('--format', 'cosign')],
    ['signed as cosign, but no platform', signAs('--recursive=false')],
    ['signed as cosign on its platforms alone', onPlatforms],
    ['signed in bundles, platforms and all', signAs('--format', 'bundle')],
    ['signed both ways, platforms and all', signAs('--format', 'both')],
    ['signed with OpenPGP, platforms and all', simply],
    [
      'signed as cosign on its platforms, and in a bundle alone',
      each(onPlatforms, signAs('--format', 'bundle', '--recursive=false')),
    ],
  ])('of an index that is %s', async (_what, signing) => {
    await compare(await makeImage(sandbox, ['amd64', 'arm64']), signing)
  })

  async function compare(image: TestImage, signing: Signing): Promise<void> {
    const repository = `${host}/table/${randomUUID()}`
    await pushImage(sandbox, image, repository)
    const name = `${repository}:latest`
    const platforms = image.images.filter((digest) => digest !== image.digest)
    await signing(name, [image.digest, ...platforms])
    const [told, two, three, containers] = await Promise.all([
      table(name),
      cosignSays('cosign2', name),
      cosignSays('cosign3', name),
      skopeoSays(name),
    ])
    expect(told).toEqual({ 'cosign v2': two, 'cosign v3': three, 'podman, CRI-O, skopeo': containers })
  }

  async function table(name: string): Promise<Answers> {
    const keys = ['--key', cosign.pub, '--key', sandbox.path('me.gpg.pub')]
    const { stdout } = await cosignetDoes(sandbox, ['signatures', ...keys, '-o', 'json', name])
    const { verifiers } = JSON.parse(stdout) as { verifiers: { verifier: string; can: boolean }[] }
    const can = (asked: string): boolean => verifiers.some(({ verifier, can }) => verifier === asked && can)
    return {
      'cosign v2': can('cosign v2'),
      'cosign v3': can('cosign v3'),
      'podman, CRI-O, skopeo': can('podman, CRI-O, skopeo'),
    }
  }

  async function cosignSays(program: 'cosign2' | 'cosign3', name: string): Promise<boolean> {
    return await cosignAccepts(sandbox, program, cosign.pub, name).catch(async (error: unknown) => {
      // Where there is a bundle, version 3 has no status of its own for "none matches".
      if (/no matching attestations/.test(String(error))) return false
      throw error
    })
  }

  /** Whether a policy of matchRepository with either key lets every platform of an image in. */
  async function skopeoSays(name: string): Promise<boolean> {
    const signedIdentity = { type: 'matchRepository' }
    const requirements = [
      { type: 'sigstoreSigned', keyPath: cosign.pub, signedIdentity },
      { type: 'signedBy', keyType: 'GPGKeys', keyPath: sandbox.path('me.gpg.pub'), signedIdentity },
    ]
    const accepted = await Promise.all(requirements.map((requirement) => isLetIn(name, requirement)))
    return accepted.includes(true)
  }

  async function isLetIn(name: string, requirement: object): Promise<boolean> {
    const id = randomUUID()
    const policy = await sandbox.write(`policy-${id}.json`, JSON.stringify({ default: [requirement] }))
    const flags = ['--policy', policy, '--registries.d', await registriesD(sandbox)]
    // For each platform alone: with --all the index must be signed, too, which no podman asks for.
    const architectures = ['amd64', 'arm64']
    for (const architecture of architectures) {
      const { status, stderr } = await sandbox.run(peer('skopeo'), [
        ...flags,
        ...['--override-os', 'linux', '--override-arch', architecture],
        ...[
          'copy',
          '--remove-signatures',
          `docker://${name}`,
          `dir:${sandbox.path(`in-${id}-${architecture}`)}`,
        ],
      ])
      if (/Source image rejected/.test(stderr)) return false
      if (status !== 0) throw new Error(`skopeo ended with ${status}:\n${stderr}`)
    }
    return true
  }
})
