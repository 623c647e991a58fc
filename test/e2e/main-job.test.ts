import { createHash, createPublicKey } from 'node:crypto'
import { cp, readFile, stat } from 'node:fs/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { Sandbox } from '../interop/sandbox.ts'
import { cosignet, cosignetDoes, listing, startKbs, startRegistry } from './cosignet.ts'

const ANNOTATION = 'io.katacontainers.config.hypervisor.cc_init_data'
const KEY_URI = 'kbs:///default/sig-public-key/test'
const POLICY_URI = 'kbs:///default/security-policy/test'
const REGISTRY_CA = ['--registry-ca', 'registry-ca.pem']

let sandbox: Sandbox
let registry: string
let kbs: string
let image: string
let admin: readonly string[]

/** The steps build on each other, in the order of the main job. */
describe('the main job', () => {
  beforeAll(async () => {
    sandbox = await Sandbox.create()
    const ca = sandbox.path('registry-ca.pem')
    ;[registry, kbs] = await Promise.all([startRegistry(sandbox, '--issue-ca', ca), startKbs(sandbox)])
    image = `${registry}/demo/app:v1`
    admin = ['--url', kbs, '--auth-private-key', 'kbs/admin.key']
    await sandbox.write('app/hello', 'hello\n')
  })
  afterAll(() => sandbox.dispose())

  it('makes a key pair', async () => {
    const { text, data } = await inEachFormat((format) => ['key', 'generate', ...prefixFor(format)])
    const fingerprint = await fingerprintOf('cosign.pub')
    expect(text).toContain(`Private key written to cosign.key\nPublic key written to cosign.pub`)
    expect(text).toContain(fingerprint)
    expect(data.json).toEqual({
      privateKey: 'json.key',
      publicKey: 'json.pub',
      algorithm: 'ecdsa-p256',
      fingerprint: await fingerprintOf('json.pub'),
    })
    expect(data.yaml).toMatchObject({ publicKey: 'yaml.pub', fingerprint: await fingerprintOf('yaml.pub') })
    expect((await stat(sandbox.path('cosign.key'))).mode & 0o777).toBe(0o600)
  })

  it('pushes a folder as an image for two platforms', async () => {
    const { text, data } = await inEachFormat(() => [
      ...['image', 'push', ...REGISTRY_CA, '--platform', 'linux/amd64,linux/arm64'],
      ...['--entrypoint', '/hello', 'app', image],
    ])
    expect(data.json).toMatchObject({
      reference: image,
      digest: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    })
    expect(data.yaml).toEqual(data.json)
    expect(text).toBe(`Pushed ${image}\n${registry}/demo/app@${(data.json as { digest: string }).digest}\n`)
  })

  it('signs the index and what is in it, once', async () => {
    const { text, data } = await inEachFormat(
      () => [...['sign', ...REGISTRY_CA, '--key', 'cosign.key', image]],
      0,
      /^Signing \S+, which is sha256:[0-9a-f]{64} now\.\nNothing is uploaded to a transparency log\.\n$/,
    )
    const { signed } = data.json as { signed: { reference: string; alreadySigned: boolean }[] }
    expect(signed.map(({ alreadySigned }) => alreadySigned)).toEqual([true, true, true])
    expect(data.yaml).toEqual(data.json)
    expect(text).toBe(signed.map(({ reference }) => `Signed ${reference}\n`).join(''))
  })

  it('verifies with the key, and not with another', async () => {
    const { text, data } = await inEachFormat(() => ['verify', ...REGISTRY_CA, '--key', 'cosign.pub', image])
    expect(text).toContain(`ALLOWED  ${image}\n`)
    expect(data.json).toMatchObject({ verdicts: [{ outcome: 'allowed', profile: 'cosign' }] })
    expect(data.yaml).toEqual(data.json)

    const other = await cosignet(sandbox, [
      'verify',
      ...REGISTRY_CA,
      '--key',
      'json.pub',
      '-o',
      'yaml',
      image,
    ])
    expect(other).toMatchObject({ status: 1, stderr: '' })
    expect(parse(other.stdout)).toMatchObject({ verdicts: [{ outcome: 'denied' }] })
  })

  it('registers the key and a policy of that key alone', async () => {
    const { text, data } = await inEachFormat((format) => [
      ...['register', ...admin, '--key', 'cosign.pub', ...(format === 'text' ? [] : ['--replace']), image],
    ])
    const fingerprint = await fingerprintOf('cosign.pub')
    expect(data.json).toEqual({ keyUri: KEY_URI, policyUri: POLICY_URI, fingerprint })
    expect(data.yaml).toEqual(data.json)
    expect(text).toBe(
      `Stored the key ${KEY_URI} (fingerprint ${fingerprint})\nStored the policy ${POLICY_URI}\n`,
    )
    expect(await resource('default/sig-public-key/test')).toBe(await sandbox.read('cosign.pub'))
    expect(JSON.parse(await resource('default/security-policy/test'))).toEqual({
      default: [{ type: 'reject' }],
      transports: {
        docker: {
          [`${registry}/demo/app`]: [
            { type: 'sigstoreSigned', keyPath: KEY_URI, signedIdentity: { type: 'matchRepository' } },
          ],
        },
      },
    })
  })

  it('registers over nothing that is there, unless it is told to', async () => {
    const before = await listing(sandbox.path('kbs'))
    const again = await cosignet(sandbox, ['register', ...admin, '--key', 'json.pub', image])
    expect(again).toMatchObject({ status: 2, stdout: '' })
    expect(again.stderr).toMatch(
      /^cosignet: The resource kbs:\/\/\/default\/sig-public-key\/test .* exists already\.\n {2}hint: .*--replace\.\n$/,
    )
    expect(await listing(sandbox.path('kbs'))).toEqual(before)
  })

  it('writes init data', async () => {
    const { text, data } = await inEachFormat(() => [
      ...['initdata', 'create', '--kbs-url', kbs, '--policy-uri', POLICY_URI, ...REGISTRY_CA],
      ...['--out', 'initdata.toml'],
    ])
    const digest = sha256(await readFile(sandbox.path('initdata.toml')))
    expect(data.json).toMatchObject({ algorithm: 'sha256', digest, files: ['aa.toml', 'cdh.toml'] })
    expect(data.yaml).toEqual(data.json)
    expect(text).toContain(`sha256 digest: ${digest}\n`)
    expect(text).toMatch(new RegExp(`snp HOSTDATA +${digest}\n`))
  })

  it('shows init data', async () => {
    const { text, data } = await inEachFormat(() => ['initdata', 'inspect', 'initdata.toml'])
    const digest = sha256(await readFile(sandbox.path('initdata.toml')))
    expect(data.json).toMatchObject({ initData: { digest }, kbs, policy: POLICY_URI, warnings: [] })
    expect(data.yaml).toEqual(data.json)
    expect(text).toContain(`\nKBS: ${kbs}\nImage policy: ${POLICY_URI}\n`)
  })

  it('puts it into a Pod and touches nothing else', async () => {
    const pod = `apiVersion: v1
kind: Pod
metadata:
  name: demo # a comment
spec:
  runtimeClassName: kata-qemu-coco-dev
  containers:
    - name: app
      image: ${image}
`
    await sandbox.write('pod.yaml', pod)
    const { text, data } = await inEachFormat(() => [
      'pod',
      'annotate',
      '--initdata',
      'initdata.toml',
      'pod.yaml',
    ])
    const digest = sha256(await readFile(sandbox.path('initdata.toml')))
    expect(data.json).toMatchObject({ file: 'pod.yaml', annotation: ANNOTATION, initData: { digest } })
    expect(data.yaml).toEqual(data.json)
    expect(text).toBe(`Set ${ANNOTATION} in pod.yaml\n`)
    const annotated = (await sandbox.read('pod.yaml')).split('\n')
    expect(pod.split('\n').every((line) => annotated.includes(line))).toBe(true)
  })

  it('foretells that the guest allows the Pod', async () => {
    const { text, data } = await inEachFormat(() => ['preflight', 'pod.yaml'])
    expect(text).toContain('ALLOWED  Pod demo\n')
    expect(text).toContain(`container app: ALLOWED  ${image}\n`)
    expect(data.json).toMatchObject({
      kind: 'PreflightList',
      outcome: 'allowed',
      pods: [{ workload: { kind: 'Pod', name: 'demo' }, containers: [{ verdict: { outcome: 'allowed' } }] }],
    })
    expect(data.yaml).toEqual(data.json)
  })

  it('foretells that the guest denies what another key signed, and says why', async () => {
    const other = `${registry}/demo/app:other`
    await sandbox.write('other/hello', 'other\n')
    await cosignetDoes(sandbox, ['image', 'push', ...REGISTRY_CA, 'other', other])
    await cosignetDoes(sandbox, ['sign', ...REGISTRY_CA, '--key', 'json.key', other])
    await sandbox.write('denied.yaml', (await sandbox.read('pod.yaml')).replace(image, other))
    const { text, data } = await inEachFormat(() => ['preflight', 'denied.yaml'], 1)
    expect(text).toMatch(/^DENIED {2}Pod demo\n/)
    expect(text).toMatch(/\n {2}Pod shows: .+\n {2}cause: .+\n {2}fix: .+\n/)
    expect(data.json).toMatchObject({ outcome: 'denied' })
    expect(data.yaml).toEqual(data.json)
  })

  it('judges from files where no KBS runs', async () => {
    await sandbox.write('resources/default/sig-public-key/test', await sandbox.read('cosign.pub'))
    await sandbox.write(
      'resources/default/security-policy/test',
      await resource('default/security-policy/test'),
    )
    // Nothing listens on the port of "discard".
    const noKbs = ['--kbs-url', 'http://127.0.0.1:9', '--policy-uri', POLICY_URI, ...REGISTRY_CA]
    await cosignetDoes(sandbox, ['initdata', 'create', ...noKbs, '--out', 'no-kbs.toml'])
    await cp(sandbox.path('pod.yaml'), sandbox.path('no-kbs.yaml'))
    await cosignetDoes(sandbox, ['pod', 'annotate', '--initdata', 'no-kbs.toml', 'no-kbs.yaml'])

    expect(await cosignet(sandbox, ['preflight', 'no-kbs.yaml'])).toMatchObject({ status: 3, stdout: '' })
    const { text, data } = await inEachFormat(() => ['preflight', '--resources', 'resources', 'no-kbs.yaml'])
    expect(text).toContain(`container app: ALLOWED  ${image}\n`)
    expect(data.yaml).toEqual(data.json)
  })

  it('pushes an OCI layout with the digest that it has', async () => {
    const manifest = await writeLayout()
    const reference = `${registry}/demo/layout:v1`
    const { text, data } = await inEachFormat(() => [
      'image',
      'push',
      ...REGISTRY_CA,
      'oci:layout',
      reference,
    ])
    expect(data.json).toMatchObject({ reference, digest: manifest })
    expect(data.yaml).toEqual(data.json)
    expect(text).toBe(`Pushed ${reference}\n${registry}/demo/layout@${manifest}\n`)
  })

  it('stores, reads and deletes resources', async () => {
    await sandbox.write('secret.bin', 'a secret\n')
    const stored = await inEachFormat((format) => [
      ...['kbs', 'set-resource', ...admin, '--path', `one/two/${format}`, '--resource-file', 'secret.bin'],
    ])
    expect(stored.text).toBe('Stored kbs:///one/two/text (9 bytes)\n')
    expect(stored.data.json).toEqual({ uri: 'kbs:///one/two/json', size: 9 })
    expect(stored.data.yaml).toEqual({ uri: 'kbs:///one/two/yaml', size: 9 })

    const read = await inEachFormat(() => ['kbs', 'get-resource', '--url', kbs, '--path', 'one/two/text'])
    expect(read.text).toBe('YSBzZWNyZXQK\n')
    expect(read.data.json).toEqual({ uri: 'kbs:///one/two/text', resource: 'YSBzZWNyZXQK' })
    expect(read.data.yaml).toEqual(read.data.json)
    await cosignetDoes(sandbox, [
      ...['kbs', 'get-resource', '--url', kbs, '--path', 'one/two/text', '--out', 'got.bin'],
      ...['--initdata', 'initdata.toml'],
    ])
    expect(await sandbox.read('got.bin')).toBe('a secret\n')
    expect((await stat(sandbox.path('got.bin'))).mode & 0o777).toBe(0o600)

    const deleted = await inEachFormat((format) => [
      'kbs',
      'delete-resource',
      ...admin,
      '--path',
      `one/two/${format}`,
    ])
    expect(deleted.text).toBe('Deleted kbs:///one/two/text\n')
    expect(deleted.data.json).toEqual({ uri: 'kbs:///one/two/json' })
    expect(deleted.data.yaml).toEqual({ uri: 'kbs:///one/two/yaml' })
    const gone = await cosignet(sandbox, ['kbs', 'get-resource', '--url', kbs, '--path', 'one/two/text'])
    expect(gone).toMatchObject({ status: 3, stdout: '' })
  })
})

