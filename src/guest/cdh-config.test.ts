import { describe, expect, it } from 'vitest'
import { parseAaConfig } from './aa-config.ts'
import { parseCdhConfig } from './cdh-config.ts'
import { parseRegistriesConfig } from './cdh-config-registries.ts'

const messages = (warnings: readonly { readonly message: string }[]): string[] =>
  warnings.map(({ message }) => message)

describe('parseCdhConfig', () => {
  it('fills in what image-rs and CDH fill in', () => {
    expect(parseCdhConfig('[kbc]\nname = "offline_fs_kbc"\n\n[image]\n', 'cdh.toml')).toEqual({
      kbc: { name: 'offline_fs_kbc', url: '', cert: undefined },
      credentials: [],
      image: {
        workDir: '/run/kata-containers/image/',
        securityPolicyUri: undefined,
        securityPolicy: undefined,
        sigstoreConfigUri: undefined,
        sigstoreConfig: undefined,
        registryCredentialsUri: undefined,
        registriesUri: undefined,
        registries: undefined,
        maxConcurrentLayerDownloads: 3,
        proxy: undefined,
        extraRootCertificates: [],
      },
      socket: 'unix:///run/confidential-containers/cdh.sock',
      warnings: [],
    })
  })

  it('reads every field', () => {
    const config = parseCdhConfig(
      `
socket = "unix:///run/other.sock"
skip_sealed_secret_verification = true
[log]
level = "debug"
[aa]
aa_socket = "unix:///run/aa.sock"
[kbc]
name = "cc_kbc"
url = "https://kbs.example"
kbs_cert = "PEM"
[[credentials]]
resource_uri = "kbs:///default/test/file"
path = "/run/confidential-containers/cdh/kbs/test/file"
[image]
work_dir = "/run/image-rs"
image_security_policy_uri = "kbs:///default/security-policy/test"
image_security_policy = "{}"
sigstore_config_uri = "kbs:///default/sigstore-config/test"
sigstore_config = "x"
authenticated_registry_credentials_uri = "kbs:///default/credential/test"
registry_configuration_uri = "kbs:///default/registry/test"
max_concurrent_layer_downloads_per_image = 5
extra_root_certificates = ["cert1", "cert2"]
[image.image_pull_proxy]
https_proxy = "http://127.0.0.1:8080"
[image.registry_config]
[[image.registry_config.registry]]
prefix = "example.com/foo"
location = "internal.example/bar"
insecure = true
[[image.registry_config.registry.mirror]]
location = "mirror.example/foo"
`,
      'cdh.toml',
    )
    expect(config).toEqual({
      kbc: { name: 'cc_kbc', url: 'https://kbs.example', cert: 'PEM' },
      credentials: [
        { resourceUri: 'kbs:///default/test/file', path: '/run/confidential-containers/cdh/kbs/test/file' },
      ],
      image: {
        workDir: '/run/image-rs',
        securityPolicyUri: 'kbs:///default/security-policy/test',
        securityPolicy: '{}',
        sigstoreConfigUri: 'kbs:///default/sigstore-config/test',
        sigstoreConfig: 'x',
        registryCredentialsUri: 'kbs:///default/credential/test',
        registriesUri: 'kbs:///default/registry/test',
        registries: {
          unqualifiedSearchRegistries: ['docker.io'],
          registries: [
            {
              prefix: 'example.com/foo',
              location: 'internal.example/bar',
              insecure: true,
              blocked: false,
              mirrors: [{ location: 'mirror.example/foo', insecure: false }],
            },
          ],
        },
        maxConcurrentLayerDownloads: 5,
        proxy: { https: 'http://127.0.0.1:8080', http: undefined, no: undefined },
        extraRootCertificates: ['cert1', 'cert2'],
      },
      socket: 'unix:///run/other.sock',
      warnings: [],
    })
  })

  it('tells no table [image] from an empty one', () => {
    expect(parseCdhConfig('[kbc]\nname = "offline_fs_kbc"', 'cdh.toml').image).toBeUndefined()
  })

  it.each([
    ['image', 'image_security_policy_url', 'image_security_policy_uri'],
    ['image', 'security_policy', 'no key'],
    ['image', 'registry_config_uri', 'registry_configuration_uri'],
    ['image', 'extra_root_certificate', 'extra_root_certificates'],
    ['image', 'Sigstore_Config_URI', 'sigstore_config_uri'],
    ['image', 'socket', 'socket above the first table'],
    ['kbc', 'cert', 'kbs_cert in [kbc]'],
    ['kbc', 'image_security_policy_uri', 'image_security_policy_uri in [image]'],
  ])('warns of the key [%s] %s', (table, key, meant) => {
    const text =
      table === 'kbc'
        ? `[kbc]\nname = "cc_kbc"\n${key} = "x"`
        : `[kbc]\nname = "cc_kbc"\n[${table}]\n${key} = "x"`
    const { warnings } = parseCdhConfig(text, 'cdh.toml')
    const advice = meant === 'no key' ? '' : ` Is ${meant} meant?`
    expect(warnings).toEqual([
      {
        code: 'unknown-key',
        message: `cdh.toml has the key "${key}" in [${table}], which the guest ignores without a word.${advice}`,
      },
    ])
  })

  it('finds unknown keys in lists of tables', () => {
    const text = '[kbc]\nname = "cc_kbc"\n[[image.registry_config.registry]]\nlocation = "a"\nmirrors = 1'
    expect(messages(parseCdhConfig(text, 'cdh.toml').warnings)).toEqual([
      'cdh.toml has the key "mirrors" in [image.registry_config.registry], which the guest ignores without a word. Is mirror meant?',
    ])
  })

  it('stops counting unknown keys at 50', () => {
    const keys = Array.from({ length: 1000 }, (_, i) => `k${i} = 1\n`).join('')
    expect(parseCdhConfig(`${keys}[kbc]\nname = "cc_kbc"`, 'cdh.toml').warnings).toHaveLength(50)
  })

  it('converts as the guest does, and says so', () => {
    const text = '[kbc]\nname = "cc_kbc"\nurl = 5\n[image]\nmax_concurrent_layer_downloads_per_image = "7"'
    const config = parseCdhConfig(text, 'cdh.toml')
    expect(config.kbc.url).toBe('5')
    expect(config.image?.maxConcurrentLayerDownloads).toBe(7)
    expect(messages(config.warnings)).toEqual([
      'cdh.toml has a value of another type in kbc.url; the guest converts it.',
      'cdh.toml has a value of another type in image.max_concurrent_layer_downloads_per_image; the guest converts it.',
    ])
  })

  const kbc = '[kbc]\nname = "cc_kbc"\n'
  it.each([
    ['', 'kbc.name is missing'],
    ['[kbc]\nurl = "http://kbs"', 'kbc.name is missing'],
    ['kbc = "cc_kbc"', 'kbc is not a table'],
    ['[kbc]\nname = ["cc_kbc"]', 'kbc.name is not a string'],
    [`${kbc}url = "http://[fd00::1]:8080"`, '"illegal aa_kbc_params format: cc_kbc::http://[fd00::1]:8080"'],
    [`${kbc}[[credentials]]`, 'credentials[0].path is missing'],
    [`${kbc}[[credentials]]\npath = "/etc/passwd"`, 'the credential path "/etc/passwd" is not below'],
    [
      `${kbc}[[credentials]]\npath = "/run/confidential-containers/cdh/kbs/../x"`,
      'the credential path "/run/confidential-containers/cdh/kbs/../x" is not below',
    ],
    [`credentials = "x"\n${kbc}`, 'credentials is not a list'],
    [`image = true\n${kbc}`, 'image is not a table'],
    [`${kbc}[image]\nextra_root_certificates = "PEM"`, 'image.extra_root_certificates is not a list'],
    [
      `${kbc}[image]\nextra_root_certificates = [["PEM"]]`,
      'image.extra_root_certificates[0] is not a string',
    ],
    [`${kbc}[image]\nimage_pull_proxy = "http://p"`, 'image.image_pull_proxy is not a table'],
    [`${kbc}[image]\nmax_concurrent_layer_downloads_per_image = -1`, 'is not a whole number from 0'],
    [`${kbc}[image.registry_config]\nregistry = [{}]`, 'a registry has neither a prefix nor a location'],
    [`${kbc}[image.registry_config]\nregistry = [{prefix="*.a"}]`, 'has a wildcard and no location'],
    [`${kbc}[image.registry_config]\nregistry = [{prefix="a",mirror=[{}]}]`, 'mirror[0].location is missing'],
    [`skip_sealed_secret_verification = "maybe"\n${kbc}`, 'is not true or false'],
  ])('refuses %j', (text, message) => {
    expect(() => parseCdhConfig(text, 'cdh.toml')).toThrowError(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringContaining(message) }),
    )
  })

  it('says what the guest does', () => {
    expect(() => parseCdhConfig('', 'cdh.toml')).toThrowError(
      'cdh.toml is not valid: kbc.name is missing; CDH does not start, and the Pod times out.',
    )
    expect(() => parseCdhConfig('[kbc', 'cdh.toml')).toThrowError(
      expect.objectContaining({ code: 'INVALID_TOML', message: expect.stringContaining('line 1, column') }),
    )
  })
})

