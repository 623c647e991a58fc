import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, MAIN, PASSWORD, startRegistry } from './cosignet.ts'

let sandbox: Sandbox
let registry: string

beforeAll(async () => {
  sandbox = await Sandbox.create()
  registry = await startRegistry(sandbox)
  await sandbox.write('app/hello', 'hello\n')
  await Promise.all([
    cosignetDoes(sandbox, ['key', 'generate']),
    cosignetDoes(sandbox, ['key', 'generate', '--output-key-prefix', 'other']),
    cosignetDoes(sandbox, ['key', 'generate', '--type', 'gpg', '--user-id', 'Release <r@example.com>']),
  ])
})
afterAll(() => sandbox.dispose())

interface Case {
  /** Where the image is; REGISTRY stands for that of the test. */
  readonly place: string
  /** Flags by which it is signed before. */
  readonly signed?: readonly string[]
  readonly verify: readonly string[]
  /** The code of the denial. */
  readonly code: string
  /** Where the signature is after the fix; default: as before. */
  readonly moved?: string
}

const COSIGN = ['--key', 'cosign.pub']
const OPENPGP = ['--key', 'cosign.gpg.pub']

const CASES: readonly (readonly [what: string, one: Case])[] = [
  ['no signature', { place: 'REGISTRY/fix/none:v1', verify: COSIGN, code: 'unsigned' }],
  [
    'another annotation',
    {
      place: 'REGISTRY/fix/annotation:v1',
      signed: ['--key', 'cosign.key', '-a', 'a=c'],
      verify: [...COSIGN, '-a', '"a=it\'s $HOME, so",b=1'],
      code: 'annotation-mismatch',
    },
  ],
  [
    'too few signers',
    {
      place: 'REGISTRY/fix/few:v1',
      signed: ['--key', 'cosign.key'],
      verify: [...COSIGN, '--key', 'other.pub', '--require', '2'],
      code: 'too-few-signers',
    },
  ],
  [
    'an OpenPGP key',
    {
      place: 'REGISTRY/fix/openpgp:v1',
      signed: ['--key', 'cosign.key'],
      verify: OPENPGP,
      code: 'wrong-key',
    },
  ],
  [
    'keys of two kinds',
    {
      place: 'REGISTRY/fix/both:v1',
      verify: [...COSIGN, ...OPENPGP, '--require', '2'],
      code: 'unsigned',
    },
  ],
  ['a layout', { place: 'oci:a layout:v1', verify: COSIGN, code: 'unsigned' }],
  ['a folder', { place: 'dir:a', verify: COSIGN, code: 'unsigned' }],
  ['a folder, by OpenPGP', { place: 'dir:b', verify: OPENPGP, code: 'unsigned' }],
  ['an archive', { place: 'oci-archive:c.tar', verify: COSIGN, code: 'unsigned', moved: 'oci:c' }],
  ['a layout, by OpenPGP', { place: 'oci:d:v1', verify: OPENPGP, code: 'unsigned', moved: 'dir:e' }],
]

describe('the fix that verify tells, typed into a shell', () => {
  it.each(CASES)('helps against %s', async (_, { place, signed, verify, code, moved }) => {
    const name = place.replace('REGISTRY', registry)
    const target = place.startsWith('REGISTRY/') ? name : `${registry}/fix/source:v1`
    await cosignetDoes(sandbox, ['image', 'push', 'app', target])
    if (name !== target) await cosignetDoes(sandbox, ['image', 'copy', '-q', `docker://${target}`, name])
    if (signed !== undefined) await cosignetDoes(sandbox, ['sign', ...signed, name])
    const before = await cosignet(sandbox, ['verify', '-o', 'json', ...verify, name])
    const { cause } = JSON.parse(before.stdout).verdicts[0]
    expect([before.status, cause.code]).toEqual([1, code])
    const typed = cause.fix
      .replaceAll('cosignet ', `${process.execPath} ${MAIN} `)
      .replaceAll(/REPOSITORY/g, 'registry.example/fix/app')
      .replaceAll('TAG', 'v1')
      .replaceAll(/(?:oci|dir):FOLDER/g, moved)
    await sandbox.succeed('sh', ['-c', typed], { env: { COSIGN_PASSWORD: PASSWORD, SSL_CERT_FILE: '' } })
    const after = await cosignet(sandbox, ['verify', ...verify, moved ?? name])
    expect(after).toMatchObject({ status: 0 })
  })
})
