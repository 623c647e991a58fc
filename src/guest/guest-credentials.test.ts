import { describe, expect, it } from 'vitest'
import { encodeUtf8 } from '../core/index.ts'
import { parseReference } from '../oci/index.ts'
import { parseGuestCredentials } from './guest-credentials.ts'

const auth = (user: string): { auth: string } => ({ auth: Buffer.from(`${user}:pass`).toString('base64') })

function userFor(image: string, file: object): string | undefined {
  const find = parseGuestCredentials(encodeUtf8(JSON.stringify(file)), 'The log-ins')
  const found = find(parseReference(image))
  return found?.kind === 'basic' ? `${found.username}:${found.password}` : undefined
}

describe('parseGuestCredentials', () => {
  // The first two rows are those of image-rs, auth/auth_config.rs.
  it.each<[string, object, string | undefined]>([
    ['mysql:latest', { 'https://index.docker.io/v1/': auth('hub') }, 'hub:pass'],
    ['gcr.io/google-containers/busybox:1.27.2', { 'quay.io': auth('quay') }, undefined],
    [
      'quay.io/a/b',
      { 'quay.io': auth('host'), 'quay.io/a': auth('team'), 'quay.io/a/b': auth('repo') },
      'repo:pass',
    ],
    ['quay.io/a/c', { 'quay.io': auth('host'), 'quay.io/a': auth('team') }, 'team:pass'],
    ['quay.io/ab/c', { 'quay.io/a': auth('team') }, undefined],
    ['busybox', { 'docker.io': auth('hub') }, 'hub:pass'],
    ['busybox', { 'registry-1.docker.io': auth('hub') }, 'hub:pass'],
    ['busybox', { 'docker.io/library': auth('library') }, 'library:pass'],
    ['quay.io/a', { 'https://quay.io/v2/': auth('url') }, 'url:pass'],
    ['quay.io/a', { 'http://quay.io': auth('url') }, 'url:pass'],
    ['quay.io:8443/a', { 'quay.io': auth('other port') }, undefined],
    ['quay.io/a', { 'quay.io/b': auth('other') }, undefined],
    ['quay.io/a', { 'quay.io': { auth: Buffer.from('u:a:b\n\n').toString('base64') } }, 'u:a:b'],
  ])('finds for %s in %j: %s', (image, auths, user) => {
    expect(userFor(image, { auths })).toBe(user)
  })

  it.each<[string, string]>([
    ['no JSON', '{'],
    ['no auths', '{}'],
    ['auths that are a list', '{"auths":[]}'],
    ['auths that are null', '{"auths":null}'],
    ['auths twice', '{"auths":{},"auths":{}}'],
    ['an entry without auth', '{"auths":{"a":{"auth":"dTpw"},"b":{}}}'],
    ['an auth that is null', '{"auths":{"a":{"auth":null}}}'],
    ['an auth twice', '{"auths":{"a":{"auth":"dTpw","auth":"dTpw"}}}'],
  ])('refuses a file with %s', (_, text) => {
    expect(() => parseGuestCredentials(encodeUtf8(text), 'The log-ins')).toThrowError(
      expect.objectContaining({ code: 'INVALID_CONFIG' }),
    )
  })

  it('takes the last of two entries, as serde does', () => {
    const text = '{"auths":{"quay.io":{"auth":"YTpw"},"quay.io":{"auth":"Yjpw"}},"credHelpers":{"x":"y"}}'
    expect(parseGuestCredentials(encodeUtf8(text), 'x')(parseReference('quay.io/a'))).toEqual({
      kind: 'basic',
      username: 'b',
      password: 'p',
    })
  })

  it.each(['dXNlcg==', 'dTpw\n', 'dTpw=', '****', '/zpw'])('refuses the auth %j where it is used', (text) => {
    const find = parseGuestCredentials(
      encodeUtf8(JSON.stringify({ auths: { 'a.test': { auth: text } } })),
      'x',
    )
    expect(find(parseReference('b.test/b'))).toBeUndefined()
    expect(() => find(parseReference('a.test/a'))).toThrowError(
      expect.objectContaining({ code: 'INVALID_CONFIG', message: expect.not.stringContaining(text) }),
    )
  })

  it('decides nothing where the guest would choose by chance', () => {
    const auths = { 'https://quay.io/v1/': auth('one'), 'https://quay.io/v2/': auth('two') }
    expect(() => userFor('quay.io/a', { auths })).toThrowError(
      expect.objectContaining({ code: 'UNSUPPORTED' }),
    )
  })
})
