import { createPublicKey, verify } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { generateOpenPgpKey } from '../../src/keys/index.ts'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, startRegistry } from './cosignet.ts'

let sandbox: Sandbox
let registry: string
/** An index of two images. */
let image: string
let digests: readonly string[]

interface SignedRow {
  readonly reference: string
  readonly digest: string
  readonly format: string
  readonly signature?: string
  readonly store?: string
  readonly alreadySigned: boolean
  readonly content?: string
}

beforeAll(async () => {
  sandbox = await Sandbox.create()
  registry = await startRegistry(sandbox)
  image = `${registry}/team/app:v1`
  await sandbox.write('app/hello', 'hello\n')
  await cosignetDoes(sandbox, ['key', 'generate'])
  const { secretKey } = await generateOpenPgpKey({ userId: 'me@example.com', password: new Uint8Array() })
  await sandbox.write('me.gpg.key', secretKey)
  const locked = await generateOpenPgpKey({ userId: 'me@example.com', password: Buffer.from('secret') })
  await sandbox.write('locked.gpg.key', locked.secretKey)
  await cosignetDoes(sandbox, ['image', 'push', '--platform', 'linux/amd64,linux/arm64', 'app', image])
  const raw = await cosignetDoes(sandbox, ['image', 'inspect', '--raw', `docker://${image}`])
  const index = await cosignetDoes(sandbox, ['image', 'digest', `docker://${image}`])
  const { manifests } = JSON.parse(raw) as { manifests: { digest: string }[] }
  digests = [index.trim(), ...manifests.map(({ digest }) => digest)]
  for (const place of ['oci:layout:v1', 'dir:folder', 'oci-archive:image.tar', 'docker-archive:docker.tar']) {
    await cosignetDoes(sandbox, [
      'image',
      'copy',
      '-q',
      '--override-arch',
      'amd64',
      `docker://${image}`,
      place,
    ])
  }
})
afterAll(() => sandbox.dispose())

