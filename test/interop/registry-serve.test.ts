import { randomBytes } from 'node:crypto'
import { hashSync } from 'bcryptjs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { issueCertificates } from '../../src/net/index.ts'
import { cosignAccepts, cosignSign, makeCosignKey } from './cosign.ts'
import { cosignetProgram } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage } from './images.ts'
import { peer } from './peers.ts'
import { Sandbox } from './sandbox.ts'

/** What every client is turned away with that has no credentials, or wrong ones. */
const TURNED_AWAY = /unauthorized|authentication required|invalid username\/password/i

describeWithPeers('registry serve, behind users and TLS', ['skopeo', 'cosign3'], () => {
  const password = randomBytes(12).toString('hex')
  let sandbox: Sandbox
  let host: string

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    await sandbox.write('users', `ann:${hashSync(password, 10)}\n`)
    const { ca, cert, key } = await issueCertificates({ hosts: ['127.0.0.1'], now: new Date() })
    sandbox.trust(ca)
    await sandbox.write('tls.crt', cert)
    await sandbox.write('tls.key', key)
    host = await serve('--htpasswd', 'users')
  })
  afterAll(() => sandbox.dispose())

  function serve(...flags: string[]): Promise<string> {
    const args = ['registry', 'serve', '--storage', 'images', '--tls-cert', 'tls.crt', '--tls-key', 'tls.key']
    return sandbox.serve(cosignetProgram, [...args, ...flags], /Registry (\S+) at https:/)
  }
  const skopeo = (...args: string[]) => sandbox.run(peer('skopeo'), args)
  const login = (file: string, word: string) =>
    sandbox.run(peer('skopeo'), ['login', '--authfile', file, '-u', 'ann', '--password-stdin', host], {
      input: word,
    })

  it('lets skopeo log in with the right password alone', async () => {
    const wrong = await login('wrong.json', 'guess')
    expect(wrong.status).not.toBe(0)
    expect(wrong.stderr).toMatch(TURNED_AWAY)
    const right = await login('auth.json', password)
    expect([right.status, right.stdout]).toEqual([0, 'Login Succeeded!\n'])
  })

  it('takes and gives an index by skopeo, whose credentials come from its file', async () => {
    await login('auth.json', password)
    const image = await makeImage(sandbox, ['amd64', 'arm64'])
    const remote = `docker://${host}/team/app:v1`
    const copy = ['copy', '--all', '--authfile', 'auth.json']
    await sandbox.succeed(peer('skopeo'), [...copy, `oci:${image.layout}`, remote])
    await sandbox.succeed(peer('skopeo'), [...copy, remote, `docker://${host}/team/other:v1`])
    const inspect = ['inspect', '--authfile', 'auth.json', '--format', '{{.Digest}}']
    for (const name of ['app', 'other']) {
      const found = await sandbox.succeed(peer('skopeo'), [...inspect, `docker://${host}/team/${name}:v1`])
      expect(found.stdout.trim()).toBe(image.digest)
    }
    for (const refused of [
      await skopeo('inspect', '--no-creds', remote),
      await skopeo('copy', '--src-no-creds', remote, 'dir:stolen'),
      await skopeo('copy', '--dest-creds', 'ann:guess', `oci:${image.layout}`, remote),
      await skopeo('delete', '--creds', 'eve:guess', remote),
    ]) {
      expect(refused.status).not.toBe(0)
      expect(refused.stderr).toMatch(TURNED_AWAY)
    }
  })

  it('keeps what cosign signs, and lets cosign verify it', async () => {
    const image = await makeImage(sandbox)
    const reference = `${host}/team/signed@${image.digest}`
    const credentials = Buffer.from(`ann:${password}`).toString('base64')
    await sandbox.write(
      'config/docker/config.json',
      JSON.stringify({ auths: { [host]: { auth: credentials } } }),
    )
    await sandbox.succeed(peer('skopeo'), ['copy', `oci:${image.layout}`, `docker://${host}/team/signed:v1`])
    const { key, pub } = await makeCosignKey(sandbox, 'signer')
    await cosignSign(sandbox, 'cosign3', key, reference)
    expect(await cosignAccepts(sandbox, 'cosign3', pub, reference)).toBe(true)
    // A bundle as a referrer, which is cosign 3's own way.
    await sandbox.succeed(
      peer('cosign3'),
      ['sign', '--yes', '--use-signing-config=false', '--tlog-upload=false', '--key', key, reference],
      { env: { COSIGN_PASSWORD: '' } },
    )
    const referrers = await fetchTrusted(`/v2/team/signed/referrers/${image.digest}`, credentials)
    expect(referrers).toMatchObject({
      manifests: [{ artifactType: expect.stringMatching(/^application\/vnd\.dev\.sigstore\.bundle/) }],
    })
  })

  it('gives from its folder what another process serves to read, and takes nothing there', async () => {
    const image = await makeImage(sandbox)
    const creds = ['--dest-creds', `ann:${password}`]
    await sandbox.succeed(peer('skopeo'), [
      'copy',
      ...creds,
      `oci:${image.layout}`,
      `docker://${host}/team/shared:v1`,
    ])
    const reader = await serve('--read-only')
    const found = await sandbox.succeed(peer('skopeo'), [
      'inspect',
      '--no-creds',
      '--format',
      '{{.Digest}}',
      `docker://${reader}/team/shared:v1`,
    ])
    expect(found.stdout.trim()).toBe(image.digest)
    const other = await makeImage(sandbox)
    const push = await skopeo(
      'copy',
      '--dest-no-creds',
      `oci:${other.layout}`,
      `docker://${reader}/team/shared:v2`,
    )
    expect(push.status).not.toBe(0)
    expect(push.stderr).toMatch(/read-only|405|unsupported/i)
    const removed = await skopeo('delete', '--no-creds', `docker://${reader}/team/shared:v1`)
    expect(removed.status).not.toBe(0)
  })

  /** What the registry answers to a client that trusts the sandbox's authority. */
  async function fetchTrusted(path: string, credentials: string): Promise<unknown> {
    const script = `fetch(process.argv[1], { headers: { authorization: process.argv[2] } })
      .then(async (response) => console.log(await response.text()))`
    const { stdout } = await sandbox.succeed(
      process.execPath,
      ['--eval', script, `https://${host}${path}`, `Basic ${credentials}`],
      { env: { NODE_EXTRA_CA_CERTS: sandbox.caFile } },
    )
    return JSON.parse(stdout)
  }
})
