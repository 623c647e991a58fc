import { spawn } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { COMMANDS } from '../../src/cli/commands.ts'
import { encryptPrivateKey } from '../../src/keys/index.ts'
import { signingKeyOf } from '../../src/keys/signing-key.ts'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, MAIN, startRegistry } from './cosignet.ts'

let sandbox: Sandbox

beforeAll(async () => {
  sandbox = await Sandbox.create()
})
afterAll(() => sandbox.dispose())

/** How a registry is reached: what holds for all of them, and the flags of a side (skopeo's `--src-`, `--dest-`). */
const REGISTRIES = 'authfile tls-verify registry-ca retry-times'
const SIDE = ['creds', 'username', 'password', 'no-creds', 'registry-token', 'cert-dir']
const ONE_REGISTRY = `${REGISTRIES} ${SIDE.join(' ')}`
const BOTH_SIDES = ['src', 'dest'].flatMap((side) =>
  [...SIDE, 'tls-verify', 'authfile'].map((flag) => `${side}-${flag}`),
)
const TWO_REGISTRIES = `${REGISTRIES} ${BOTH_SIDES.join(' ')}`
const PLATFORM = 'override-os override-arch override-variant'
/** Of the commands that sign and verify. */
const SIGNED = `${REGISTRIES} insecure-skip-tls-verify creds no-creds registry-token cert-dir`
const SERVER = 'listen tls-cert tls-key storage'

/** Flags by command, as the documentation promises them; `--output`, `--debug` and `--help` are everywhere. */
const FLAGS: Readonly<Record<string, string>> = {
  'key generate': 'output-key-prefix type user-id password-file yes',
  'key import': 'output-key-prefix import-password-file password-file yes',
  'key export': 'to export-password-file insecure-plain out password-file',
  'key public': 'out password-file',
  'key inspect': 'password-file',
  'image build': `file platform quiet dest-daemon-host ${TWO_REGISTRIES}`,
  login: 'username password password-stdin get-login authfile cert-dir tls-verify registry-ca',
  logout: 'all authfile',
  'image push': `${SIGNED} platform entrypoint`,
  'image copy': `all ${PLATFORM} format preserve-digests remove-signatures policy resources sign-by sign-by-sigstore-private-key sign-passphrase-file sign-identity digestfile quiet src-daemon-host dest-daemon-host ${TWO_REGISTRIES}`,
  'image inspect': `raw config ${PLATFORM} ${ONE_REGISTRY} daemon-host`,
  'image list-tags': ONE_REGISTRY,
  'image digest': `${ONE_REGISTRY} daemon-host`,
  'image delete': `${ONE_REGISTRY} yes`,
  sign: `${SIGNED} key sign-by format annotations recursive identity upload output-signature output-payload output-bundle repository password-file rekor-url rekor-public-key daemon-host`,
  verify: `${SIGNED} key require annotations check-claims rekor-public-key offline cosign-exit-codes`,
  signatures: `key ${ONE_REGISTRY} daemon-host`,
  register: 'url kbs-ca auth-private-key admin-token-file key key-path policy policy-path replace',
  'initdata create': 'kbs-url kbs-cert policy-uri policy-file registry-ca algorithm out',
  'initdata inspect': '',
  'pod annotate': 'initdata workload out',
  preflight: 'resources architecture',
  'kbs serve': `${SERVER} admin-public-key insecure-http insecure-allow-sample-tee`,
  'kbs set-resource': 'url kbs-ca auth-private-key admin-token-file path resource-file',
  'kbs get-resource': 'url kbs-ca path initdata out',
  'kbs delete-resource': 'url kbs-ca auth-private-key admin-token-file path',
  'registry serve': `${SERVER} issue-ca htpasswd read-only`,
}

/** One letter for a flag, as skopeo, podman and docker have it. */
const LETTERS: Readonly<Record<string, string>> = {
  'key generate': 'y=yes',
  'key import': 'y=yes',
  'image build': 'f=file q=quiet',
  login: 'u=username p=password',
  logout: 'a=all',
  'image copy': 'a=all f=format q=quiet',
  'image delete': 'y=yes',
  sign: 'a=annotations r=recursive',
  verify: 'a=annotations',
}

