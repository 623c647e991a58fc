import { createPublicKey } from 'node:crypto'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ALL_COSIGNS, cosignAccepts } from './cosign.ts'
import { cosignet, cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

/** Beside the empty one: with that, each tool signs with the keys of each other in the matrix. */
const PASSWORDS = [
  { what: 'a password', password: 'just1testing2password3' },
  { what: 'a password beyond ASCII', password: 'pässwörd 🔑' },
]

describeWithPeers('key files', ['cosign3', 'cosign2', 'cosign22', 'skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
  })
  afterAll(() => sandbox.dispose())

  for (const { cosign } of ALL_COSIGNS) {
    for (const [i, { what, password }] of PASSWORDS.entries()) {
      const ours = `ours-${cosign}-${i}`
      const theirs = `theirs-${cosign}-${i}`
      const env = { COSIGN_PASSWORD: password }

      it(`made here with ${what} are read by ${cosign}`, async () => {
        await cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', sandbox.path(ours)], { env })
        const { stdout } = await sandbox.succeed(
          peer(cosign),
          ['public-key', '--key', sandbox.path(`${ours}.key`)],
          { env },
        )
        expect(samePublicKey(stdout, await sandbox.read(`${ours}.pub`))).toBe(true)
      })

      it(`made by ${cosign} with ${what} sign here, and ${cosign} accepts it`, async () => {
        await sandbox.succeed(
          peer(cosign),
          ['generate-key-pair', '--output-key-prefix', sandbox.path(theirs)],
          {
            env,
          },
        )
        const { reference } = await pushNewImage(sandbox, `${registry.host}/keys/theirs`)
        await cosignetDoes(sandbox, ['sign', '--key', sandbox.path(`${theirs}.key`), reference], { env })
        expect(await cosignAccepts(sandbox, cosign, sandbox.path(`${theirs}.pub`), reference)).toBe(true)
        expect(await cosignetAccepts(sandbox, sandbox.path(`${theirs}.pub`), reference)).toBe(true)
      })
    }
  }

  it('refuses a wrong password as cosign does', async () => {
    const args = ['generate-key-pair', '--output-key-prefix', sandbox.path('wrong')]
    await sandbox.succeed(peer('cosign3'), args, { env: { COSIGN_PASSWORD: 'right' } })
    const { reference } = await pushNewImage(sandbox, `${registry.host}/keys/wrong`)
    const env = { COSIGN_PASSWORD: 'wrong' }
    const theirs = await sandbox.run(peer('cosign3'), ['public-key', '--key', sandbox.path('wrong.key')], {
      env,
    })
    expect(theirs.status).not.toBe(0)
    const ours = await cosignet(sandbox, ['sign', '--key', sandbox.path('wrong.key'), reference], { env })
    expect(ours.status).toBe(2)
    expect(ours.stderr).toMatch(/password/i)
    expect(ours.stderr).not.toMatch(/right|wrong$/)
  })
})

function samePublicKey(a: string, b: string): boolean {
  return createPublicKey(a).equals(createPublicKey(b))
}