describe('sign', () => {
  it('signs an index and every image in it, or the index alone', async () => {
    expect((await sign(`${registry}/team/app:v1`)).map(({ digest }) => digest)).toEqual(digests)
    const alone = await sign('--recursive=false', '-a', 'only=index', `${registry}/team/app@${digests[0]}`)
    expect(alone.map(({ digest }) => digest)).toEqual([digests[0]])
  })

  it('shows what a tag stands for, and signs it once however often it is named', async () => {
    const args = ['sign', '--key', 'cosign.key', '-a', 'n=1', image, `docker://${image}`]
    const { stderr, stdout } = await cosignet(sandbox, args)
    expect(stderr).toContain(`Signing ${image}, which is ${digests[0]} now.\n`)
    expect(stderr).toContain('Nothing is uploaded to a transparency log.\n')
    expect(stdout.match(/^Signed|^Was signed/gm)).toHaveLength(6)
    const again = await sign('-a', 'n=1', image)
    expect(again.map(({ alreadySigned }) => alreadySigned)).toEqual([true, true, true])
  })

  it('prints the signature in the place of storing it', async () => {
    const target = `${registry}/team/app@${digests[1]}`
    const before = await tagsOf('team/app')
    const base64 = await cosignetDoes(sandbox, [
      'sign',
      '--key',
      'cosign.key',
      '--upload=false',
      '--identity',
      'r.example/a:b',
      target,
    ])
    expect(await tagsOf('team/app')).toEqual(before)
    const payload =
      '{"critical":{"identity":{"docker-reference":"r.example/a:b"},' +
      `"image":{"docker-manifest-digest":"${digests[1]}"},"type":"cosign container image signature"},"optional":null}`
    const key = createPublicKey(await sandbox.read('cosign.pub'))
    expect(verify('sha256', Buffer.from(payload), key, Buffer.from(base64, 'base64'))).toBe(true)
  })

  it('writes signature, payload and bundle to files, one for each manifest', async () => {
    const one = `${registry}/team/app@${digests[1]}`
    const files = ['--output-signature', 'sig', '--output-payload', 'payload', '--output-bundle', 'bundle']
    await sign('--format', 'both', ...files, one)
    const payload = await sandbox.read('payload')
    expect(JSON.parse(payload).critical.image).toEqual({ 'docker-manifest-digest': digests[1] })
    const key = createPublicKey(await sandbox.read('cosign.pub'))
    expect(
      verify('sha256', Buffer.from(payload), key, Buffer.from(await sandbox.read('sig'), 'base64')),
    ).toBe(true)
    expect(JSON.parse(await sandbox.read('bundle')).mediaType).toBe(
      'application/vnd.dev.sigstore.bundle.v0.3+json',
    )
    await sign('--format', 'both', '--upload=false', ...files, image)
    const names = (await readdir(sandbox.dir)).filter((name) => /^(?:sig|payload|bundle)-/.test(name)).sort()
    const expected = ['bundle', 'payload', 'sig'].flatMap((name) =>
      digests.map((digest) => `${name}-${digest.replace(':', '-')}`),
    )
    expect(names).toEqual(expected.sort())
  })

  it('tells a simple signature from the others by its key', async () => {
    const gpg = ['sign', '--key', 'me.gpg.key', '--upload=false', '--output-signature', 'message']
    await cosignetDoes(sandbox, [...gpg, '--identity', 'r.example/a:b', 'dir:folder'], { password: null })
    const message = await readFile(sandbox.path('message'))
    expect(message[0]).toBe(0xa3)
    await cosignetDoes(sandbox, ['sign', '--key', 'me.gpg.key', '--identity', 'r.example/a:b', 'dir:folder'])
    await sign('--identity', 'r.example/a:b', 'dir:folder')
    expect((await readFile(sandbox.path('folder/signature-1')))[0]).toBe(0xa3)
    expect((await readFile(sandbox.path('folder/signature-2'))).subarray(0, 15).toString()).toBe(
      '\0sigstore-json\n',
    )
  })

  it('puts signatures into a layout and takes them along from there', async () => {
    const made = await sign('--format', 'both', '--identity', `${registry}/team/moved`, 'oci:layout:v1')
    expect(made.map(({ format, alreadySigned }) => [format, alreadySigned])).toEqual([
      ['cosign', false],
      ['bundle', false],
    ])
    await cosignetDoes(sandbox, [
      'image',
      'copy',
      '-q',
      'oci:layout:v1',
      `docker://${registry}/team/moved:v1`,
    ])
    const again = await sign('--format', 'both', `${registry}/team/moved:v1`)
    expect(again.map(({ alreadySigned }) => alreadySigned)).toEqual([true, true])
  })

  it.each([['flag'], ['variable']])('stores signatures in another repository: by %s', async (by) => {
    const repository = `${registry}/signatures/by-${by}`
    const [flags, env] =
      by === 'flag' ? [['--repository', repository], {}] : [[], { COSIGN_REPOSITORY: repository }]
    const args = ['sign', '--recursive=false', '--key', 'cosign.key', ...flags, image]
    await cosignetDoes(sandbox, args, { env })
    expect(await tagsOf(`signatures/by-${by}`)).toEqual([`${digests[0]?.replace(':', '-')}.sig`])
  })

  it('signs what an archive will be in a registry', async () => {
    const repository = `${registry}/team/unpacked`
    const flags = ['--identity', repository, '--repository', repository]
    const [made] = await sign(...flags, 'docker-archive:docker.tar')
    await cosignetDoes(sandbox, [
      'image',
      'copy',
      '-q',
      'docker-archive:docker.tar',
      `docker://${repository}:v1`,
    ])
    expect(await cosignetDoes(sandbox, ['image', 'digest', `docker://${repository}:v1`])).toBe(
      `${made?.digest}\n`,
    )
    expect((await sign(`${repository}:v1`))[0]?.alreadySigned).toBe(true)
  })

  it.each([
    [[], 'Nothing says which key signs: give --key or --sign-by.'],
    [['--key', 'a', '--sign-by', 'b'], '--key and --sign-by contradict each other: one key signs.'],
    [['--sign-by', 'me'], '"me" is not a fingerprint of 40 hex characters.'],
    [
      ['--key', 'cosign.key', '--format', 'simple'],
      'A simple signature is made with an OpenPGP key, not with a key of cosign.',
    ],
    [
      ['--key', 'me.gpg.key', '--format', 'both'],
      'An OpenPGP key makes simple signatures, and none of the format both.',
    ],
    [['--key', 'cosign.key', '-a', 'b'], '"b" is not an annotation such as key=value.'],
    [
      ['--key', 'cosign.key', '--rekor-url', 'http://:pw@127.0.0.1:1'],
      '"http://…@127.0.0.1:1" is not the address of a transparency log.',
    ],
    [['--key', 'cosign.key', '--rekor-url', 'rekor'], '"rekor" is not the address of a transparency log.'],
    [
      ['--key', 'cosign.key', '--rekor-url', 'http://127.0.0.1:1'],
      'The public key of the log "http://127.0.0.1:1/" is not known.',
    ],
  ])('refuses %j', async (flags, message) => {
    const outcome = await cosignet(sandbox, ['sign', ...flags, `${registry}/team/app:v1`])
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr).toContain(`cosignet: ${message}\n`)
  })

  it.each([
    [
      'oci:layout',
      [],
      2,
      /^cosignet: oci:layout does not tell which repository the image is for\.\n {2}hint: .*--identity\.\n$/,
    ],
    [
      'oci-archive:image.tar',
      [],
      3,
      /^cosignet: oci-archive:image\.tar cannot hold signatures\.\n {2}hint: .*--repository.*--upload=false/,
    ],
    [
      'docker-archive:docker.tar',
      [],
      3,
      /^cosignet: docker-archive:docker\.tar cannot hold signatures\.\n {2}hint: .*--repository.*--upload=false/,
    ],
    ['dir:folder', ['--format', 'bundle'], 3, /^cosignet: dir:folder cannot hold a bundle\.\n {2}hint: /],
    [
      'oci:layout',
      ['--key', 'me.gpg.key', '--identity', 'r.example/a:b'],
      3,
      /^cosignet: oci:layout cannot hold simple signatures\.\n {2}hint: /,
    ],
  ])('says of %s with %j what stands against it', async (place, flags, status, stderr) => {
    const key = flags.includes('--key') ? [] : ['--key', 'cosign.key']
    const outcome = await cosignet(sandbox, ['sign', ...key, ...flags, place])
    expect(outcome).toMatchObject({ status, stdout: '', stderr: expect.stringMatching(stderr) })
  })

  it.each([
    [['sign', '--format', 'simple', '--key', 'cosign.key', 'a/b:c'], 'A simple signature is made with'],
    [['sign', '--output-bundle', 'b', '--key', 'cosign.key', 'a/b:c'], 'There is no bundle in the format'],
    [['sign', '--format', 'both', '--key', 'locked.gpg.key', 'a/b:c'], 'An OpenPGP key makes simple'],
    [
      ['image', 'copy', '--sign-by-sigstore-private-key', 'locked.gpg.key', 'dir:folder', 'docker://a/b:c'],
      'The private key "locked.gpg.key" is an OpenPGP key',
    ],
  ])('%j is refused before a password is asked for', async (args, message) => {
    const outcome = await cosignet(sandbox, args, { password: null })
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr).toContain(`cosignet: ${message}`)
  })

  it('says where a simple signature is kept', async () => {
    const gpg = ['sign', '--key', 'me.gpg.key', '--recursive=false']
    const one = `${registry}/team/app@${digests[1]}`
    const name = ['--identity', `${registry}/team/app:v1`]
    const text = `Signed (simple) ${one} in ${registry}/team/app\n`
    expect(await cosignetDoes(sandbox, [...gpg, ...name, one])).toBe(text)
    const again = JSON.parse(await cosignetDoes(sandbox, [...gpg, ...name, one, '-o', 'json']))
    expect(again.signed).toMatchObject([{ alreadySigned: true }])
    const inFolder = [...gpg, '--identity', 'r.example/where:v1', 'dir:folder', '-o', 'json']
    expect(JSON.parse(await cosignetDoes(sandbox, inFolder)).signed).toMatchObject([{ store: 'dir:folder' }])
  })

  it('says how to take away what is no signature at the tag of signatures', async () => {
    const tag = `${digests[0]?.replace(':', '-')}.sig`
    const target = `${registry}/team/index-at-tag`
    await cosignetDoes(sandbox, [
      'image',
      'copy',
      '-q',
      '--all',
      `docker://${image}`,
      `docker://${target}:v1`,
    ])
    await sandbox.write('other/hello', 'other\n')
    const two = ['--platform', 'linux/amd64,linux/arm64']
    await cosignetDoes(sandbox, ['image', 'push', ...two, 'other', `${target}:${tag}`])
    const outcome = await cosignet(sandbox, ['sign', '--key', 'cosign.key', `${target}:v1`])
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    const cure = /hint: If nobody needs it: cosignet (.*)\n/.exec(outcome.stderr)?.[1] ?? ''
    expect(cure).toBe(`image delete docker://${target}:${tag}`)
    await cosignetDoes(sandbox, [...cure.split(' '), '--yes'])
    expect((await sign(`${target}:v1`)).map(({ alreadySigned }) => alreadySigned)).toEqual([
      false,
      false,
      false,
    ])
  })

  it('says that a password is wrong, and moves no tag', async () => {
    const before = await tagsOf('team/app')
    const args = ['sign', '--key', 'cosign.key', '-a', 'wrong=password', image]
    const outcome = await cosignet(sandbox, args, { password: 'wrong' })
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(outcome.stderr).toContain('cannot be decrypted with the password given.')
    expect(await tagsOf('team/app')).toEqual(before)
  })
})

