import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import type { CommandRunner } from '../command.ts'
import { command as keyExport } from './key-export.ts'
import { command as keyGenerate } from './key-generate.ts'
import { command as keyImport } from './key-import.ts'
import { command as keyInspect } from './key-inspect.ts'
import { command as keyPublic } from './key-public.ts'

const printed = vi.hoisted(() => ({ stdout: '', stderr: '' }))
vi.mock('../standard-streams.ts', () => ({
  isInteractive: () => false,
  errorTerminal: () => undefined,
  writeOut: (text: string) => {
    printed.stdout += text
  },
  writeErr: (text: string) => {
    printed.stderr += text
  },
}))

const PASSWORD = 'canary-password'
const source = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const sourcePem = source.privateKey.export({ type: 'sec1', format: 'pem' })
const pub = source.publicKey.export({ type: 'spki', format: 'pem' })

let folder = ''
const at = (name: string): string => join(folder, name)

/** The files: `password`, `other`, `empty`, `source.pem`, and `a.key` and `a.pub` made from it. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cosignet-keys-'))
  await writeFile(at('password'), `${PASSWORD}\n`, { mode: 0o600 })
  await writeFile(at('other'), 'another-canary\n', { mode: 0o600 })
  await writeFile(at('empty'), '\n', { mode: 0o600 })
  await writeFile(at('source.pem'), sourcePem)
  const made = await run(keyImport, ['source.pem', '--output-key-prefix', 'a', '--password-file', 'password'])
  expect(made).toMatchObject({ status: 0, stderr: '' })
})
beforeEach(() => {
  vi.stubEnv('COSIGN_PASSWORD', undefined)
})
afterEach(() => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
})
afterAll(() => rm(folder, { recursive: true }))

describe('key import, export and public', () => {
  it('bring a key in and out again', async () => {
    expect(await readFile(at('a.pub'), 'utf8')).toBe(pub)
    const { stdout } = await run(keyExport, ['a.key', '--password-file', 'password'])
    expect(
      createPublicKey(createPrivateKey({ key: stdout, passphrase: PASSWORD })).equals(source.publicKey),
    ).toBe(true)
    const other = [
      'a.key',
      '--password-file',
      'password',
      '--export-password-file',
      'other',
      '--out',
      'out.pem',
    ]
    expect(await run(keyExport, other)).toMatchObject({ status: 0 })
    expect((await stat(at('out.pem'))).mode & 0o777).toBe(0o600)
    const exported = await readFile(at('out.pem'), 'utf8')
    expect(
      createPublicKey(createPrivateKey({ key: exported, passphrase: 'another-canary' })).equals(
        source.publicKey,
      ),
    ).toBe(true)
  })

  it('print a private key as it is only where two flags say so', async () => {
    const args = ['a.key', '--password-file', 'password', '--to', 'pkcs8', '--insecure-plain']
    const { stdout } = await run(keyExport, args)
    expect(stdout).toBe(source.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  })

  it.each(['a.key', 'a.pub', 'source.pem'])('print the public key of %s', async (name) => {
    const { stdout } = await run(keyPublic, [name, '--password-file', 'password'])
    expect(stdout).toBe(pub)
  })

  it('ask for no password where none is needed', async () => {
    for (const name of ['a.pub', 'source.pem']) expect((await run(keyPublic, [name])).stdout).toBe(pub)
  })
})

describe('key generate', () => {
  it('makes an OpenPGP key beside that of cosign, and says who verifies it', async () => {
    const args = ['--type', 'gpg', '--user-id', 'A <a@example.com>', '--output-key-prefix', 'a']
    const made = await run(keyGenerate, [...args, '--password-file', 'password'])
    expect(made).toMatchObject({ status: 0, stderr: '' })
    expect(made.stdout).toContain('A guest verifies with the primary key only')
    expect((await stat(at('a.gpg.key'))).mode & 0o777).toBe(0o600)
    expect(await readFile(at('a.pub'), 'utf8')).toBe(pub)
    const { stdout } = await run(keyInspect, ['a.gpg.key', '-o', 'json'])
    const [fingerprint] = /\b[0-9A-F]{40}\b/.exec(made.stdout) ?? []
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ format: 'openpgp', secret: true },
      keys: [
        { fingerprint, keyId: fingerprint?.slice(-16), userIds: ['A <a@example.com>'], signingSubkeys: [] },
      ],
    })
  })
})

describe('key inspect', () => {
  it('tells of a sealed key what can be told, and of an open one the rest', async () => {
    const sealed = await run(keyInspect, ['a.key'])
    expect(sealed).toMatchObject({ status: 0, stderr: '' })
    expect(sealed.stdout).toContain('scrypt (N=65536, r=8, p=1), nacl/secretbox')
    expect(sealed.stdout).toContain('cosign 2.2 and later')
    expect(sealed.stdout).not.toContain('SPKI')
    const { stdout } = await run(keyInspect, ['a.key', '--password-file', 'password', '-o', 'json'])
    const open = await run(keyInspect, ['a.pub', '-o', 'json'])
    const { fingerprints, verifiers } = JSON.parse(open.stdout)
    expect(JSON.parse(stdout)).toMatchObject({ algorithm: 'ecdsa-p256', fingerprints, verifiers })
    expect(Buffer.from(fingerprints.cosignHint, 'base64').toString('hex')).toBe(fingerprints.spkiSha256)
  })

  it('goes on where COSIGN_PASSWORD is that of another key', async () => {
    vi.stubEnv('COSIGN_PASSWORD', 'another-canary')
    const { status, stdout, stderr } = await run(keyInspect, ['a.key'])
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `WARN The key ${JSON.stringify(at('a.key'))} is not opened by COSIGN_PASSWORD.\n`,
    })
    expect(stdout).toContain('nacl/secretbox')
  })
})

describe('a key command that fails', () => {
  const user = ['--type', 'gpg', '--user-id', 'A']
  it.each<[string, CommandRunner, readonly string[], RegExp]>([
    ['no user ID', keyGenerate, ['--type', 'gpg'], /--user-id is missing/],
    [
      'a user ID of two lines',
      keyGenerate,
      ['--type', 'gpg', '--user-id', 'A\nB', '--output-key-prefix', 'b', '--password-file', 'password'],
      /one line/,
    ],
    ['a user ID for cosign', keyGenerate, ['--user-id', 'A'], /--user-id is for --type gpg/],
    ['a place for an OpenPGP key', keyGenerate, [...user, 'k8s://a/b'], /goes into files/],
    [
      'a place that is none',
      keyGenerate,
      ['env://A', '--password-file', 'password'],
      /no place that a key pair/,
    ],
    [
      'a pair that is there',
      keyGenerate,
      ['--output-key-prefix', 'a', '--password-file', 'password'],
      /exists already/,
    ],
    ['no password', keyGenerate, ['--output-key-prefix', 'b'], /COSIGN_PASSWORD is not set/],
    [
      'a key that is no private key',
      keyImport,
      ['a.pub', '--password-file', 'password'],
      /it is a public key/,
    ],
    [
      'no password of the file',
      keyImport,
      ['a.key', '--password-file', 'password'],
      /is encrypted, and there is no terminal/,
    ],
    [
      'a wrong password of the file',
      keyImport,
      ['a.key', '--import-password-file', 'other', '--password-file', 'password'],
      /cannot be decrypted/,
    ],
    ['one flag of two', keyExport, ['a.key', '--to', 'pkcs8'], /together or not at all/],
    ['the other flag', keyExport, ['a.key', '--insecure-plain'], /together or not at all/],
    [
      'a password for nothing',
      keyExport,
      ['a.key', '--to', 'pkcs8', '--insecure-plain', '--export-password-file', 'other'],
      /contradict/,
    ],
    [
      'an empty password',
      keyExport,
      ['a.key', '--password-file', 'password', '--export-password-file', 'empty'],
      /empty password/,
    ],
    [
      'a file that is there',
      keyExport,
      ['a.key', '--password-file', 'password', '--out', 'a.pub'],
      /exists already/,
    ],
    ['a wrong password', keyExport, ['a.key', '--password-file', 'other'], /cannot be decrypted/],
    [
      'a wrong password that was named',
      keyInspect,
      ['a.key', '--password-file', 'other'],
      /cannot be decrypted/,
    ],
    ['a key in a KMS', keyInspect, ['awskms://key'], /not supported/],
    ['what is no key', keyPublic, ['password'], /holds no PEM block/],
  ])('says so of %s, changes nothing and tells no secret', async (_, command, args, message) => {
    const before = await contents()
    const { status, stdout, stderr } = await run(command, args)
    expect(stderr).toMatch(message)
    expect([2, 3]).toContain(status)
    expect(stdout).toBe('')
    expect(stderr).not.toContain('canary')
    expect(await contents()).toEqual(before)
  })
})

async function contents(): Promise<readonly (readonly [string, string])[]> {
  const names = (await readdir(folder)).sort()
  return await Promise.all(names.map(async (name) => [name, await readFile(at(name), 'base64')] as const))
}

/** Runs a command where nobody sits; what names a file of the folder, or a new one there, is made a path. */
async function run(
  command: CommandRunner,
  args: readonly string[],
): Promise<{ status: number; stdout: string; stderr: string }> {
  Object.assign(printed, { stdout: '', stderr: '' })
  const known = new Set([...(await readdir(folder)), 'a', 'b', 'out.pem'])
  const paths = args.map((arg) => (known.has(arg) ? at(arg) : arg))
  const status = await command({ name: 'cosignet key', args: paths, signal: new AbortController().signal })
  return { status, ...printed }
}