describe('parseAaConfig', () => {
  it('reads the tokens', () => {
    const text =
      '[token_configs.coco_as]\nurl = "http://as"\n[token_configs.kbs]\nurl = "https://kbs"\ncert = "PEM"'
    expect(parseAaConfig(text, 'aa.toml')).toEqual({
      kbs: { url: 'https://kbs', cert: 'PEM', teeKeyAlgorithm: 'ECDH-ES+A256KW-P256' },
      cocoAs: { url: 'http://as' },
      warnings: [],
    })
  })

  it('warns of the name that the certificate has in cdh.toml', () => {
    const { warnings } = parseAaConfig(
      '[token_configs.kbs]\nurl = "https://kbs"\nkbs_cert = "PEM"',
      'aa.toml',
    )
    expect(messages(warnings)).toEqual([
      'aa.toml has the key "kbs_cert" in [token_configs.kbs], which the guest ignores without a word. Is cert in [token_configs.kbs] meant?',
    ])
  })

  it.each([
    ['[token_configs.kbs]', 'token_configs.kbs.url is missing'],
    ['[token_configs.coco_as]', 'token_configs.coco_as.url is missing'],
    ['token_configs = 1', 'token_configs is not a table'],
    ['[token_configs.kbs]\nurl = "x"\ntee_key_algorithm = "RSA"', 'tee_key_algorithm "RSA" is not one of'],
    ['[eventlog_config]\ninit_pcr = "x"', 'eventlog_config.init_pcr is not a whole number'],
  ])('refuses %j', (text, message) => {
    expect(() => parseAaConfig(text, 'aa.toml')).toThrowError(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.stringContaining(message) }),
    )
  })
})

describe('parseRegistriesConfig', () => {
  it('reads the document and takes the location for a missing prefix', () => {
    const text = 'unqualified-search-registries = []\n[[registry]]\nlocation = "a.example"\nblocked = true'
    expect(parseRegistriesConfig(text, 'The registry configuration')).toEqual({
      unqualifiedSearchRegistries: [],
      registries: [
        { prefix: 'a.example', location: 'a.example', insecure: false, blocked: true, mirrors: [] },
      ],
    })
  })

  it('refuses a value that would be converted in cdh.toml', () => {
    expect(() =>
      parseRegistriesConfig('[[registry]]\nlocation = 5', 'The registry configuration'),
    ).toThrowError(expect.objectContaining({ code: 'INVALID_CONFIG' }))
  })
})
