import { chmod, mkdir, symlink } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { type FileTree, readFileTree, setTreeTimes } from './file-tree.ts'
import { peer } from './peers.ts'
import { createPodman, type TestPodman } from './podman.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import type { Outcome } from './sandbox.ts'
import { Sandbox } from './sandbox.ts'
import { skopeo } from './skopeo.ts'

/** Without privileges, podman may give files to nobody else. */
const OWNER = process.getuid?.() === 0 ? '1000:1001' : '0:0'

const DOCKERFILES = [
  {
    what: 'a whole context and every setting',
    dockerfile: `FROM scratch
COPY . /
ENV A=1 B="two words"
ENV C=$A$B D=\${A:+set} E=\${UNSET:-default}
LABEL org.example.one=1 "org.example.two"="a b"
EXPOSE 8080 53/udp
WORKDIR /app
WORKDIR sub
USER 1000:1000
ENTRYPOINT ["/app/run.sh"]
CMD ["--serve", "it"]
`,
  },
  {
    what: 'copies of all kinds',
    dockerfile: `# A comment.
FROM scratch
COPY app/run.sh /bin/tool
COPY app/run.sh app/secret /opt/
COPY conf/*.conf /etc/matched/
COPY conf /etc/whole
COPY --chown=${OWNER} --chmod=0640 app/secret /srv/secret
COPY ["app/sub/ü b.txt", "/srv/"]
ADD empty /var/empty
WORKDIR /srv
COPY app/sub \\
  sub
CMD echo $HOME
`,
  },
]

describeWithPeers('image build', ['podman', 'umoci', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let podman: TestPodman
  let registry: TestRegistry
  let context: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    podman = await createPodman(sandbox)
    registry = await startDockerRegistry(sandbox, { tls: true })
    context = sandbox.path('context')
    await sandbox.write('context/app/run.sh', '#!/bin/sh\n')
    await sandbox.write('context/app/secret', 'secret')
    await sandbox.write('context/app/sub/ü b.txt', 'text')
    await sandbox.write(`context/app/sub/${'long'.repeat(50)}`, 'a name beyond the 100 bytes of a tar header')
    await sandbox.write('context/conf/a.conf', 'a')
    await sandbox.write('context/conf/b.conf', 'b')
    await sandbox.write('context/conf/c.tmp', 'ignored')
    await mkdir(sandbox.path('context/empty'))
    await chmod(sandbox.path('context/app/run.sh'), 0o755)
    await chmod(sandbox.path('context/app/secret'), 0o600)
    await chmod(sandbox.path('context/empty'), 0o1777)
    await symlink('run.sh', sandbox.path('context/app/link'))
    await symlink('/nowhere', sandbox.path('context/app/dangling'))
    await setTreeTimes(context, 0)
  })
  afterAll(() => sandbox.dispose())

  it('packs a folder that umoci unpacks with the same files, modes and links', async () => {
    await chmod(sandbox.path('context/app/run.sh'), 0o4755)
    const dockerfile = await sandbox.write('Dockerfile.all', 'FROM scratch\nCOPY . /\n')
    await build(dockerfile, 'all')
    await chmod(sandbox.path('context/app/run.sh'), 0o755)
    expect((await unpack('all'))['app/run.sh']).toMatch(/^4755 /)
    await chmod(sandbox.path('all-bundle/rootfs/app/run.sh'), 0o755)
    expect(await readFileTree(sandbox.path('all-bundle/rootfs'))).toEqual(await readFileTree(context))
  })

  it.each(DOCKERFILES)('makes of $what the same as podman build', async ({ what, dockerfile }) => {
    await expectSameAsPodman(what.replaceAll(' ', '-'), dockerfile)
  })

  it('builds on an image in a registry as podman build does', async () => {
    const base = `${registry.host}/base:v1`
    const dockerfile = `FROM scratch
COPY conf /etc/base
ENV PATH=/opt BASE=yes
ENTRYPOINT ["/entry"]
CMD ["base"]
WORKDIR /etc
`
    await build(await sandbox.write('Dockerfile.base', dockerfile), 'base')
    await skopeo(sandbox, 'copy', `oci:${sandbox.path('base')}:it`, `docker://${base}`)
    const onBase = `FROM ${base}
COPY app/secret base/a.conf
COPY app /etc/base
ENV PATH=$PATH:/more
ENTRYPOINT ["/other"]
`
    await expectSameAsPodman('on-base', onBase)
  })

  it('makes an index for several platforms that skopeo takes apart', async () => {
    const dockerfile = await sandbox.write('Dockerfile.platforms', 'FROM scratch\nCOPY app /app\n')
    await build(dockerfile, 'platforms', '--platform', 'linux/amd64,linux/arm64')
    for (const architecture of ['amd64', 'arm64']) {
      const location = `oci:${sandbox.path('platforms')}:it`
      const platform = ['--override-os', 'linux', '--override-arch', architecture]
      const { stdout } = await skopeo(sandbox, ...platform, 'inspect', '--config', location)
      expect(JSON.parse(stdout)).toMatchObject({ os: 'linux', architecture })
    }
  })

  /** Builds an image here and with podman, and compares files and settings. */
  async function expectSameAsPodman(name: string, dockerfile: string): Promise<void> {
    const file = await sandbox.write(`Dockerfile.${name}`, dockerfile)
    const ignore = await sandbox.write(`Dockerfile.${name}.dockerignore`, '**/*.tmp\n')
    await build(file, `${name}-ours`)
    const flags = ['--layers=false', '--timestamp', '0', '--ignorefile', ignore]
    await podman.run('build', ...flags, '--tag', name, '--file', file, context)
    await podman.run('push', '--format', 'oci', name, `oci:${sandbox.path(`${name}-theirs`)}:it`)
    expect(await settings(`${name}-ours`)).toEqual(await settings(`${name}-theirs`))
    expect(await unpack(`${name}-ours`)).toEqual(await unpack(`${name}-theirs`))
  }

  function build(dockerfile: string, name: string, ...flags: readonly string[]): Promise<Outcome> {
    const target = `oci:${sandbox.path(name)}:it`
    return cosignetDoes(sandbox, ['image', 'build', ...flags, '--file', dockerfile, context, target])
  }

  /** Has umoci unpack the image in a layout. */
  async function unpack(name: string): Promise<FileTree> {
    const rootless = process.getuid?.() === 0 ? [] : ['--rootless']
    const args = ['--image', `${sandbox.path(name)}:it`, sandbox.path(`${name}-bundle`)]
    await sandbox.succeed(peer('umoci'), ['unpack', ...rootless, ...args])
    return await readFileTree(sandbox.path(`${name}-bundle/rootfs`))
  }

  /** What the image says of itself; the order of the environment, which has no meaning, is that of the names. */
  async function settings(name: string): Promise<unknown> {
    const { stdout } = await skopeo(sandbox, 'inspect', '--config', `oci:${sandbox.path(name)}:it`)
    const image: { architecture: string; os: string; config: { Env?: string[] } } = JSON.parse(stdout)
    const { architecture, os, config } = image
    return { architecture, os, config: { ...config, Env: config.Env?.toSorted() } }
  }
})
