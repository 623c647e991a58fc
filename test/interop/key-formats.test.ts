import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ALL_COSIGNS, cosignAccepts } from './cosign.ts'
import { cosignet, cosignetAccepts, cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { pushNewImage } from './images.ts'
import { peer } from './peers.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { skopeoAccepts } from './skopeo.ts'

/** What openssl makes of each algorithm that cosign imports, as PKCS#8. */
const ALGORITHMS = [
  { name: 'P-256', options: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-256'] },
  { name: 'P-384', options: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-384'] },
  { name: 'P-521', options: ['EC', '-pkeyopt', 'ec_paramgen_curve:P-521'] },
  { name: 'RSA-2048', options: ['RSA', '-pkeyopt', 'rsa_keygen_bits:2048'] },
  { name: 'RSA-3072', options: ['RSA', '-pkeyopt', 'rsa_keygen_bits:3072'] },
  { name: 'RSA-4096', options: ['RSA', '-pkeyopt', 'rsa_keygen_bits:4096'] },
  { name: 'Ed25519', options: ['ED25519'] },
] as const

/** How openssl encrypts PKCS#8. */
const ENCRYPTIONS = [
  ['aes-128-cbc', ['-v2', 'aes-128-cbc']],
  ['aes-256-cbc and HMAC-SHA-512', ['-v2', 'aes-256-cbc', '-v2prf', 'hmacWithSHA512']],
  ['triple DES', ['-v2', 'des3']],
  ['scrypt', ['-scrypt']],
  ['many iterations', ['-v2', 'aes-256-cbc', '-iter', '100000']],
] as const

const PEERS = ['cosign3', 'cosign2', 'cosign22', 'skopeo', 'openssl', 'docker-registry'] as const

describeWithPeers('keys of other tools', PEERS, () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  const openssl = async (...args: readonly string[]): Promise<string> =>
    (await sandbox.succeed(peer('openssl'), args)).stdout
  const password = async (name: string, text: string): Promise<string> => {
    const file = await sandbox.write(name, `${text}\n`)
    await sandbox.succeed('chmod', ['600', file])
    return file
  }

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
  })
  afterAll(() => sandbox.dispose())

  it.each(ALGORITHMS)('$name of openssl signs here, and all verify it', async ({ name, options }) => {
    const file = sandbox.path(`${name}.pem`)
    await openssl('genpkey', '-algorithm', ...options, '-out', file)
    const prefix = sandbox.path(`imported-${name}`)
    await cosignetDoes(sandbox, ['key', 'import', file, '--output-key-prefix', prefix])
    expect(await sandbox.read(`imported-${name}.pub`)).toBe(await openssl('pkey', '-in', file, '-pubout'))
    const repository = `${registry.host}/imported/${name.toLowerCase()}`
    const { reference } = await pushNewImage(sandbox, repository)
    await cosignetDoes(sandbox, ['sign', '--key', `${prefix}.key`, reference])
    for (const { cosign } of ALL_COSIGNS) {
      expect([cosign, await cosignAccepts(sandbox, cosign, `${prefix}.pub`, reference)]).toEqual([
        cosign,
        true,
      ])
    }
    expect(await skopeoAccepts(sandbox, `${prefix}.pub`, repository, `docker://${reference}`)).toBe(true)
    expect(await cosignetAccepts(sandbox, `${prefix}.pub`, reference)).toBe(true)
  })

  it.each(ALGORITHMS)('$name that was imported is opened by every cosign', async ({ name }) => {
    const pub = await sandbox.read(`imported-${name}.pub`)
    for (const { cosign } of ALL_COSIGNS) {
      const args = ['public-key', '--key', sandbox.path(`imported-${name}.key`)]
      const { stdout } = await sandbox.succeed(peer(cosign), args, { env: { COSIGN_PASSWORD: '' } })
      expect([cosign, stdout.trim()]).toEqual([cosign, pub.trim()])
    }
  })

  it.each(ALGORITHMS)(
    '$name that is exported is read by openssl and imported by cosign',
    async ({ name }) => {
      const key = sandbox.path(`imported-${name}.key`)
      const secret = await password('export-password', 'exported')
      const exported = sandbox.path(`exported-${name}.pem`)
      await cosignetDoes(sandbox, ['key', 'export', key, '--export-password-file', secret, '--out', exported])
      const pub = await sandbox.read(`imported-${name}.pub`)
      expect(await openssl('pkey', '-in', exported, '-passin', `file:${secret}`, '-pubout')).toBe(pub)

      const plain = sandbox.path(`plain-${name}.pem`)
      await cosignetDoes(sandbox, ['key', 'export', key, '--to', 'pkcs8', '--insecure-plain', '--out', plain])
      const again = sandbox.path(`again-${name}`)
      const args = ['import-key-pair', '--yes', '--key', plain, '--output-key-prefix', again]
      await sandbox.succeed(peer('cosign3'), args, { env: { COSIGN_PASSWORD: 'x' } })
      expect((await sandbox.read(`again-${name}.pub`)).trim()).toBe(pub.trim())
    },
  )

  it.each(ENCRYPTIONS)('PKCS#8 that openssl encrypted with %s is imported', async (name, options) => {
    const plain = sandbox.path('encrypt-me.pem')
    await openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', plain)
    const secret = await password('import-password', 'pässwörd')
    const file = sandbox.path(`${name}.pem`)
    await openssl('pkcs8', '-topk8', '-in', plain, ...options, '-passout', `file:${secret}`, '-out', file)
    const prefix = sandbox.path(`encrypted ${name}`)
    const args = ['key', 'import', file, '--output-key-prefix', prefix]
    await cosignetDoes(sandbox, [...args, '--import-password-file', secret])
    expect(await sandbox.read(`encrypted ${name}.pub`)).toBe(await openssl('pkey', '-in', plain, '-pubout'))
    const wrong = await password('wrong-password', 'wrong')
    const failed = await cosignet(sandbox, [...args, '--yes', '--import-password-file', wrong])
    expect(failed).toMatchObject({ status: 2, stderr: expect.stringContaining('cannot be decrypted') })
  })

  it.each([
    ['PKCS#1', ['rsa', '-traditional'], 'RSA-2048'],
    ['SEC1', ['ec'], 'P-521'],
    ['SEC1 with a compressed point', ['ec', '-conv_form', 'compressed'], 'P-384'],
    ['SEC1 without a public key', ['ec', '-no_public'], 'P-256'],
  ])('%s of openssl is imported', async (format, options, name) => {
    const file = sandbox.path('converted.pem')
    const [command = '', ...flags] = options
    await openssl(command, '-in', sandbox.path(`${name}.pem`), ...flags, '-out', file)
    const prefix = sandbox.path(`converted ${format}`)
    await cosignetDoes(sandbox, ['key', 'import', file, '--output-key-prefix', prefix])
    expect(await sandbox.read(`converted ${format}.pub`)).toBe(await sandbox.read(`imported-${name}.pub`))
  })

  describe('of skopeo', () => {
    it('sign here, and skopeo verifies it', async () => {
      const secret = await password('skopeo-password', 'of skopeo')
      const prefix = sandbox.path('skopeo')
      const make = ['generate-sigstore-key', '--output-prefix', prefix, '--passphrase-file', secret]
      await sandbox.succeed(peer('skopeo'), make)
      const repository = `${registry.host}/keys/of-skopeo`
      const { reference } = await pushNewImage(sandbox, repository)
      await cosignetDoes(sandbox, [
        'sign',
        '--key',
        `${prefix}.private`,
        '--password-file',
        secret,
        reference,
      ])
      expect(await skopeoAccepts(sandbox, `${prefix}.pub`, repository, `docker://${reference}`)).toBe(true)
      const { stdout } = await cosignetDoes(sandbox, ['key', 'inspect', `${prefix}.private`])
      expect(stdout).toContain('ENCRYPTED COSIGN PRIVATE KEY')
    })

    it('signs with keys that were made here', async () => {
      const secret = await password('our-password', 'ours')
      const prefix = sandbox.path('for-skopeo')
      await cosignetDoes(sandbox, [
        'key',
        'generate',
        '--output-key-prefix',
        prefix,
        '--password-file',
        secret,
      ])
      const repository = `${registry.host}/keys/for-skopeo`
      const { layout } = await pushNewImage(sandbox, repository)
      await sandbox.write('registries.d/default.yaml', 'default-docker:\n  use-sigstore-attachments: true\n')
      await sandbox.succeed(peer('skopeo'), [
        ...['--insecure-policy', '--registries.d', sandbox.path('registries.d'), 'copy'],
        ...['--sign-by-sigstore-private-key', `${prefix}.key`, '--sign-passphrase-file', secret],
        ...[`oci:${layout}`, `docker://${repository}:signed`],
      ])
      expect(await cosignetAccepts(sandbox, `${prefix}.pub`, `${repository}:signed`)).toBe(true)
    })
  })
})