describe('image copy that signs', () => {
  const sigstore = ['--sign-by-sigstore-private-key', 'cosign.key']

  it('signs every manifest under the name that it gets', async () => {
    const target = `${registry}/copy/signed`
    const copied = await cosignetDoes(sandbox, [
      'image',
      'copy',
      '-q',
      '--all',
      '--remove-signatures',
      ...sigstore,
      `docker://${image}`,
      `docker://${target}:v1`,
    ])
    expect(copied).toContain('3 signature(s) made')
    const again = await sign(`${target}:v1`)
    expect(again.map(({ alreadySigned }) => alreadySigned)).toEqual([true, true, true])
  })

  it('leaves the name as it was where a password is wrong', async () => {
    const target = `${registry}/copy/kept:v1`
    await cosignetDoes(sandbox, ['image', 'copy', '-q', 'docker-archive:docker.tar', `docker://${target}`])
    const before = await cosignetDoes(sandbox, ['image', 'digest', `docker://${target}`])
    const copy = ['image', 'copy', '-q', ...sigstore, `docker://${image}`, `docker://${target}`]
    const outcome = await cosignet(sandbox, copy, { password: 'wrong' })
    expect(outcome).toMatchObject({ status: 2, stdout: '' })
    expect(await cosignetDoes(sandbox, ['image', 'digest', `docker://${target}`])).toBe(before)
    expect(await tagsOf('copy/kept')).toEqual(['v1'])
  })

  it.each([
    [
      ['--sign-identity', 'r.example/a:b'],
      'dir:new',
      2,
      'Nothing signs: give --sign-by or --sign-by-sigstore-private-key too.',
    ],
    [
      [...sigstore, '--sign-by', 'F', '--sign-passphrase-file', 'p'],
      'dir:new',
      2,
      '--sign-passphrase-file is for one key, and two are to sign.',
    ],
    [sigstore, 'dir:new', 2, 'dir:new gives the image no name to sign.'],
    [
      [...sigstore, '--sign-identity', 'r.example/a'],
      'dir:new',
      2,
      'The identity "r.example/a" of a simple signature needs a tag or digest.',
    ],
    [
      ['--sign-by-sigstore-private-key', 'me.gpg.key', '--sign-identity', 'r.example/a:b'],
      'dir:new',
      2,
      'The private key "me.gpg.key" is an OpenPGP key, not one of cosign.',
    ],
    [
      [...sigstore, '--sign-identity', 'r.example/a:b', '--remove-signatures'],
      'docker-archive:new',
      3,
      'docker-archive:new cannot hold signatures of cosign.',
    ],
  ])('refuses %j to %s', async (flags, target, status, message) => {
    const outcome = await cosignet(sandbox, ['image', 'copy', '-q', ...flags, `docker://${image}`, target])
    expect(outcome).toMatchObject({ status, stdout: '' })
    expect(outcome.stderr).toContain(`cosignet: ${message}\n`)
    expect(existsSync(sandbox.path('new'))).toBe(false)
  })
})

async function sign(...args: readonly string[]): Promise<readonly SignedRow[]> {
  const printed = await cosignetDoes(sandbox, ['sign', '--key', 'cosign.key', '-o', 'json', ...args])
  return (JSON.parse(printed) as { signed: readonly SignedRow[] }).signed
}

async function tagsOf(repository: string): Promise<readonly string[]> {
  const printed = await cosignetDoes(sandbox, [
    'image',
    'list-tags',
    '-o',
    'json',
    `docker://${registry}/${repository}`,
  ])
  return (JSON.parse(printed) as { tags: readonly string[] }).tags
}
