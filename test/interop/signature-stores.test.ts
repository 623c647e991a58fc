import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueCertificates } from '../../src/net/index.ts'
import { cosignet, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, type TestImage } from './images.ts'
import { peer } from './peers.ts'
import { startCosignetRegistry, startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

const PEERS = ['skopeo', 'gpg', 'docker-registry'] as const
const USER = 'Signer <signer@example.com>'

describeWithPeers('OpenPGP signatures beside images', PEERS, () => {
  let sandbox: Sandbox
  /** Keeps signatures itself. */
  let embedded: TestRegistry
  /** Has a lookaside store. */
  let docker: TestRegistry
  let fingerprint: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    embedded = await startCosignetRegistry(sandbox, { tls: true })
    docker = await startDockerRegistry(sandbox, { tls: true })
    const gpg = ['--batch', '--passphrase', '', '--pinentry-mode', 'loopback']
    await sandbox.succeed(peer('gpg'), [...gpg, '--quick-generate-key', USER, 'rsa2048', 'sign', 'never'])
    const { stdout } = await sandbox.succeed(peer('gpg'), ['--list-keys', '--with-colons'])
    fingerprint = /^fpr:+([0-9A-F]{40}):/m.exec(stdout)?.[1] ?? ''
    const key = ['--output', sandbox.path('key.gpg'), '--export', fingerprint]
    await sandbox.succeed(peer('gpg'), key)
    await configure({ [docker.host]: { lookaside: `file://${sandbox.path('sigstore')}` } })
  })
  afterAll(() => sandbox.dispose())

  it('skopeo keeps them in the embedded registry and finds them there', async () => {
    const { digest } = await signBySkopeo('api/signed')
    expect(await accepts(`docker://${embedded.host}/api/signed:v1`, `${embedded.host}/api/signed:v1`)).toBe(true)
    expect(await accepts(`docker://${embedded.host}/api/signed:v1`, 'example.com/other:v1')).toBe(false)
    const response = await sandbox.succeed('curl', [
      ...['-sS', '--cacert', sandbox.caFile],
      `${embedded.url}/extensions/v2/api/signed/signatures/${digest}`,
    ])
    const { signatures } = JSON.parse(response.stdout) as { signatures: readonly { content: string }[] }
    expect(signatures).toHaveLength(1)
  })
})