describeWithPeers('keys of gpg', ['gpg'], () => {
  let sandbox: Sandbox
  const secrets = { theirs: '', ours: '' }
  const gpg = (secret: string, ...args: readonly string[]): Promise<{ stdout: string; stderr: string }> =>
    sandbox.succeed(peer('gpg'), [
      '--batch',
      '--pinentry-mode',
      'loopback',
      '--passphrase-file',
      secret,
      ...args,
    ])

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    secrets.theirs = await sandbox.write('theirs', 'their password\n')
    secrets.ours = await sandbox.write('ours', 'our password\n')
  })
  afterAll(() => sandbox.dispose())

  it.each(['rsa3072', 'ed25519', 'nistp256'])(
    '%s is imported, and gpg imports it again',
    async (algorithm) => {
      const user = `${algorithm}@example.com`
      await gpg(secrets.theirs, '--quick-generate-key', user, algorithm, 'sign', 'never')
      const file = sandbox.path(`${algorithm}.asc`)
      await gpg(secrets.theirs, '--armor', '--output', file, '--export-secret-keys', user)
      const prefix = sandbox.path(algorithm)
      const args = [
        'key',
        'import',
        file,
        '--output-key-prefix',
        prefix,
        '--import-password-file',
        secrets.theirs,
      ]
      const { stdout } = await cosignetDoes(sandbox, [...args, '--password-file', secrets.ours])
      expect(stdout).toContain('the one that signs')
      const { stdout: pub } = await gpg(secrets.theirs, '--armor', '--export', user)
      expect(await sandbox.read(`${algorithm}.gpg.pub`)).toBe(pub)
      expect((await cosignetDoes(sandbox, ['key', 'public', file])).stdout).toBe(pub)
      await importAndSign(`${prefix}.gpg.key`, user)
    },
  )

  it('made here are imported by gpg, and sign there', async () => {
    const args = ['key', 'generate', '--type', 'gpg', '--user-id', 'Made Here <made@example.com>']
    await cosignetDoes(sandbox, [
      ...args,
      '--password-file',
      secrets.ours,
      '--output-key-prefix',
      sandbox.path('made'),
    ])
    const home = await importAndSign(sandbox.path('made.gpg.key'), 'made@example.com')
    const { stdout } = await cosignetDoes(sandbox, [
      'key',
      'inspect',
      sandbox.path('made.gpg.pub'),
      '-o',
      'json',
    ])
    const [key] = (JSON.parse(stdout) as { keys: readonly { fingerprint: string; keyId: string }[] }).keys
    const list = ['--homedir', home, '--with-colons', '--list-keys', 'made@example.com']
    const { stdout: listed } = await gpg(secrets.ours, ...list)
    expect(listed).toContain(`fpr:::::::::${key?.fingerprint}:`)
    expect(listed).toMatch(new RegExp(`^pub:[^:]*:[^:]*:[^:]*:${key?.keyId}:`, 'm'))
  })

  /** In a keyring of its own, so that it is this file that signs. @returns its folder */
  async function importAndSign(file: string, user: string): Promise<string> {
    const home = sandbox.path(`home-${user}`)
    await sandbox.succeed('mkdir', ['-m', '700', home])
    await gpg(secrets.ours, '--homedir', home, '--import', file)
    const message = await sandbox.write('message', 'hello\n')
    const signed = sandbox.path(`signed-${user}`)
    await gpg(secrets.ours, '--homedir', home, '--local-user', user, '--output', signed, '--sign', message)
    const { stderr } = await gpg(secrets.ours, '--homedir', home, '--verify', signed)
    expect(stderr).toContain('Good signature')
    return home
  }
})
