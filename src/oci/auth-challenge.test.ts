import { describe, expect, it } from 'vitest'
import { parseChallenges } from './auth-challenge.ts'

describe('parseChallenges', () => {
  it.each<[string, [string, Record<string, string>][]]>([
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push"',
      [
        [
          'bearer',
          {
            realm: 'https://auth.docker.io/token',
            service: 'registry.docker.io',
            scope: 'repository:a/b:pull,push',
          },
        ],
      ],
    ],
    ['Basic realm="a \\"quoted\\" \\\\ name"', [['basic', { realm: 'a "quoted" \\ name' }]]],
    ['BEARER Realm = x , Service=y', [['bearer', { realm: 'x', service: 'y' }]]],
    [
      'Negotiate, Basic realm="r", Bearer realm="t"',
      [
        ['negotiate', {}],
        ['basic', { realm: 'r' }],
        ['bearer', { realm: 't' }],
      ],
    ],
    ['', []],
    [
      'Bearer realm="never closed',
      [
        ['bearer', {}],
        ['realm', {}],
      ].slice(0, 1) as [string, Record<string, string>][],
    ],
    ['="x"', []],
    ['\u0000', []],
  ])('reads %j', (header, expected) => {
    const challenges = parseChallenges(header)
    expect(challenges.map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)])).toEqual(
      expected,
    )
  })
})
