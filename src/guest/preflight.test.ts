import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { GuestBench, type ImageSpec, type PodSpec } from '../../test/fixtures/guest-bench.ts'
import { schemaProblems } from '../../test/fixtures/judged-image.ts'
import { SELF_SIGNED } from '../../test/fixtures/self-signed.ts'
import { encodeUtf8, isCosignetError } from '../core/index.ts'
import type { KbsClient } from '../kbs/index.ts'
import { generateKeyPair } from '../keys/index.ts'
import { serve } from '../net/index.ts'
import { type Digest, digestOf, MEDIA_TYPES } from '../oci/index.ts'
import type { ResourceProvider } from '../policy/index.ts'
import type { PreflightReport } from './index.ts'

let bench: GuestBench
let plain: Awaited<ReturnType<typeof serve>>
let count = 0

beforeAll(async () => {
  bench = await GuestBench.start()
  plain = await serve({ fetch: () => new Response('{}') }, { port: 0 })
})
afterEach(() => {
  bench.answer = () => undefined
})
afterAll(async () => {
  await Promise.all([bench.close(), plain.close()])
})

/** A repository that no other test uses. */
function fresh(): string {
  count += 1
  return `team/app${count}`
}

/** `allowed`, or the code of the denial; thrown errors by their code. Every verdict must be as its schema says. */
async function outcomesOf(pod: PodSpec): Promise<readonly string[]> {
  const report = await bench.judge(pod)
  return report.containers.map(({ verdict }) => {
    expect(schemaProblems(verdict)).toBe('')
    return verdict.outcome === 'allowed' ? 'allowed' : verdict.cause.code
  })
}

async function judgeOne(image: string, pod: Omit<PodSpec, 'images'> = {}): Promise<string> {
  try {
    return (await outcomesOf({ images: [image], ...pod })).join()
  } catch (error) {
    if (!isCosignetError(error)) throw error
    return `thrown ${error.code}`
  }
}

function textOf(report: PreflightReport): string {
  const verdict = report.containers[0]?.verdict
  return verdict?.outcome === 'denied' ? verdict.verifierText : ''
}

/** What a Pod shows, less the wrapper that `AllTasksTried` puts around every pull. */
async function reasonOf(image: string, pod: Omit<PodSpec, 'images'> = {}): Promise<string> {
  const text = textOf(await bench.judge({ images: [image], ...pod }))
  const wrapper =
    `Image Pull error: Failed to pull image ${image} from all mirror/mapping locations or original location: ` +
    `image: ${image}, error: `
  expect(text.slice(0, wrapper.length)).toBe(wrapper)
  return text.slice(wrapper.length)
}

const DENIED = 'Image policy rejected: Denied by policy: '
const MANIFEST = 'Errors happened when pulling image: failed to pull image manifest: '

describe('a signed image', () => {
  it.each<[string, ImageSpec]>([
    ['OCI', {}],
    ['docker', { docker: true }],
    [
      'a configuration of docker',
      { config: { container: 'x', config: { Image: 'y', Volumes: { '/v': {} } } } },
    ],
    ['two layers that are one', { layers: [{}, {}] }],
  ])('is allowed: %s', async (_, spec) => {
    expect(await judgeOne(await bench.putSigned(fresh(), spec))).toBe('allowed')
  })

  it('leaves a trace of every step', async () => {
    const report = await bench.judge({ images: [await bench.putSigned(fresh())] })
    expect(report.outcome).toBe('allowed')
    expect(report.trace.map(({ step, outcome }) => `${step} ${outcome}`)).toEqual([
      'initdata ok',
      'attest ok',
      'policy ok',
    ])
    const steps = report.containers[0]?.verdict.trace.map(({ step, outcome }) => `${step} ${outcome}`)
    expect(steps?.[0]).toBe('manifest ok')
    expect(steps?.slice(-2)).toEqual(['layer ok', 'decision ok'])
  })

  it('is allowed by digest, and by tag and digest', async () => {
    const repository = fresh()
    const image = await bench.putSigned(repository)
    const { digest } = await bench.client(repository).getManifest('v1')
    expect(await judgeOne(`${bench.host}/${repository}@${digest}`)).toBe('allowed')
    expect(await judgeOne(`${image}@${digest}`)).toBe('allowed')
    // The digest counts, whatever the tag says.
    expect(await judgeOne(`${bench.host}/${repository}:none@${digest}`)).toBe('allowed')
  })
})

