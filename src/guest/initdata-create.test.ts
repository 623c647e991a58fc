import { parse } from 'smol-toml'
import { describe, expect, it } from 'vitest'
import { type CreateInitDataOptions, createInitData } from './initdata-create.ts'
import { resolveGuestConfig } from './initdata-resolve.ts'

// openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=kbs.example -days 36500
const CERT = `-----BEGIN CERTIFICATE-----
MIIBgjCCASmgAwIBAgIUfIf4GYifJgvtGLk77BKjkNdtYdwwCgYIKoZIzj0EAwIw
FjEUMBIGA1UEAwwLa2JzLmV4YW1wbGUwIBcNMjYxMTIyMTg0NjExWhgPMjEyNjEw
MjkxODQ2MTFaMBYxFDASBgNVBAMMC2ticy5leGFtcGxlMFkwEwYHKoZIzj0CAQYI
KoZIzj0DAQcDQgAEOZFPlovLNbUvp5FxjYWRxn+FVOnUt4Hzswd69Bvve2s+oOIX
+FWQOV/fkOKMCCuUX3TpeXI1Uk7QURHifLejxqNTMFEwHQYDVR0OBBYEFIC4vdBO
oQnppdGEvznU3pLgZ7kDMB8GA1UdIwQYMBaAFIC4vdBOoQnppdGEvznU3pLgZ7kD
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgHEFF6f+mYjPSzauX
0oQ1/vB5fwkFZ28NDTHW/vfrRBECIBKGWv2aK0/ncHQRw3rYohlC6m8yhjP/Bwo2
dGCzQNzd
-----END CERTIFICATE-----
`
const POLICY = '{\n  "default": [{ "type": "reject" }],\n  "transports": { "docker": { "a\\\\b": [] } }\n}\n'

const base: CreateInitDataOptions = {
  kbsUrl: 'http://kbs.example:8080',
  policy: { uri: 'kbs:///default/security-policy/test' },
  algorithm: 'sha256',
}

const files = (options: CreateInitDataOptions) => {
  const { data } = createInitData(options)
  return { aa: parse(data.get('aa.toml') ?? ''), cdh: parse(data.get('cdh.toml') ?? '') }
}

describe('createInitData', () => {
  it('says what the file of the guide says', () => {
    const { aa, cdh } = files(base)
    expect(aa).toEqual({
      token_configs: { coco_as: { url: 'http://kbs.example:8080' }, kbs: { url: 'http://kbs.example:8080' } },
    })
    expect(cdh).toEqual({
      socket: 'unix:///run/confidential-containers/cdh.sock',
      credentials: [],
      kbc: { name: 'cc_kbc', url: 'http://kbs.example:8080' },
      image: { image_security_policy_uri: 'kbs:///default/security-policy/test' },
    })
  })

  it('carries certificates and an inline policy unchanged, and readable', () => {
    const options = {
      ...base,
      kbsUrl: 'https://kbs.example',
      kbsCert: `subject=CN = kbs.example\n${CERT}`,
      policy: { inline: POLICY },
      registryCa: [CERT, CERT],
    }
    const { aa, cdh } = files(options)
    expect(aa).toHaveProperty('token_configs.kbs.cert', CERT)
    expect(cdh).toHaveProperty('kbc.kbs_cert', CERT)
    expect(cdh).toHaveProperty('image', {
      image_security_policy: POLICY,
      extra_root_certificates: [CERT, CERT],
    })
    expect(createInitData(options).data.get('cdh.toml')).toContain('  "default": [{ "type": "reject" }],\n')
  })

  it('writes no table [image] where it would be empty', () => {
    expect(files({ ...base, policy: undefined }).cdh).not.toHaveProperty('image')
  })

  it('gives the same bytes for the same options', () => {
    expect(createInitData(base).bytes).toEqual(createInitData({ ...base }).bytes)
  })

  it('is taken by the guest without a warning', () => {
    expect(resolveGuestConfig({ initData: createInitData(base) })).toMatchObject({
      kbs: { url: 'http://kbs.example:8080' },
      tokenKbs: { url: 'http://kbs.example:8080' },
      policy: { kind: 'uri', uri: 'kbs:///default/security-policy/test', from: 'cdh.toml' },
      warnings: [],
    })
  })

  it.each<[Partial<CreateInitDataOptions>, string, string]>([
    [{ kbsUrl: 'kbs.example:8080' }, 'INVALID_CONFIG', '"kbs.example:8080" is not an http or https URL'],
    [{ kbsUrl: 'ftp://kbs' }, 'INVALID_CONFIG', 'is not an http or https URL'],
    [{ kbsUrl: 'http://' }, 'INVALID_CONFIG', 'is not an http or https URL'],
    [{ kbsUrl: 'http://[fd00::1]:8080' }, 'INVALID_CONFIG', 'has "::" in it'],
    [{ kbsUrl: 'http://user:secret@kbs' }, 'INVALID_CONFIG', 'has a user name or password in it.'],
    [{ kbsUrl: 'http://kbs/?a' }, 'INVALID_CONFIG', 'has a query or fragment'],
    [{ kbsUrl: 'http://kbs\n' }, 'INVALID_CONFIG', 'has a space or control character'],
    [{ kbsCert: 'PEM' }, 'INVALID_CONFIG', 'for the KBS is not one PEM certificate: 0 found'],
    [{ kbsCert: CERT + CERT }, 'INVALID_CONFIG', 'is not one PEM certificate: 2 found'],
    [{ kbsCert: CERT.replace('MIIB', 'AAAA') }, 'INVALID_CONFIG', 'for the KBS cannot be read'],
    [
      { registryCa: [`${CERT}-----BEGIN EC PRIVATE KEY-----\nAA\n-----END EC PRIVATE KEY-----\n`] },
      'INVALID_CONFIG',
      'for a registry comes with a private key',
    ],
    [
      { policy: { uri: 'kbs:///a/b' } },
      'INVALID_RESOURCE_PATH',
      '"kbs:///a/b" has 2 path segments, not three',
    ],
    [{ policy: { uri: 'kbs:///a/b/c/d' } }, 'INVALID_RESOURCE_PATH', 'has 4 path segments'],
    [{ policy: { uri: 'kbs:///a//c' } }, 'INVALID_RESOURCE_PATH', 'has a segment that a KBS does not store'],
    [
      { policy: { uri: 'kbs:///a/../c' } },
      'INVALID_RESOURCE_PATH',
      'has a segment that a KBS does not store',
    ],
    [{ policy: { uri: 'kbs://' } }, 'INVALID_RESOURCE_PATH', 'has no path'],
    [
      { policy: { uri: 'https://a/b/c' } },
      'INVALID_RESOURCE_PATH',
      'is neither a kbs:/// nor a file:/// URI',
    ],
    [{ policy: { uri: 'file://etc/policy.json' } }, 'INVALID_RESOURCE_PATH', 'is neither'],
    [{ policy: { inline: '{' } }, 'INVALID_JSON', 'The inline policy is not JSON'],
  ])('refuses %j', (change, code, message) => {
    expect(() => createInitData({ ...base, ...change })).toThrowError(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
  })

  it('does not repeat a password', () => {
    expect(() => createInitData({ ...base, kbsUrl: 'http://user:canary@kbs' })).toThrowError(
      expect.not.objectContaining({ message: expect.stringContaining('canary') }),
    )
  })
})