describe('help', () => {
  it('is there for every command that there is', () => {
    expect(Object.keys(FLAGS)).toEqual(COMMANDS.map(({ name }) => name))
  })

  it.each(Object.entries(FLAGS))('of %s names each flag', async (name, flags) => {
    const { status, stdout, stderr } = await cosignet(sandbox, [...name.split(' '), '--help'])
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const named = [...stdout.matchAll(/^ +(?:-\w )? *\[?--([a-z-]+)\]?/gm)].map(([, flag]) => flag)
    const promised = flags.split(' ').filter((flag) => flag !== '')
    expect(named.filter((flag) => flag !== '').sort()).toEqual(
      [...promised, 'output', 'debug', 'help'].sort(),
    )
  })

  it.each(Object.entries(LETTERS))('of %s names each letter', async (name, letters) => {
    const text = await cosignetDoes(sandbox, [...name.split(' '), '--help'])
    const named = [...text.matchAll(/^ *-(\w) *\[?--([a-z-]+)\]?/gm)].map(
      ([, letter, flag]) => `${letter}=${flag}`,
    )
    expect(named.sort()).toEqual([...letters.split(' '), 'o=output', 'h=help'].sort())
  })

  it.each(['image copy', 'image build', 'image inspect', 'login'])(
    'of %s warns of secrets that others can see',
    async (name) => {
      const text = await cosignetDoes(sandbox, [...name.split(' '), '--help'])
      const secret = text.split('\n').filter((line) => /^ .*--[a-z-]*(?:creds|password|token)\]/.test(line))
      const seen = secret.filter((line) => !/no-creds/.test(line))
      expect(seen.length).toBeGreaterThan(0)
      for (const line of seen) expect(line).toContain('others on this machine can see it')
    },
  )

  it.each([[[]], [['--help']], [['help']], [['-h']]])(
    'of the whole lists every command: %j',
    async (args) => {
      const text = await cosignetDoes(sandbox, args)
      for (const { name, brief } of COMMANDS)
        expect(text).toMatch(new RegExp(`^  ${name} +${literally(brief)}$`, 'm'))
    },
  )

  it.each([[['kbs']], [['kbs', '--help']]])('of a noun lists its verbs alone: %j', async (args) => {
    const text = await cosignetDoes(sandbox, args)
    expect([...text.matchAll(/^ {2}(\w+ [\w-]+) /gm)].map(([, name]) => name)).toEqual([
      'kbs serve',
      'kbs set-resource',
      'kbs get-resource',
      'kbs delete-resource',
    ])
  })

  it('of image lists what can be done with one', async () => {
    const text = await cosignetDoes(sandbox, ['image'])
    const verbs = [...text.matchAll(/^ {2}image ([\w-]+) /gm)].map(([, verb]) => verb)
    expect(verbs).toEqual(['build', 'push', 'copy', 'inspect', 'list-tags', 'digest', 'delete'])
  })

  it('has a version', async () => {
    expect(await cosignetDoes(sandbox, ['--version'])).toMatch(/^cosignet \d+\.\d+\.\d+\n$/)
  })
})

/** Who reads the output is gone before it comes. */
describe('a closed pipe', () => {
  it.each([[[]], [['sign', '--help']], [['--version']]])('ends %j without a word', async (args) => {
    const { stderr, status } = await runWithClosed('stdout', args)
    expect(stderr).toBe('')
    expect([0, 3]).toContain(status)
  })

  it('of standard error does not turn a failure into a denial', async () => {
    const { status } = await runWithClosed('stderr', ['verify', '--key', 'missing', 'demo/app'])
    expect([2, 3]).toContain(status)
  })
})

describe('a key that guests cannot use', () => {
  it.each([
    [
      'P-384',
      { namedCurve: 'P-384' },
      /^WARN No guest will verify this signature: it wants sha384 with an ecdsa-p384 key/m,
    ],
    [
      'P-521',
      { namedCurve: 'P-521' },
      /^WARN No guest will verify this signature: it cannot read an ecdsa-p521 key/m,
    ],
    ['P-256', { namedCurve: 'P-256' }, /^(?![\s\S]*WARN)/],
  ])('is warned of: %s', async (name, curve, stderr) => {
    const registry = await startRegistry(sandbox)
    const image = `${registry}/demo/app:v1`
    await sandbox.write('app/hello', 'hello\n')
    await cosignetDoes(sandbox, ['image', 'push', 'app', image])
    const { privateKey } = generateKeyPairSync('ec', curve)
    await sandbox.write(`${name}.key`, await encryptPrivateKey(signingKeyOf(privateKey), Buffer.from('')))
    const outcome = await cosignet(sandbox, ['sign', '--key', `${name}.key`, image], { password: '' })
    expect(outcome).toMatchObject({ status: 0, stdout: expect.stringContaining('Signed') })
    expect(outcome.stderr).toMatch(stderr)
  })
})

async function runWithClosed(
  pipe: 'stdout' | 'stderr',
  args: readonly string[],
): Promise<{ status: number | null; stderr: string }> {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: sandbox.dir, env: sandbox.environment() })
  child[pipe].destroy()
  let stderr = ''
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString()
  })
  child.stdout.resume()
  const [status] = (await once(child, 'close')) as [number | null]
  return { status, stderr }
}

function literally(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}
