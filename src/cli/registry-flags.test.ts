import { describe, expect, it } from 'vitest'
import { registryFlags, registrySettings } from './registry-flags.ts'

describe('flags for registries', () => {
  it('are spelled as skopeo spells them', () => {
    const names = [
      'creds',
      'username',
      'password',
      'noCreds',
      'registryToken',
      'certDir',
      'tlsVerify',
      'authfile',
    ]
    expect(Object.keys(registryFlags(''))).toEqual(names)
    expect(Object.keys(registryFlags('src'))).toEqual([
      'srcCreds',
      'srcUsername',
      'srcPassword',
      'srcNoCreds',
      'srcRegistryToken',
      'srcCertDir',
      'srcTlsVerify',
      'srcAuthfile',
    ])
  })

  it('of a side come before those of all', () => {
    const flags = {
      srcCreds: 'u:p:q',
      destNoCreds: true,
      destTlsVerify: true,
      destAuthfile: 'dest.json',
      destRegistryToken: 't',
      destCertDir: 'certs',
      tlsVerify: false,
      authfile: 'all.json',
      registryCa: 'ca.pem',
      retryTimes: '0',
    }
    expect(registrySettings('src', flags)).toEqual({
      creds: { username: 'u', password: 'p:q' },
      tlsVerify: false,
      authfile: 'all.json',
      registryCa: 'ca.pem',
      retries: 0,
    })
    expect(registrySettings('dest', flags)).toEqual({
      creds: 'none',
      registryToken: 't',
      certDir: 'certs',
      tlsVerify: true,
      authfile: 'dest.json',
      registryCa: 'ca.pem',
      retries: 0,
    })
    expect(registrySettings('', { username: 'u', password: '' })).toEqual({
      creds: { username: 'u', password: '' },
    })
    expect(registrySettings('', { creds: 'u' })).toEqual({ creds: { username: 'u', password: '' } })
    expect(registrySettings('', {})).toEqual({})
  })

  it.each([
    [{ srcCreds: 'u:canary', srcNoCreds: true }, '--src-no-creds and --src-creds contradict each other.'],
    [
      { srcUsername: 'u', srcPassword: 'canary', srcNoCreds: true },
      '--src-no-creds and --src-username contradict each other.',
    ],
    [{ srcCreds: 'u:canary', srcUsername: 'u' }, '--src-creds and --src-username contradict each other.'],
    [{ srcUsername: 'u' }, '--src-username and --src-password go together.'],
    [{ srcPassword: 'canary' }, '--src-username and --src-password go together.'],
    [{ srcCreds: ':canary' }, '--src-creds has no user name before the colon.'],
    [{ srcCreds: '' }, '--src-creds has no user name before the colon.'],
    [{ srcRegistryToken: 'canary\n' }, 'The value of --src-registry-token cannot stand in a header.'],
    [{ srcRegistryToken: '' }, 'The value of --src-registry-token cannot stand in a header.'],
    [{ retryTimes: '-1' }, '--retry-times is a number such as 3, not "-1".'],
    [{ retryTimes: '1e3' }, '--retry-times is a number such as 3, not "1e3".'],
  ])('such as %j are refused', (flags, message) => {
    expect(() => registrySettings('src', flags)).toThrow(expect.objectContaining({ code: 'USAGE', message }))
    expect(message).not.toContain('canary')
  })
})