describe('the policy', () => {
  it('rejects what it has no scope for', async () => {
    const image = await bench.putSigned(fresh())
    const policy = { default: [{ type: 'reject' }], transports: {} }
    expect(await judgeOne(image, { policy })).toBe('rejected-by-policy')
    expect(await reasonOf(image, { policy })).toBe(`${DENIED}Policy \`reject\` rejects image ${image}`)
  })

  it('rejects images that are unsigned or signed with another key', async () => {
    const unsigned = fresh()
    await bench.putImage(unsigned, {}, 'v1')
    const other = fresh()
    await bench.sign(other, await bench.putImage(other, {}, 'v1'), await generateKeyPair())
    const rejected = `${DENIED}rejected by \`sigstoreSigned\` rule`
    expect(await judgeOne(`${bench.host}/${unsigned}:v1`)).toBe('unsigned')
    expect(await reasonOf(`${bench.host}/${unsigned}:v1`)).toBe(rejected)
    expect(await judgeOne(`${bench.host}/${other}:v1`)).toBe('wrong-key')
    expect(await reasonOf(`${bench.host}/${other}:v1`)).toBe(rejected)
  })

  it('needs its key', async () => {
    expect(await judgeOne(await bench.putSigned(fresh()), { withoutKey: true })).toBe('key-missing')
  })

  it('is skipped for a configuration that the Pod has pulled, and only after it was pulled', async () => {
    const [signed, unsigned] = [fresh(), fresh()]
    const config = { author: 'both' }
    const first = await bench.putSigned(signed, { config })
    await bench.putImage(unsigned, { config }, 'v1')
    const second = `${bench.host}/${unsigned}:v1`
    expect(await outcomesOf({ images: [first, second] })).toEqual(['allowed', 'allowed'])
    expect(await outcomesOf({ images: [second, first] })).toEqual(['unsigned', 'allowed'])
  })

  it('accepts everything where there is none, and says so', async () => {
    const repository = fresh()
    await bench.putImage(repository, {}, 'v1')
    const report = await bench.judge({ images: [`${bench.host}/${repository}:v1`], image: '' })
    expect(report.outcome).toBe('allowed')
    expect(report.trace).toContainEqual(
      expect.objectContaining({
        outcome: 'warning',
        message: 'There is no image security policy: the guest accepts every image.',
      }),
    )
  })
})

