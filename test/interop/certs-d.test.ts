import { copyFile, mkdir } from 'node:fs/promises'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { cosignet } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'

describeWithPeers('a registry that asks for certificates', ['skopeo', 'docker-registry', 'openssl'], () => {
  let sandbox: Sandbox
  let host: string
  let from: string
  let to: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    const config = await sandbox.write('openssl.cnf', '[req]\ndistinguished_name = dn\n[dn]\n')
    const request = ['req', '-config', config, '-nodes', '-subj', '/CN=test']
    const isAuthority = ['-x509', '-addext', 'basicConstraints=critical,CA:TRUE']
    await openssl(...request, ...isAuthority, '-keyout', 'ca.key', '-out', 'clients.pem')
    await openssl(...request, '-new', '-keyout', 'me.key', '-out', 'me.csr')
    const authority = ['-CA', 'clients.pem', '-CAkey', 'ca.key', '-CAcreateserial']
    await openssl('x509', '-req', '-in', 'me.csr', ...authority, '-out', 'me.cert')
    ;({ host } = await startDockerRegistry(sandbox, { tls: true, clientCa: sandbox.path('clients.pem') }))
    from = `oci:${(await makeImage(sandbox)).layout}`
    to = `docker://${host}/certified:v1`
  })
  afterAll(() => sandbox.dispose())

  it('lets nobody in without one', async () => {
    expect(await statuses([])).toEqual({ ours: 3, theirs: 1 })
  })

  it('lets us in with --dest-cert-dir, as skopeo', async () => {
    await putCertificates(sandbox.path('certificates'))
    expect(await statuses(['--dest-cert-dir', sandbox.path('certificates')])).toEqual({ ours: 0, theirs: 0 })
  })

  it('lets us in with certs.d, as skopeo', async () => {
    await putCertificates(sandbox.path(`home/.config/containers/certs.d/${host}`))
    expect(await statuses([])).toEqual({ ours: 0, theirs: 0 })
  })

  async function statuses(flags: readonly string[]): Promise<{ ours: number | null; theirs: number | null }> {
    const args = ['copy', ...flags, from, to]
    const ours = await cosignet(sandbox, ['image', ...args])
    const theirs = await sandbox.run(peer('skopeo'), ['--insecure-policy', ...args])
    return { ours: ours.status, theirs: theirs.status }
  }

  async function putCertificates(folder: string): Promise<void> {
    await mkdir(folder, { recursive: true })
    for (const name of ['me.cert', 'me.key']) await copyFile(sandbox.path(name), `${folder}/${name}`)
  }

  function openssl(...args: readonly string[]): Promise<unknown> {
    return sandbox.succeed(peer('openssl'), args)
  }
})
