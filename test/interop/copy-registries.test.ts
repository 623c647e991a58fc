import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage, type TestImage } from './images.ts'
import { orasAccess, orasAttach, orasReferrers } from './oras.ts'
import { peer } from './peers.ts'
import {
  startCosignetRegistry,
  startCraneRegistry,
  startDockerRegistry,
  startOlareg,
  type TestRegistry,
} from './registries.ts'
import { Sandbox } from './sandbox.ts'

/** Two of them list referrers by the API, two know only the tag that stands in for it. */
const REGISTRIES = [
  { registry: 'docker-registry', start: (sandbox: Sandbox) => startDockerRegistry(sandbox, { tls: true }) },
  { registry: 'olareg', start: (sandbox: Sandbox) => startOlareg(sandbox, { tls: true }) },
  { registry: 'the registry of crane', start: startCraneRegistry },
  {
    registry: 'the embedded registry',
    start: (sandbox: Sandbox) => startCosignetRegistry(sandbox, { tls: true }),
  },
]

const PEERS = ['cosign3', 'skopeo', 'crane', 'oras', 'olareg', 'docker-registry'] as const

describeWithPeers('image copy --all from registry to registry', PEERS, () => {
  let sandbox: Sandbox
  let key: string
  let pub: string
  const registries = new Map<string, TestRegistry>()

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    ;({ key, pub } = await makeCosignKey(sandbox, 'theirs'))
    for (const { registry, start } of REGISTRIES) registries.set(registry, await start(sandbox))
  })
  afterAll(() => sandbox.dispose())

  describe.each(REGISTRIES)('from $registry', ({ registry: from }) => {
    let image: TestImage & { readonly reference: string }
    let referrers: readonly string[]

    beforeAll(async () => {
      const source = started(from)
      image = await pushNewImage(sandbox, `${source.host}/source`, ['amd64', 'arm64'])
      await cosignSign(sandbox, 'cosign3', key, image.reference)
      const attached = await orasAttach(sandbox, image.reference, orasAccess(source))
      const further = await orasAttach(sandbox, `${source.host}/source@${attached}`, orasAccess(source))
      referrers = [attached, further].sort()
    })

    it.each(REGISTRIES)(
      'to $registry: image, signature and referrers are there',
      async ({ registry: to }) => {
        const { host, ca } = started(to)
        const repository = `${host}/from/${from.replaceAll(' ', '-')}`
        await cosignetDoes(sandbox, [
          ...['image', 'copy', '--all'],
          ...[`docker://${started(from).host}/source:latest`, `docker://${repository}:v1`],
        ])
        const copied = `${repository}@${image.digest}`
        expect(await crane('digest', `${repository}:v1`)).toBe(image.digest)
        await crane('validate', '--remote', copied)
        expect(await cosignAccepts(sandbox, 'cosign3', pub, copied)).toBe(true)
        expect(await orasReferrers(sandbox, copied, orasAccess({ ca }))).toEqual(referrers)
      },
    )
  })

  function started(name: string): TestRegistry {
    const registry = registries.get(name)
    if (registry === undefined) throw new Error(`${name} is not started`)
    return registry
  }

  async function crane(...args: readonly string[]): Promise<string> {
    return (await sandbox.succeed(peer('crane'), args)).stdout.trim()
  }
})