type Format = 'text' | 'json' | 'yaml'

interface InEachFormat {
  readonly text: string
  readonly data: { readonly json: unknown; readonly yaml: unknown }
}

/** Runs a command once for each output format: first as text, which does the work where it can be done only once. */
async function inEachFormat(
  argsFor: (format: Format) => readonly string[],
  status = 0,
  stderr = /^$/,
): Promise<InEachFormat> {
  const run = async (format: Format): Promise<string> => {
    const outcome = await cosignet(sandbox, [...argsFor(format), '-o', format])
    expect(outcome).toMatchObject({ status, stderr: expect.stringMatching(stderr) })
    return outcome.stdout
  }
  const text = await run('text')
  const json: unknown = JSON.parse(await run('json'))
  const documents = parseAllDocuments(await run('yaml'), { version: '1.2' })
  expect(documents).toHaveLength(1)
  expect(documents[0]?.errors).toEqual([])
  return { text, data: { json, yaml: documents[0]?.toJS() } }
}

function prefixFor(format: Format): readonly string[] {
  return format === 'text' ? [] : ['--output-key-prefix', format]
}

async function fingerprintOf(name: string): Promise<string> {
  const key = createPublicKey(await sandbox.read(name))
  return sha256(key.export({ type: 'spki', format: 'der' }))
}

async function resource(path: string): Promise<string> {
  const printed = await cosignetDoes(sandbox, ['kbs', 'get-resource', '--url', kbs, '--path', path])
  return Buffer.from(printed, 'base64').toString()
}

/** Writes an image with an empty configuration and no layer. @returns the digest of its manifest */
async function writeLayout(): Promise<string> {
  const put = async (bytes: string): Promise<{ digest: string; size: number }> => {
    const hex = sha256(Buffer.from(bytes))
    await sandbox.write(`layout/blobs/sha256/${hex}`, bytes)
    return { digest: `sha256:${hex}`, size: bytes.length }
  }
  const config = await put('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
  const mediaType = 'application/vnd.oci.image.manifest.v1+json'
  const manifest = await put(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [],
    }),
  )
  await sandbox.write('layout/oci-layout', '{"imageLayoutVersion":"1.0.0"}')
  await sandbox.write(
    'layout/index.json',
    JSON.stringify({ schemaVersion: 2, manifests: [{ mediaType, ...manifest }] }),
  )
  return manifest.digest
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}