describe('what the guest needs before its first pull', () => {
  const client = (reason: string): string => `Image Client error: ${reason}`
  const NOT_RELEASED = client('Initialize resource provider failed: Get resource failed: ttrpc request error')
  const AUTH = 'authenticated_registry_credentials_uri = "kbs:///default/credential/test"'
  const auth = (text: string): Partial<PodSpec> => ({
    image: AUTH,
    resources: { 'default/credential/test': text },
  })
  const credential = (uri: string): string =>
    `[kbc]\nname = "cc_kbc"\nurl = "http://kbs.test"\n[[credentials]]\nresource_uri = "${uri}"\n` +
    'path = "/run/confidential-containers/cdh/kbs/x"\n'

  it.each<[string, Partial<PodSpec>, string, string]>([
    ['no policy in the KBS', { policy: null }, 'policy-missing', NOT_RELEASED],
    [
      'a policy that is not JSON',
      { policy: '{' },
      'policy-invalid',
      client('Initialize signature validator failed: Invalid image policy file'),
    ],
    [
      'a policy without transports',
      { policy: { default: [] } },
      'policy-invalid',
      client('Initialize signature validator failed: Invalid image policy file'),
    ],
    ['no aa.toml', { aa: null }, 'policy-missing', NOT_RELEASED],
    ['an aa.toml without KBS', { aa: '[log]\n' }, 'policy-missing', NOT_RELEASED],
    [
      'a policy at a web address',
      { image: 'image_security_policy_uri = "https://example/policy"' },
      'policy-missing',
      client('Initialize resource provider failed: Resource URI scheme `https` not supported'),
    ],
    [
      'a policy at two segments',
      { image: 'image_security_policy_uri = "kbs:///default/test"' },
      'policy-missing',
      NOT_RELEASED,
    ],
    ['no log-ins in the KBS', { image: AUTH }, 'guest-config-invalid', NOT_RELEASED],
    [
      'log-ins of a helper',
      auth('{"auths":{"x":{}},"credHelpers":{}}'),
      'guest-config-invalid',
      client('Initialize auth module failed: Invalid registry auth file'),
    ],
    [
      'log-ins that are missing before the policy that is missing',
      {
        ...auth('{}'),
        policy: null,
        image: `${AUTH}\nimage_security_policy_uri = "kbs:///default/security-policy/test"`,
      },
      'guest-config-invalid',
      client('Initialize auth module failed: Invalid registry auth file'),
    ],
    [
      'a credential that is missing',
      { cdh: credential('kbs:///default/secret/none') },
      'guest-config-invalid',
      'timed out connecting to vsock',
    ],
    [
      'a credential that is a file',
      { cdh: credential('file:///etc/passwd') },
      'guest-config-invalid',
      'timed out connecting to vsock',
    ],
    [
      'a KBC that CDH does not know',
      { cdh: '[kbc]\nname = "kbs"\nurl = "http://kbs.test"\n', image: '' },
      'guest-config-invalid',
      'timed out connecting to vsock',
    ],
  ])('denies every image for %s', async (_, pod, code, text) => {
    const image = 'registry.invalid/team/app:v1'
    expect(await outcomesOf({ images: [image, image], ...pod })).toEqual([code, code])
    expect(textOf(await bench.judge({ images: [image], ...pod }))).toBe(text)
  })

  it.each<[string, Partial<PodSpec>, string]>([
    ['the KBS is down', { kbs: 'down' }, 'UNAVAILABLE'],
    ['the KBS refuses sample evidence', { kbs: 'refuses-sample' }, 'FORBIDDEN'],
    ['the KBS denies the resource', { kbs: 'denies' }, 'FORBIDDEN'],
    [
      'the policy is a file of the guest',
      { image: 'image_security_policy_uri = "file:///etc/policy.json"' },
      'UNSUPPORTED',
    ],
    ['resources lie in the guest', { cdh: '[kbc]\nname = "offline_fs_kbc"\n' }, 'UNSUPPORTED'],
    [
      'CDH and the Attestation Agent name two KBS',
      { aa: '[token_configs.kbs]\nurl = "http://other.test"\n' },
      'UNSUPPORTED',
    ],
    ['the policy is in a plugin', { image: 'image_security_policy_uri = "kbs+x:///a/b/c"' }, 'UNSUPPORTED'],
    [
      'registries are remapped',
      { image: '[image.registry_config]\nunqualified-search-registries = []' },
      'UNSUPPORTED',
    ],
    ['there is a sigstore configuration', { image: 'sigstore_config = "{}"' }, 'UNSUPPORTED'],
  ])('decides nothing where %s', async (_, pod, code) => {
    expect(await judgeOne('registry.invalid/team/app:v1', { withoutCa: true, ...pod })).toBe(`thrown ${code}`)
  })

  it('holds what stands in for the KBS to the same', async () => {
    const resources: ResourceProvider = async () => ({ outcome: 'found', bytes: encodeUtf8('{}') })
    const options = { resources }
    expect(await judgeOne('registry.invalid/a:v1', { options, aa: null })).toBe('policy-missing')
  })

  it('attests with the certificate of the Attestation Agent as well, where it is another', async () => {
    const attested: (string | undefined)[] = []
    const openKbs = (_: string, cert: string | undefined) =>
      ({
        attest: async () => attested.push(cert),
        getResource: async () => encodeUtf8('{}'),
      }) as unknown as KbsClient
    const cdh = '[kbc]\nname = "cc_kbc"\nurl = "http://kbs.test"\nkbs_cert = "B"\n'
    const aa = '[token_configs.kbs]\nurl = "http://kbs.test/"\ncert = "A"\n'
    expect(await judgeOne('a.test/a', { options: { openKbs }, cdh, aa })).toBe('policy-invalid')
    expect(attested).toEqual(['A', 'B'])
  })

  it('needs nothing of the KBS for an inline policy', async () => {
    const repository = fresh()
    const image = await bench.putSigned(repository)
    const policy = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }], transports: {} })
    expect(await judgeOne(image, { kbs: 'down', image: `image_security_policy = '${policy}'` })).toBe(
      'allowed',
    )
  })

  it('warns that no init data means no check', async () => {
    const repository = fresh()
    await bench.putImage(repository, {}, 'v1')
    const judged = await bench.judge({ images: [`${bench.host}/${repository}:v1`], withoutInitData: true })
    expect(judged.trace[0]).toEqual({
      step: 'initdata',
      outcome: 'warning',
      message: 'The Pod has no init data: nothing in it makes its guest check any image.',
    })
    expect(judged.containers[0]?.verdict).toMatchObject({ cause: { code: 'registry-untrusted' } })
  })
})

