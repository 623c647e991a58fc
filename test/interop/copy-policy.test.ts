import { existsSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignSign, makeCosignKey } from './cosign.ts'
import { cosignet } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { registriesD } from './skopeo.ts'

const REJECT = [{ type: 'reject' }]
const ACCEPT = [{ type: 'insecureAcceptAnything' }]

interface Names {
  readonly host: string
  readonly repository: string
  readonly pub: string
  readonly otherPub: string
}

/** A requirement of a signature by a key, on the image's own repository or another. */
function signedBy(keyPath: string, dockerRepository?: string): object {
  const exact = { type: 'exactRepository', dockerRepository }
  const signedIdentity = dockerRepository === undefined ? { type: 'matchRepository' } : exact
  return { type: 'sigstoreSigned', keyPath, signedIdentity }
}

/** Policies, and whether they allow an image that one of two keys signed, and one that nobody did. */
const POLICIES: readonly {
  readonly what: string
  readonly policy: (names: Names) => object
  readonly signed: boolean
  readonly unsigned: boolean
}[] = [
  { what: 'nothing', policy: () => ({ default: ACCEPT, transports: {} }), signed: true, unsigned: true },
  {
    what: 'what is not there',
    policy: () => ({ default: REJECT, transports: {} }),
    signed: false,
    unsigned: false,
  },
  {
    what: 'a signature by the key, of the repository',
    policy: ({ repository, pub }) => scoped(repository, [signedBy(pub)]),
    signed: true,
    unsigned: false,
  },
  {
    what: 'a signature by the key, of the host',
    policy: ({ host, pub }) => scoped(host, [signedBy(pub)]),
    signed: true,
    unsigned: false,
  },
  {
    what: 'a signature by the key, of whatever registry',
    policy: ({ pub }) => scoped('', [signedBy(pub)]),
    signed: true,
    unsigned: false,
  },
  {
    what: 'a signature by another key',
    policy: ({ repository, otherPub }) => scoped(repository, [signedBy(otherPub)]),
    signed: false,
    unsigned: false,
  },
  {
    what: 'signatures by both keys',
    policy: ({ repository, pub, otherPub }) => scoped(repository, [signedBy(pub), signedBy(otherPub)]),
    signed: false,
    unsigned: false,
  },
  {
    what: 'a signature that names this repository',
    policy: ({ repository, pub }) => scoped(repository, [signedBy(pub, repository)]),
    signed: true,
    unsigned: false,
  },
  {
    what: 'a signature that names another repository',
    policy: ({ repository, pub }) => scoped(repository, [signedBy(pub, 'example.com/other')]),
    signed: false,
    unsigned: false,
  },
  {
    what: 'a signature of another repository alone',
    policy: ({ repository, pub }) => scoped(`${repository}/other`, [signedBy(pub)]),
    signed: false,
    unsigned: false,
  },
  {
    what: 'nothing of this repository, a signature of its host',
    policy: ({ host, repository, otherPub }) => ({
      default: REJECT,
      transports: { docker: { [repository]: ACCEPT, [host]: [signedBy(otherPub)] } },
    }),
    signed: true,
    unsigned: true,
  },
]

function scoped(scope: string, requirements: readonly object[]): object {
  return { default: REJECT, transports: { docker: { [scope]: requirements } } }
}

describeWithPeers('image copy --policy', ['cosign3', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let names: Names
  let images: Readonly<Record<'signed' | 'unsigned', string>>

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    const { host } = await startDockerRegistry(sandbox, { tls: true })
    const repository = `${host}/policy/app`
    const { key, pub } = await makeCosignKey(sandbox, 'theirs')
    const other = await makeCosignKey(sandbox, 'other')
    names = { host, repository, pub, otherPub: other.pub }
    const signed = await pushNewImage(sandbox, repository)
    const unsigned = await pushNewImage(sandbox, repository)
    await cosignSign(sandbox, 'cosign3', key, signed.reference)
    images = { signed: signed.reference, unsigned: unsigned.reference }
  })
  afterAll(() => sandbox.dispose())

  it.each(POLICIES)('that asks for $what decides as skopeo does', async ({ what, policy, ...allows }) => {
    const file = await sandbox.write('policy.json', JSON.stringify(policy(names)))
    for (const kind of ['signed', 'unsigned'] as const) {
      const source = `docker://${images[kind]}`
      const target = sandbox.path(`${kind} ${what}`)
      const global = ['--policy', file, '--registries.d', await registriesD(sandbox)]
      const theirs = await sandbox.run(peer('skopeo'), [...global, 'copy', source, `dir:${target} by skopeo`])
      const ours = await cosignet(sandbox, ['image', 'copy', '--policy', file, source, `dir:${target}`])
      expect({ kind, status: theirs.status }).toEqual({ kind, status: allows[kind] ? 0 : 1 })
      expect({ kind, status: ours.status }).toEqual({ kind, status: allows[kind] ? 0 : 1 })
      expect({ kind, isThere: existsSync(target) }).toEqual({ kind, isThere: allows[kind] })
    }
  })
})
