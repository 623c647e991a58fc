import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseReference } from '../oci/index.ts'
import type { Policy } from './policy.ts'
import { findScope, scopesOf } from './scopes.ts'

const HEX = 'c0ffee'.repeat(11).slice(0, 64)

describe('scopesOf', () => {
  it.each<[string, readonly string[]]>([
    [
      'quay.io/org/team/app:v1',
      [
        'quay.io/org/team/app:v1',
        'quay.io/org/team/app',
        'quay.io/org/team',
        'quay.io/org',
        'quay.io',
        '*.io',
      ],
    ],
    [
      'busybox',
      [
        'docker.io/library/busybox:latest',
        'docker.io/library/busybox',
        'docker.io/library',
        'docker.io',
        '*.io',
      ],
    ],
    ['index.docker.io/a/b', ['docker.io/a/b:latest', 'docker.io/a/b', 'docker.io/a', 'docker.io', '*.io']],
    // The port belongs to the host's own scope and to no wildcard.
    [
      'reg.sub.example.com:8443/app:v1',
      [
        'reg.sub.example.com:8443/app:v1',
        'reg.sub.example.com:8443/app',
        'reg.sub.example.com:8443',
        '*.sub.example.com',
        '*.example.com',
        '*.com',
      ],
    ],
    ['localhost:5000/app', ['localhost:5000/app:latest', 'localhost:5000/app', 'localhost:5000']],
    ['localhost/app', ['localhost/app:latest', 'localhost/app', 'localhost']],
    [
      '10.0.0.7:5000/app:v1',
      ['10.0.0.7:5000/app:v1', '10.0.0.7:5000/app', '10.0.0.7:5000', '*.0.0.7', '*.0.7', '*.7'],
    ],
    [`quay.io/app@sha256:${HEX}`, [`quay.io/app@sha256:${HEX}`, 'quay.io/app', 'quay.io', '*.io']],
    // With both, the full name has both: a scope for the tag alone is not looked up.
    [`quay.io/app:v1@sha256:${HEX}`, [`quay.io/app:v1@sha256:${HEX}`, 'quay.io/app', 'quay.io', '*.io']],
  ])('%s', (reference, scopes) => {
    expect(scopesOf(parseReference(reference))).toEqual([...scopes, ''])
  })
})

describe('findScope', () => {
  const policyOf = (scopes: readonly string[], transport = 'docker'): Policy => ({
    default: [{ type: 'reject' }],
    transports: new Map([[transport, new Map(scopes.map((scope) => [scope, []]))]]),
  })
  const found = (reference: string, scopes: readonly string[]) =>
    findScope(policyOf(scopes), parseReference(reference)).scope

  it.each<[string, readonly string[], string | undefined]>([
    ['quay.io/org/app:v1', ['quay.io', 'quay.io/org'], 'quay.io/org'],
    ['quay.io/org/app:v1', ['', '*.io'], '*.io'],
    ['quay.io/org/app:v1', ['quay.io/org/app:v2', ''], ''],
    ['quay.io/org/app:v1', ['quay.io/org/app:v2'], undefined],
    ['quay.io/org/app:v1', ['quay.io/o', 'quay.io/org/ap', 'quay.io/org/app/', 'quay.io/'], undefined],
    ['quay.io/org/app:v1', ['*', '*.quay.io', 'io', '*io', 'QUAY.IO'], undefined],
    ['a.quay.io/app:v1', ['quay.io', '*.quay.io'], '*.quay.io'],
    ['busybox', ['busybox', 'library/busybox', 'index.docker.io', 'docker.io/busybox'], undefined],
    ['quay.io:443/app', ['quay.io', 'quay.io/app', '*.io'], '*.io'],
    [`quay.io/app:v1@sha256:${HEX}`, ['quay.io/app:v1', `quay.io/app@sha256:${HEX}`], undefined],
  ])('%s under %j is %j', (reference, scopes, expected) => {
    expect(found(reference, scopes)).toBe(expected)
  })

  it('takes the default where the transport is another, or none', () => {
    const reference = parseReference('quay.io/app')
    const expected = { scope: undefined, requirements: [{ type: 'reject' }] }
    expect(findScope(policyOf([''], 'dir'), reference)).toEqual(expected)
    expect(findScope({ default: [{ type: 'reject' }], transports: new Map() }, reference)).toEqual(expected)
  })

  it('takes the longest name that covers the image, whatever scopes there are', () => {
    const label = fc.constantFrom('a', 'b')
    const host = fc.array(label, { minLength: 2, maxLength: 4 }).map((labels) => labels.join('.'))
    const path = fc.array(label, { minLength: 1, maxLength: 4 })
    const scope = fc.oneof(
      fc.tuple(host, path).map(([name, parts]) => [name, ...parts].join('/')),
      fc.tuple(host, path).map(([name, parts]) => `${[name, ...parts].join('/')}:v1`),
      host,
      host.map((name) => `*.${name}`),
      fc.constant(''),
    )
    fc.assert(
      fc.property(host, path, fc.uniqueArray(scope), (name, parts, scopes) => {
        const repository = [name, ...parts].join('/')
        // Stated anew: what covers the image, and of that the one that says most.
        const covering = scopes.filter((one) => {
          if (one.startsWith('*.')) return name.endsWith(one.slice(1))
          return one === '' || one === `${repository}:v1` || `${repository}/`.startsWith(`${one}/`)
        })
        const rank = (one: string) => (one === '' ? 0 : one.startsWith('*') ? 1_000 : 1_000_000) + one.length
        const best = covering.sort((a, b) => rank(b) - rank(a))[0]
        expect(found(`${repository}:v1`, scopes)).toBe(best)
      }),
    )
  })
})
