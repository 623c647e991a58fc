import { describe, expect, it } from 'vitest'
import { encodeInitData, type InitData, parseInitData } from './initdata.ts'
import { resolveGuestConfig } from './initdata-resolve.ts'

const KBS = 'http://kbs.example:8080'
const AA = `[token_configs.kbs]\nurl = "${KBS}"\n`
const CDH = `[kbc]\nname = "cc_kbc"\nurl = "${KBS}"\n`
const POLICY_URI = 'kbs:///default/security-policy/test'
const PARAMS = `agent.aa_kbc_params=cc_kbc::${KBS} agent.image_policy_file=${POLICY_URI} agent.enable_signature_verification=true`

const initData = (files: Record<string, string>): InitData =>
  parseInitData(
    encodeInitData({ algorithm: 'sha256', data: new Map(Object.entries(files)) }),
    'The init data',
  )

const codes = (config: { readonly warnings: readonly { readonly code: string }[] }): string[] =>
  config.warnings.map(({ code }) => code)

describe('resolveGuestConfig', () => {
  it('accepts every image where nothing is said', () => {
    const config = resolveGuestConfig({})
    expect(config.kbs).toBeUndefined()
    expect(config.policy).toEqual({ kind: 'none' })
    expect(config.warnings.map(({ message }) => message)).toEqual([
      'The guest has no KBS: it reads resources from a file in its root file system.',
      'There is no image security policy: the guest accepts every image.',
    ])
  })

  it('follows kernel parameters where there is no init data', () => {
    const config = resolveGuestConfig({ kernelParams: PARAMS })
    expect(config.kbs).toEqual({ url: KBS, cert: undefined })
    expect(config.tokenKbs).toEqual({ url: KBS, cert: undefined })
    expect(config.policy).toEqual({ kind: 'uri', uri: POLICY_URI, from: 'kernel parameters' })
    expect(codes(config)).toEqual(['unbound-policy'])
  })

  it('follows the policy of kernel parameters where cdh.toml has no [image]', () => {
    const config = resolveGuestConfig({
      initData: initData({ 'aa.toml': AA, 'cdh.toml': CDH }),
      kernelParams: PARAMS.replaceAll('kbs.example', 'other.example'),
    })
    expect(config.kbs?.url).toBe(KBS)
    expect(config.policy).toMatchObject({ kind: 'uri', from: 'kernel parameters' })
  })

  it('drops the policy of kernel parameters as soon as cdh.toml has [image]', () => {
    const config = resolveGuestConfig({
      initData: initData({ 'aa.toml': AA, 'cdh.toml': `${CDH}[image]\n` }),
      kernelParams: `${PARAMS} cdh.kbs_resources=kbs:///a/b/c::/run/x agent.https_proxy=http://p`,
    })
    expect(config.policy).toEqual({ kind: 'none' })
    expect(config.registry.proxy).toBeUndefined()
    expect(config.credentials).toEqual([{ resourceUri: 'kbs:///a/b/c', path: '/run/x' }])
    expect(codes(config)).toEqual(['no-policy', 'ignored-setting'])
  })

  it('does not read the policy file without the switch', () => {
    const config = resolveGuestConfig({ kernelParams: PARAMS.replace('=true', '=True') })
    expect(config.policy).toEqual({ kind: 'none' })
    expect(codes(config)).toEqual(['no-policy', 'ignored-setting'])
  })

  it('prefers URIs for policy and signature stores, and the table for registries', () => {
    const image = `[image]
image_security_policy_uri = "${POLICY_URI}"
image_security_policy = "{}"
sigstore_config = "default-docker: {}"
registry_configuration_uri = "kbs:///default/registry/test"
[[image.registry_config.registry]]
location = "mirror.example"
`
    const config = resolveGuestConfig({ initData: initData({ 'aa.toml': AA, 'cdh.toml': CDH + image }) })
    expect(config.policy).toEqual({ kind: 'uri', uri: POLICY_URI, from: 'cdh.toml' })
    expect(config.sigstoreConfig).toEqual({ kind: 'inline', text: 'default-docker: {}' })
    expect(config.registry.configuration).toMatchObject({ registries: [{ location: 'mirror.example' }] })
    expect(config.warnings.map(({ message }) => message)).toEqual([
      'cdh.toml has image_security_policy_uri and image_security_policy: the guest ignores image_security_policy.',
      'cdh.toml has registry_config and registry_configuration_uri: the guest ignores registry_configuration_uri.',
    ])
  })

  it('accepts every image where the policy key is misspelt', () => {
    const cdh = `${CDH}[image]\nimage_security_policy_url = "${POLICY_URI}"`
    const config = resolveGuestConfig({ initData: initData({ 'aa.toml': AA, 'cdh.toml': cdh }) })
    expect(config.policy).toEqual({ kind: 'none' })
    expect(codes(config)).toEqual(['unknown-key', 'no-policy'])
  })

  const image = `[image]\nimage_security_policy_uri = "${POLICY_URI}"\n`
  it.each([
    [
      'aa.toml is missing',
      { 'cdh.toml': CDH + image },
      'no-kbs',
      'There is no aa.toml: the Attestation Agent',
    ],
    [
      'aa.toml has no KBS',
      { 'aa.toml': '', 'cdh.toml': CDH + image },
      'no-kbs',
      'aa.toml has no table [token_configs.kbs]: the Attestation Agent gets no token',
    ],
    [
      'the KBS differs',
      { 'aa.toml': AA.replace('8080', '8081'), 'cdh.toml': CDH + image },
      'kbs-mismatch',
      'CDH asks the KBS "http://kbs.example:8080" with a token of the Attestation Agent for "http://kbs.example:8081"',
    ],
    [
      'only one has the certificate',
      { 'aa.toml': `${AA}cert = "PEM"`, 'cdh.toml': CDH + image },
      'kbs-mismatch',
      'have different certificates',
    ],
    [
      'a file name is misspelt',
      { 'aa.toml': AA, 'cdh.toml': CDH + image, 'cdh.tml': '' },
      'unknown-file',
      'a file "cdh.tml", which the guest does not read. Is "cdh.toml" meant?',
    ],
    [
      'the policy URI is no resource',
      { 'aa.toml': AA, 'cdh.toml': `${CDH}[image]\nimage_security_policy_uri = "kbs:///policy"` },
      'bad-resource-uri',
      'The URI "kbs:///policy" has 1 path segments, not three',
    ],
  ])('warns where %s', (_, files, code, message) => {
    expect(resolveGuestConfig({ initData: initData(files) }).warnings).toEqual([
      { code, message: expect.stringContaining(message) },
    ])
  })

  it('takes a slash at the end of the KBS URL for the same KBS', () => {
    const aa = AA.replace('8080', '8080/')
    expect(
      resolveGuestConfig({ initData: initData({ 'aa.toml': aa, 'cdh.toml': CDH + image }) }).warnings,
    ).toEqual([])
  })

  it('refuses what CDH cannot start with', () => {
    expect(() => resolveGuestConfig({ kernelParams: 'agent.aa_kbc_params=cc_kbc' })).toThrowError(
      expect.objectContaining({ code: 'INVALID_CONFIG' }),
    )
    expect(() =>
      resolveGuestConfig({ initData: initData({ 'cdh.toml': '' }), kernelParams: PARAMS }),
    ).toThrowError(expect.objectContaining({ code: 'INVALID_CONFIG' }))
  })
})
