import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { orasAccess, orasAttach, orasReferrers } from './oras.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, startOlareg, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

describeWithPeers('image copy of an artifact of oras', ['oras', 'olareg'], () => {
  let sandbox: Sandbox
  let embedded: TestRegistry
  let olareg: TestRegistry

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    embedded = await startCosignetRegistry(sandbox, { tls: true })
    olareg = await startOlareg(sandbox, { tls: true })
    await sandbox.write('model/weights.bin', 'weights')
    await sandbox.write('model/readme.txt', 'read me')
  })
  afterAll(() => sandbox.dispose())

  describe.each(['a registry', 'an OCI layout'] as const)('from %s', (kind) => {
    let source: string
    let digest: string
    let referrers: readonly string[]

    beforeAll(async () => {
      const [name, access] = kind === 'a registry' ? inRegistry('model') : inLayout('model')
      source = location(name, access)
      const files = ['model/weights.bin:application/octet-stream', 'model/readme.txt:text/plain']
      const type = 'application/vnd.example.model'
      const flags = ['--format', 'json', '--artifact-type', type, ...access]
      const { stdout } = await oras('push', ...flags, `${name}:v1`, ...files)
      const pushed: { digest: string } = JSON.parse(stdout)
      digest = pushed.digest
      const attached = await orasAttach(sandbox, `${name}@${digest}`, access)
      const further = await orasAttach(sandbox, `${name}@${attached}`, access)
      referrers = [attached, further].sort()
    })

    it.each(['a registry', 'an OCI layout'] as const)('to %s, with its referrers', async (to) => {
      const copy = `copied-${kind}-${to}`.replaceAll(' ', '-').toLowerCase()
      const [name, access] = to === 'a registry' ? inRegistry(copy) : inLayout(copy)
      await cosignetDoes(sandbox, ['image', 'copy', source, location(name, access)])
      const { stdout } = await oras('resolve', ...access, `${name}:v1`)
      expect(stdout.trim()).toBe(digest)
      expect(await orasReferrers(sandbox, `${name}@${digest}`, access)).toEqual(referrers)
      await oras('pull', ...access, '--output', `pulled-${copy}`, `${name}:v1`)
      expect(await sandbox.read(`pulled-${copy}/model/weights.bin`)).toBe('weights')
      expect(await sandbox.read(`pulled-${copy}/model/readme.txt`)).toBe('read me')
    })
  })

  /** What oras calls it, and the flags that go with that. */
  function inRegistry(name: string): readonly [string, readonly string[]] {
    const { host, ca } = name === 'model' ? embedded : olareg
    return [`${host}/artifacts/${name}`, orasAccess({ ca })]
  }

  function inLayout(name: string): readonly [string, readonly string[]] {
    return [sandbox.path(name === 'model' ? 'model-layout' : name), ['--oci-layout']]
  }

  function location(name: string, access: readonly string[]): string {
    return `${access.includes('--oci-layout') ? 'oci:' : 'docker://'}${name}:v1`
  }

  function oras(...args: readonly string[]): Promise<{ readonly stdout: string }> {
    return sandbox.succeed(peer('oras'), args)
  }
})
