import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MemoryImageStore } from '../../test/fixtures/memory-image-store.ts'
import { quietCli } from '../../test/fixtures/quiet-cli.ts'
import { encodeUtf8 } from '../core/index.ts'
import { digestOf, parseLocation } from '../oci/index.ts'
import { type PolicyFlags, readJudge } from './image-policy.ts'

const IMAGE = { manifestDigest: digestOf(encodeUtf8('image')) }
const ACCEPT = [{ type: 'insecureAcceptAnything' }]
const signedBy = (keyPath: string) => [{ type: 'sigstoreSigned', keyPath }]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-'))
  const policies = {
    'policy.json': {
      'ghcr.io/team/app': ACCEPT,
      'quay.io/file': signedBy(join(folder, 'missing.pub')),
      'quay.io/kbs': signedBy('kbs:///default/key/one'),
    },
  }
  for (const [name, docker] of Object.entries(policies)) {
    const policy = { default: [{ type: 'reject' }], transports: { docker } }
    await writeFile(join(folder, name), JSON.stringify(policy))
  }
  await writeFile(join(folder, 'broken.json'), '{')
})
afterAll(() => rm(folder, { recursive: true }))

describe('readJudge', () => {
  it('judges nothing without a policy', async () => {
    expect(await judge({}, 'dir:a', 'dir:b')).toBeUndefined()
  })

  it.each([
    ['the name that it comes from', 'docker://ghcr.io/team/app:v1', 'docker://quay.io/other', 'allowed'],
    ['the name that it comes from', 'docker://quay.io/other', 'docker://ghcr.io/team/app:v1', 'denied'],
    ['the name that it gets', 'oci:layout', 'docker://ghcr.io/team/app:v1', 'allowed'],
    ['the name that it gets', 'oci:layout', 'docker://quay.io/other', 'denied'],
    ['the name that it comes from', 'docker://ghcr.io/team/app:v1', 'oci:layout', 'allowed'],
  ])('judges by %s: %s to %s', async (_what, from, to, outcome) => {
    const decide = await judge({ policy: 'policy.json' }, from, to)
    const verdict = await decide?.(new MemoryImageStore(), IMAGE)
    expect(verdict).toMatchObject({ outcome, profile: 'guest' })
  })

  it.each([
    ['keys without a policy', { resources: 'keys' }, 'docker://ghcr.io/a', 'USAGE'],
    [
      'an image without a name',
      { policy: 'policy.json' },
      'docker-archive:a.tar:ghcr.io/team/app:v1',
      'USAGE',
    ],
    ['a policy that is not there', { policy: 'missing.json' }, 'docker://ghcr.io/a', 'FILE'],
    ['a policy that is none', { policy: 'broken.json' }, 'docker://ghcr.io/a', 'INVALID_JSON'],
  ])('refuses %s', async (_what, flags, from, code) => {
    await expect(judge(flags, from, 'dir:b')).rejects.toMatchObject({ code })
  })

  it.each([
    ['a key file that is not there', 'docker://quay.io/file', 'FILE'],
    ['a KBS that is not there', 'docker://quay.io/kbs', 'USAGE'],
  ])('neither allows nor denies for want of %s', async (_what, from, code) => {
    const decide = await judge({ policy: 'policy.json' }, from, 'dir:b')
    await expect(decide?.(new MemoryImageStore(), IMAGE)).rejects.toMatchObject({ code })
  })
})

async function judge(flags: PolicyFlags, from: string, to: string): ReturnType<typeof readJudge> {
  const { policy, resources } = flags
  const inFolder = {
    ...(policy === undefined ? {} : { policy: join(folder, policy) }),
    ...(resources === undefined ? {} : { resources: join(folder, resources) }),
  }
  return await readJudge(quietCli(), inFolder, parseLocation(from), parseLocation(to))
}
