import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignet } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

/**
 * What a registries.conf makes of names under example.com, which cannot be reached; MIRROR is a registry that can be,
 * GONE one that cannot. Tag and digest: whether the image is found so.
 */
const RULES = [
  { what: 'nothing', conf: '', tag: false, digest: false },
  {
    what: 'a location',
    conf: '[[registry]]\nprefix = "example.com/team"\nlocation = "MIRROR/mirrored"\n',
    tag: true,
    digest: true,
  },
  {
    what: 'a location for hosts below a name',
    conf: '[[registry]]\nprefix = "*.com"\nlocation = "MIRROR/elsewhere"\n',
    tag: true,
    digest: true,
  },
  {
    what: 'a mirror behind one that is gone',
    conf: `[[registry]]
location = "example.com"
[[registry.mirror]]
location = "GONE/mirrored"
[[registry.mirror]]
location = "MIRROR/elsewhere"
`,
    tag: true,
    digest: true,
  },
  {
    what: 'a mirror for digests alone',
    conf: `[[registry]]
location = "example.com"
mirror-by-digest-only = true
[[registry.mirror]]
location = "MIRROR/elsewhere"
`,
    tag: false,
    digest: true,
  },
  {
    what: 'a mirror for tags alone',
    conf: `[[registry]]
location = "example.com"
[[registry.mirror]]
location = "MIRROR/elsewhere"
pull-from-mirror = "tag-only"
`,
    tag: true,
    digest: false,
  },
  {
    what: 'the longest prefix',
    conf: `[[registry]]
location = "example.com"
blocked = true
[[registry]]
prefix = "example.com/team"
location = "MIRROR/mirrored"
`,
    tag: true,
    digest: true,
  },
  {
    what: 'a registry that is blocked, but its mirror is not',
    conf: `[[registry]]
location = "example.com"
blocked = true
[[registry.mirror]]
location = "MIRROR/elsewhere"
`,
    tag: true,
    digest: true,
  },
  { what: 'a file that is broken', conf: '[[registry]]\nlocation = \n', tag: false, digest: false },
]

describeWithPeers('registries.conf', ['skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let digest: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
    ;({ digest } = await pushNewImage(sandbox, `${registry.host}/mirrored/app`))
    const copy = ['image', 'copy', `docker://${registry.host}/mirrored/app:latest`]
    await cosignet(sandbox, [...copy, `docker://${registry.host}/elsewhere/team/app:latest`])
  })
  afterAll(() => sandbox.dispose())

  it.each(RULES)('with $what is followed as by skopeo', async ({ conf, tag, digest: byDigest }) => {
    const text = conf.replaceAll('MIRROR', registry.host).replaceAll('GONE', '127.0.0.1:9')
    const file = await sandbox.write('registries.conf', text)
    for (const [name, isFound] of [
      ['docker://example.com/team/app:latest', tag],
      [`docker://example.com/team/app@${digest}`, byDigest],
    ] as const) {
      // podman's variable; skopeo has a flag.
      const env = { CONTAINERS_REGISTRIES_CONF: file }
      const theirs = await sandbox.run(peer('skopeo'), ['--registries-conf', file, 'inspect', '--raw', name])
      const ours = await cosignet(sandbox, ['image', 'inspect', '--raw', name], { env })
      expect({ name, isFound: theirs.status === 0 }).toEqual({ name, isFound })
      expect({ name, isFound: ours.status === 0 }).toEqual({ name, isFound })
      expect(ours.stdout).toBe(theirs.stdout)
    }
  })
})
