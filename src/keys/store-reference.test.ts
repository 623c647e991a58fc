import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CosignetError } from '../core/index.ts'
import { parseKeyReference } from './store-reference.ts'

describe('parseKeyReference', () => {
  it.each([
    ['cosign.pub', { kind: 'file', path: 'cosign.pub' }],
    ['/etc/keys/a b.pub', { kind: 'file', path: '/etc/keys/a b.pub' }],
    ['env://COSIGN_PUBLIC_KEY', { kind: 'environment', variable: 'COSIGN_PUBLIC_KEY' }],
    ['k8s://default/cosign.key-1', { kind: 'kubernetes', namespace: 'default', name: 'cosign.key-1' }],
    ['gitlab://group/sub.group/project', { kind: 'gitlab', path: 'group/sub.group/project' }],
    ['gitlab://278964', { kind: 'gitlab', path: '278964' }],
    ['github://owner', { kind: 'github', owner: 'owner' }],
    ['github://owner/.github', { kind: 'github', owner: 'owner', repository: '.github' }],
  ])('takes %s', (text, expected) => {
    expect(parseKeyReference(text)).toEqual(expected)
  })

  it('takes URLs', () => {
    const url = new URL('https://keys.example/cosign.pub?token=x')
    expect(parseKeyReference(url.href)).toEqual({ kind: 'url', url })
  })

  it.each([
    ['env://', 'USAGE', '"" is not the name of an environment variable.'],
    ['env://A-B', 'USAGE', '"A-B" is not the name of an environment variable.'],
    ['https://', 'USAGE', '"https://" is not a URL.'],
    [
      'https://user:CANARY@keys.example/cosign.pub',
      'USAGE',
      'The URL of a key at "keys.example" must not hold a user or password.',
    ],
    ['k8s://cosign', 'USAGE', '"k8s://cosign" does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['k8s://a/b/c', 'USAGE', '"k8s://a/b/c" does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['k8s://a/..', 'USAGE', '"k8s://a/.." does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['k8s://a.b/c', 'USAGE', '"k8s://a.b/c" does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['k8s://A/b', 'USAGE', '"k8s://A/b" does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['k8s://a/b%2fc', 'USAGE', '"k8s://a/b%2fc" does not name a Secret as k8s://NAMESPACE/NAME.'],
    ['gitlab://', 'USAGE', '"gitlab://" does not name a project or group as gitlab://GROUP/PROJECT.'],
    ['gitlab://..', 'USAGE', '"gitlab://.." does not name a project or group as gitlab://GROUP/PROJECT.'],
    [
      'gitlab://a/../b',
      'USAGE',
      '"gitlab://a/../b" does not name a project or group as gitlab://GROUP/PROJECT.',
    ],
    ['gitlab://a?b', 'USAGE', '"gitlab://a?b" does not name a project or group as gitlab://GROUP/PROJECT.'],
    [
      'github://',
      'USAGE',
      '"github://" does not name an owner or a repository as github://OWNER/REPOSITORY.',
    ],
    [
      'github://o/..',
      'USAGE',
      '"github://o/.." does not name an owner or a repository as github://OWNER/REPOSITORY.',
    ],
    [
      'github://o/r/x',
      'USAGE',
      '"github://o/r/x" does not name an owner or a repository as github://OWNER/REPOSITORY.',
    ],
    ['ftp://u:CANARY@h/k?CANARY', 'USAGE', '"ftp://…@h/k" does not say where a key is.'],
    [
      'awskms:///alias/a',
      'UNSUPPORTED',
      'The key "awskms:///alias/a" is in the KMS of AWS, which is not supported.',
    ],
    ['hashivault://a', 'UNSUPPORTED', 'The key "hashivault://a" is in Vault, which is not supported.'],
    [
      'pkcs11:token=a;object=b?pin-value=CANARY',
      'UNSUPPORTED',
      'The key "pkcs11:token=a;object=b" is in a hardware token, which is not supported.',
    ],
  ])('refuses %s', (text, code, message) => {
    const error = failureOf(() => parseKeyReference(text))
    expect([error.code, error.message]).toEqual([code, message])
    expect(`${error.message} ${error.hint}`).not.toContain('CANARY')
  })
})

describe('what is taken', () => {
  it('leads to no other place of an API', () => {
    const part = fc.string({ unit: fc.constantFrom(...'ab.%/\\?#: é-_0'), maxLength: 12 })
    fc.assert(
      fc.property(fc.constantFrom('k8s://', 'gitlab://', 'github://'), part, (scheme, rest) => {
        const path = pathOf(scheme + rest)
        if (path === undefined) return
        expect(new URL(`api/${path}`, 'https://host/').pathname).toBe(`/api/${path}`)
      }),
    )
  })
})

/** The path that stores make of a reference; undefined if it is refused. */
function pathOf(text: string): string | undefined {
  try {
    const reference = parseKeyReference(text)
    if (reference.kind === 'kubernetes') return `${reference.namespace}/secrets/${reference.name}`
    if (reference.kind === 'gitlab') return encodeURIComponent(reference.path)
    return reference.kind === 'github' ? `${reference.owner}/${reference.repository ?? ''}` : undefined
  } catch (error) {
    if (error instanceof CosignetError) return undefined
    throw error
  }
}

function failureOf(act: () => unknown): CosignetError {
  try {
    act()
  } catch (error) {
    if (error instanceof CosignetError) return error
  }
  throw new Error('it did not fail as it should')
}
