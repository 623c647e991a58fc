import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { issueCertificates } from '../../src/net/index.ts'
import { type FakeGitHub, startFakeGitHub } from '../fixtures/fake-github.ts'
import { type FakeGitLab, startFakeGitLab } from '../fixtures/fake-gitlab.ts'
import { type FakeKubernetes, startFakeKubernetes } from '../fixtures/fake-kubernetes.ts'
import { ALL_COSIGNS, type CosignName } from './cosign.ts'
import { cosignet } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { type Outcome, Sandbox } from './sandbox.ts'

const TOKEN = 'CANARY-token'
const PASSWORD = 'CANARY päss $word'
const NAMES = ['COSIGN_PASSWORD', 'COSIGN_PRIVATE_KEY', 'COSIGN_PUBLIC_KEY']

// The servers check what they get: token, TLS, names taken, and libsodium opens what is sealed for GitHub.
describeWithPeers('key stores', ['cosign3', 'cosign2', 'cosign22', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let kubernetes: FakeKubernetes
  let gitlab: FakeGitLab
  let github: FakeGitHub
  let env: Record<string, string>

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
    const tls = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
    kubernetes = await startFakeKubernetes({ accounts: [`Bearer ${TOKEN}`], tls })
    gitlab = await startFakeGitLab({ token: TOKEN, places: ['projects/g/p', 'groups/g'] })
    github = await startFakeGitHub({ token: TOKEN, places: ['repos/o/r', 'orgs/o'] })
    const ca = Buffer.from(tls.ca).toString('base64')
    const kubeconfig = {
      apiVersion: 'v1',
      kind: 'Config',
      'current-context': 'c',
      contexts: [{ name: 'c', context: { cluster: 'k', user: 'u' } }],
      clusters: [{ name: 'k', cluster: { server: kubernetes.url, 'certificate-authority-data': ca } }],
      users: [{ name: 'u', user: { token: TOKEN } }],
    }
    env = {
      COSIGN_PASSWORD: PASSWORD,
      KUBECONFIG: await sandbox.write('kubeconfig', JSON.stringify(kubeconfig)),
      GITLAB_HOST: gitlab.url,
      GITLAB_TOKEN: TOKEN,
      GITHUB_HOST: github.url,
      GITHUB_TOKEN: TOKEN,
    }
  })
  afterAll(async () => {
    await Promise.all([kubernetes, gitlab, github].map((server) => server.close()))
    await sandbox.dispose()
  })
  beforeEach(() => {
    kubernetes.secrets.clear()
    gitlab.variables.clear()
    github.secrets.clear()
  })

  /** Runs a cosign, with the password of another key: one in a store has its own. */
  async function theirs(cosign: CosignName, args: readonly string[], password = 'other'): Promise<Outcome> {
    return await sandbox.run(peer(cosign), args, { env: { ...env, COSIGN_PASSWORD: password } })
  }

  /** Runs the command line; nothing secret may show. */
  async function ours(args: readonly string[], password = 'other'): Promise<Outcome> {
    const outcome = await cosignet(sandbox, [...args, '--debug'], {
      env: { ...env, COSIGN_PASSWORD: password },
    })
    expect(`${outcome.stdout}${outcome.stderr}`).not.toMatch(/CANARY|ENCRYPTED SIGSTORE/)
    return outcome
  }

  async function ok(running: Promise<Outcome>): Promise<string> {
    const { status, stdout, stderr } = await running
    expect(status, `${stdout}${stderr}`).toBe(0)
    return stdout
  }

  /** Each signs an image with the key of the store, and both verify both with it. */
  async function bothUse(cosign: CosignName, ref: string): Promise<void> {
    const legacy = ALL_COSIGNS.find((row) => row.cosign === cosign)?.legacy ?? []
    const [one, other] = [
      await pushNewImage(sandbox, `${registry.host}/stores/one`),
      await pushNewImage(sandbox, `${registry.host}/stores/other`),
    ]
    await ok(theirs(cosign, ['sign', '--yes', ...legacy, '--key', ref, one.reference]))
    await ok(ours(['sign', '--key', ref, other.reference]))
    for (const { reference } of [one, other]) {
      await ok(theirs(cosign, ['verify', '--insecure-ignore-tlog', '--key', ref, reference]))
      await ok(ours(['verify', '--key', ref, reference]))
    }
  }

  for (const { cosign } of ALL_COSIGNS) {
    // Groups came with cosign 3.
    for (const ref of ['k8s://ns/cosign', 'gitlab://g/p', ...(cosign === 'cosign3' ? ['gitlab://g'] : [])]) {
      it(`${cosign} puts a key pair to ${ref}, and it is used from there here`, async () => {
        await ok(theirs(cosign, ['generate-key-pair', ref], PASSWORD))
        await bothUse(cosign, ref)
      })

      it(`a key pair put to ${ref} here is used from there by ${cosign}`, async () => {
        const prefix = sandbox.path(`ours-${cosign}-${ref.replace(/\W+/g, '-')}`)
        await ok(ours(['key', 'generate', ref, '--output-key-prefix', prefix], PASSWORD))
        const told = await ok(theirs(cosign, ['public-key', '--key', ref]))
        expect(samePublicKey(told, await sandbox.read(`${prefix.slice(sandbox.dir.length + 1)}.pub`))).toBe(
          true,
        )
        await bothUse(cosign, ref)
      })
    }
  }

  it('what is put to a Secret and to variables is what cosign puts there', async () => {
    const shapes = []
    for (const generate of [
      (ref: string) => theirs('cosign3', ['generate-key-pair', ref], PASSWORD),
      (ref: string) =>
        ours(['key', 'generate', ref, '--output-key-prefix', sandbox.path('s'), '--yes'], PASSWORD),
    ]) {
      await ok(generate('k8s://ns/cosign'))
      await ok(generate('gitlab://g/p'))
      const { data = {}, type, immutable } = kubernetes.secrets.get('ns/cosign') ?? {}
      const password = Buffer.from(data['cosign.password'] ?? '', 'base64').toString()
      const variables = [...gitlab.variables].map(
        ([name, { key, variable_type, environment_scope, ...rest }]) => {
          return {
            name,
            key,
            variable_type,
            environment_scope,
            protected: rest.protected,
            masked: rest.masked,
          }
        },
      )
      shapes.push({ names: Object.keys(data).sort(), type, immutable, password, variables })
      kubernetes.secrets.clear()
      gitlab.variables.clear()
    }
    expect(shapes[1]).toEqual(shapes[0])
    expect(shapes[0]?.password).toBe(PASSWORD)
  })

  it('a key pair that is there is replaced after a yes, which cosign cannot', async () => {
    for (const ref of ['k8s://ns/cosign', 'gitlab://g/p']) {
      await ok(theirs('cosign3', ['generate-key-pair', ref], PASSWORD))
      const before = await ok(theirs('cosign3', ['public-key', '--key', ref]))
      expect((await theirs('cosign3', ['generate-key-pair', ref], PASSWORD)).status).toBe(1)
      const generate = ['key', 'generate', ref, '--output-key-prefix', sandbox.path('replaced')]
      const refused = await ours(generate, PASSWORD)
      expect([refused.status, refused.stderr]).toEqual([2, expect.stringContaining('There is already')])
      await ok(ours([...generate, '--yes'], PASSWORD))
      const after = await ok(theirs('cosign3', ['public-key', '--key', ref]))
      expect(samePublicKey(after, before)).toBe(false)
      expect(samePublicKey(after, await sandbox.read('replaced.pub'))).toBe(true)
    }
    expect([...kubernetes.secrets.keys()]).toEqual(['ns/cosign'])
  })

  it('GitHub gets the three secrets of cosign, and those of an organization, which cosign cannot set', async () => {
    const prefix = ['--output-key-prefix', sandbox.path('hub'), '--yes']
    for (const generate of [
      (ref: string) => theirs('cosign3', ['generate-key-pair', ref], PASSWORD),
      (ref: string) => ours(['key', 'generate', ref, ...prefix], PASSWORD),
    ]) {
      github.secrets.clear()
      await ok(generate('github://o/r'))
      expect([...github.secrets.keys()]).toEqual(NAMES.map((name) => `repos/o/r ${name}`))
      const [password, privateKey, publicKey] = [...github.secrets.values()].map(({ value }) => value)
      expect(password).toBe(PASSWORD)
      const key = await sandbox.write('hub.key', privateKey ?? '')
      const told = await ok(theirs('cosign3', ['public-key', '--key', key], PASSWORD))
      expect(samePublicKey(told, publicKey ?? '')).toBe(true)
    }
    const org = await theirs('cosign3', ['generate-key-pair', 'github://o'], PASSWORD)
    expect([org.status, org.stderr]).toEqual([1, expect.stringContaining('"visibility" wasn\'t supplied')])
    await ok(ours(['key', 'generate', 'github://o', ...prefix], PASSWORD))
    expect(github.secrets.get('orgs/o COSIGN_PASSWORD')).toEqual({ value: PASSWORD, visibility: 'private' })
  })

  it('GitHub gives no key back, to cosign nor here', async () => {
    const { reference } = await pushNewImage(sandbox, `${registry.host}/stores/hub`)
    const verify = ['verify', '--key', 'github://o/r', reference]
    expect((await theirs('cosign3', [...verify, '--insecure-ignore-tlog'])).status).toBe(1)
    const refused = await ours(verify)
    expect([refused.status, refused.stderr]).toEqual([
      3,
      expect.stringContaining('The key "github://o/r" cannot be read: GitHub gives no secret out.'),
    ])
  })
})

function samePublicKey(a: string, b: string): boolean {
  return createPublicKey(a).equals(createPublicKey(b))
}