describe('the registry', () => {
  const url = (repository: string): string => `https://${bench.host}/v2/${repository}/manifests/v1`
  const error = (status: number, code: string, headers: Record<string, string> = {}): Response =>
    Response.json({ errors: [{ code, message: `said ${code}` }] }, { status, headers })

  it('is told from one that speaks plain HTTP, and from one that the guest does not trust', async () => {
    const image = `${plain.url.host}/team/app:v1`
    expect(await judgeOne(image)).toBe('registry-plain-http')
    expect(await reasonOf(image)).toBe(
      `${MANIFEST}error sending request for url (https://${plain.url.host}/v2/team/app/manifests/v1)`,
    )
    const repository = fresh()
    const signed = await bench.putSigned(repository)
    expect(await judgeOne(signed, { withoutCa: true })).toBe('registry-untrusted')
    expect(await reasonOf(signed, { withoutCa: true })).toBe(
      `${MANIFEST}error sending request for url (${url(repository)})`,
    )
    const [container] = (await bench.judge({ images: [signed], withoutCa: true })).containers
    expect(container?.verdict).toMatchObject({ cause: { fix: expect.stringContaining('--registry-ca') } })
  })

  it('does not have the image', async () => {
    const image = `${bench.host}/team/none:v1`
    bench.answer = (path) => (path.endsWith('/manifests/v1') ? error(404, 'MANIFEST_UNKNOWN') : undefined)
    expect(await judgeOne(image)).toBe('image-missing')
    expect(await reasonOf(image)).toBe(
      `${MANIFEST}Registry error: url ${url('team/none')}, envelope: OCI API errors: [OCI API error: said MANIFEST_UNKNOWN]`,
    )
  })

  it('refuses with 401, and with 403', async () => {
    bench.answer = () => error(401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="x"' })
    expect(await judgeOne(`${bench.host}/a/b:v1`)).toBe('registry-refused')
    expect(await reasonOf(`${bench.host}/a/b:v1`)).toBe(`${MANIFEST}Not authorized: url ${url('a/b')}`)
    bench.answer = () => error(403, 'DENIED')
    expect(await judgeOne(`${bench.host}/a/b:v1`)).toBe('registry-refused')
    expect(await reasonOf(`${bench.host}/a/b:v1`)).toBe(
      `${MANIFEST}Registry error: url ${url('a/b')}, envelope: OCI API errors: [OCI API error: said DENIED]`,
    )
  })

  it.each([429, 500, 502, 503])('leaves the decision open with status %i', async (status) => {
    bench.answer = (path) =>
      path.includes('/manifests/') ? error(status, 'UNKNOWN', { 'retry-after': '0' }) : undefined
    expect(await judgeOne(`${bench.host}/a/b:v1`)).toBe('thrown UNAVAILABLE')
  })

  it('leaves the decision open where it cannot be reached', async () => {
    expect(await judgeOne('127.0.0.1:1/a/b:v1')).toBe('thrown UNAVAILABLE')
  })

  it('leaves the decision open where its own certificate is the authority', async () => {
    const image = `extra_root_certificates = ["""\n${SELF_SIGNED}"""]`
    expect(await judgeOne('registry.test/a/b', { withoutCa: true, image })).toBe('thrown UNSUPPORTED')
  })

  it('gets the log-in of the auth.json where it asks for it', async () => {
    const image = await bench.putSigned(fresh())
    const password = Buffer.from('user:pass').toString('base64')
    const challenge = { 'www-authenticate': 'Basic realm="x"' }
    bench.answer = (_, headers) =>
      headers.get('authorization') === `Basic ${password}` ? undefined : error(401, 'UNAUTHORIZED', challenge)
    const pod = (auths: object): Partial<PodSpec> => ({
      image:
        'image_security_policy_uri = "kbs:///default/security-policy/test"\n' +
        'authenticated_registry_credentials_uri = "kbs:///default/credential/test"',
      resources: { 'default/credential/test': JSON.stringify({ auths }) },
    })
    const right = pod({ [bench.host]: { auth: password } })
    expect(await judgeOne(image, right)).toBe('allowed')
    expect(await judgeOne(image, pod({ 'other.test': { auth: password } }))).toBe('registry-refused')
    expect(await judgeOne(image, pod({ [bench.host]: { auth: 'dXNlcjp4' } }))).toBe('registry-refused')
    const broken = pod({ [bench.host]: { auth: 'dXNlcg==' } })
    expect(await judgeOne(image, broken)).toBe('guest-config-invalid')
    expect(await reasonOf(image, broken)).toBe(`Illegal registry auth for image ${image} from auth config`)
    // The guest asks /v2/ alone whether there is a log-in.
    bench.answer = (path, headers) =>
      path === '/v2/' || headers.get('authorization') === `Basic ${password}`
        ? undefined
        : error(401, 'UNAUTHORIZED', challenge)
    expect(await judgeOne(image, right)).toBe('registry-refused')
  })
})

describe('the manifest', () => {
  const platform = (architecture: string, os = 'linux', variant?: string): object => ({
    platform: { architecture, os, ...(variant === undefined ? {} : { variant }) },
  })

  async function putIndex(
    repository: string,
    entries: readonly { readonly digest: Digest; readonly platform?: unknown }[],
    mediaType: string = MEDIA_TYPES.ociIndex,
  ): Promise<string> {
    const manifests = entries.map((entry) => ({ mediaType: MEDIA_TYPES.ociManifest, size: 1, ...entry }))
    const digest = await bench.putManifest(repository, { mediaType, manifests }, 'v1')
    await bench.sign(repository, digest)
    return `${bench.host}/${repository}:v1`
  }

  it('is the first of an index with system and processor of the guest', async () => {
    const repository = fresh()
    const [other, first, second] = [
      await bench.putImage(repository, { config: { author: 'arm' } }),
      await bench.putImage(repository, { config: { author: 'first' } }),
      await bench.putImage(repository, { config: { author: 'second' } }),
    ]
    const image = await putIndex(repository, [
      { digest: other },
      { digest: other, ...platform('unknown', 'unknown') },
      { digest: other, ...platform('amd64', 'windows') },
      { digest: other, ...platform('arm64') },
      { digest: first, ...platform('amd64', 'linux', 'v3') },
      { digest: second, ...platform('amd64') },
    ])
    const report = await bench.judge({ images: [image] })
    expect(report.containers[0]?.verdict).toMatchObject({
      outcome: 'allowed',
      image: { manifestDigest: first, indexDigest: expect.stringMatching(/^sha256:/) },
    })
    expect(await judgeOne(image, { options: { architecture: 's390x' } })).toBe('platform-missing')
    expect(await reasonOf(image, { options: { architecture: 's390x' } })).toBe(
      `${MANIFEST}Image manifest not found: no entry found in image index manifest matching client's default platform`,
    )
  })

  it('is taken from a manifest list of docker', async () => {
    const repository = fresh()
    const digest = await bench.putImage(repository, { docker: true })
    const entry = { digest, ...platform('amd64') }
    expect(await judgeOne(await putIndex(repository, [entry], MEDIA_TYPES.dockerIndex))).toBe('allowed')
  })

  it('is not an index in an index', async () => {
    const repository = fresh()
    const inner = await bench.putManifest(repository, { mediaType: MEDIA_TYPES.ociIndex, manifests: [] })
    const image = await putIndex(repository, [{ digest: inner, ...platform('amd64') }])
    expect(await judgeOne(image)).toBe('image-invalid')
    expect(await reasonOf(image)).toBe(
      `${MANIFEST}Image manifest not found: received Image Index manifest instead`,
    )
  })

  it('has the digest by which it is asked for', async () => {
    const repository = fresh()
    const wanted = await bench.putImage(repository)
    const other = JSON.stringify({ schemaVersion: 2 })
    bench.answer = (path) =>
      path.endsWith(wanted)
        ? new Response(other, { headers: { 'content-type': MEDIA_TYPES.ociManifest } })
        : undefined
    const image = `${bench.host}/${repository}@${wanted}`
    expect(await judgeOne(image)).toBe('image-invalid')
    expect(await reasonOf(image)).toBe(
      `${MANIFEST}Digest error: Invalid digest. Expected ${wanted}, got ${digestOf(encodeUtf8(other))}`,
    )
  })

  it.each<[string, object]>([
    [
      'a subject of no possible size',
      { annotations: {}, subject: { mediaType: 'x', digest: `sha256:${'0'.repeat(64)}`, size: 1e30 } },
    ],
    ['an announced type that it denies', { mediaType: MEDIA_TYPES.ociIndex }],
    ['manifests as well', { manifests: [] }],
    ['another version', { schemaVersion: 1 }],
  ])('leaves the decision open with %s', async (_, manifest) => {
    expect(await judgeOne(await bench.putSigned(fresh(), { manifest: { ...manifest } }))).toBe(
      'thrown UNSUPPORTED',
    )
  })

  it('leaves the decision open where parts lie elsewhere', async () => {
    const repository = fresh()
    const config = await bench.putBlob(repository, encodeUtf8('{}'))
    const manifest = {
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, digest: config, size: 2, urls: ['https://a.test/'] },
      layers: [],
    }
    await bench.putManifest(repository, manifest, 'v1')
    expect(await judgeOne(`${bench.host}/${repository}:v1`)).toBe('thrown UNSUPPORTED')
  })

  it('is one that serde reads', async () => {
    const repository = fresh()
    const digest = await bench.putImage(repository)
    const strange = { architecture: 'amd64', os: 'linux', 'os.features': 'none' }
    const image = await putIndex(repository, [{ digest, platform: strange }])
    expect(await judgeOne(image)).toBe('image-invalid')
    expect(await reasonOf(image)).toBe(
      `${MANIFEST}Failed to parse manifest as Versioned object: data did not match any variant of untagged enum OciManifest`,
    )
  })
})

describe('the configuration', () => {
  it.each<[string, ImageSpec, string]>([
    ['without os', { config: { os: undefined } }, 'Internal error'],
    ['without architecture', { config: { architecture: undefined } }, 'Internal error'],
    ['without rootfs', { config: { rootfs: undefined } }, 'Internal error'],
    ['without the type of rootfs', { config: { rootfs: { diff_ids: [] } } }, 'Internal error'],
    ['with too few diff_ids', { config: { rootfs: { type: 'layers', diff_ids: [] } } }, 'Internal error'],
    ['with a list of labels', { config: { config: { Labels: [] } } }, 'Internal error'],
    ['that is not JSON', { configBytes: encodeUtf8('{') }, 'Internal error'],
    ['of windows', { config: { os: 'windows' } }, 'Failed to create bundle'],
    ['without a layer', { layers: [] }, 'Failed to create bundle'],
    [
      'that is not UTF-8',
      { configBytes: Uint8Array.of(0xff) },
      `${MANIFEST}Generic error: Some("Cannot not UTF8 compliant: invalid utf-8 sequence")`,
    ],
  ])('is refused %s', async (_, spec, reason) => {
    const image = await bench.putSigned(fresh(), spec)
    expect(await judgeOne(image)).toBe('image-invalid')
    expect(await reasonOf(image)).toBe(reason)
  })

  it('may name a layer wrongly that the Pod has unpacked before', async () => {
    const first = await bench.putSigned(fresh())
    const diffId = digestOf(encodeUtf8('another'))
    const second = await bench.putSigned(fresh(), { layers: [{ diffId }] })
    expect(await outcomesOf({ images: [second, first] })).toEqual(['layer-invalid', 'allowed'])
    expect(await outcomesOf({ images: [first, second] })).toEqual(['allowed', 'allowed'])
  })

  it('is looked at after the policy, unless it is not there', async () => {
    const repository = fresh()
    await bench.putImage(repository, { configBytes: encodeUtf8('{') }, 'v1')
    expect(await judgeOne(`${bench.host}/${repository}:v1`)).toBe('unsigned')
    const gone = await bench.putSigned(fresh())
    bench.answer = (path) => (path.includes('/blobs/') ? new Response(null, { status: 404 }) : undefined)
    expect(await judgeOne(gone)).toBe('image-missing')
    expect(await reasonOf(gone)).toMatch(
      /^Errors happened when pulling image: failed to pull image manifest: HTTP status client error \(404 Not Found\) for url \(https:\/\/127\.0\.0\.1:\d+\/v2\/team\/app\d+\/blobs\/sha256:[0-9a-f]{64}\)$/,
    )
  })

  it('may have another size than its descriptor says, as long as the digest is right', async () => {
    const repository = fresh()
    const config = encodeUtf8(
      JSON.stringify({ architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [] } }),
    )
    const digest = await bench.putBlob(repository, config)
    const manifest = {
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, digest, size: 1 },
      layers: [],
    }
    await bench.sign(repository, await bench.putManifest(repository, manifest, 'v1'))
    // It comes as far as the lack of layers.
    expect(await reasonOf(`${bench.host}/${repository}:v1`)).toBe('Failed to create bundle')
  })
})
