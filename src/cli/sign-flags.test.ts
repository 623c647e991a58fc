import { describe, expect, it } from 'vitest'
import { parseLocation } from '../oci/index.ts'
import { type KeyKind, parseAnnotations, planSigning, type SignFlags } from './sign-flags.ts'
import { repositoryFor } from './sign-store.ts'

const NONE: SignFlags = { recursive: true, upload: true }

describe('planSigning', () => {
  it.each([
    ['cosign', {}, ['cosign']],
    ['openpgp', {}, ['simple']],
    ['openpgp', { format: 'simple' }, ['simple']],
    ['cosign', { format: 'bundle' }, ['bundle']],
    ['cosign', { format: 'both' }, ['cosign', 'bundle']],
  ] as const)('with a key of the kind %s and %j makes %j', (kind, flags, forms) => {
    expect(planSigning({ ...NONE, ...flags }, kind, {})).toEqual({ forms, upload: true })
  })

  it('takes the repository from the flag, else for images outside folders from COSIGN_REPOSITORY', () => {
    const environment = { COSIGN_REPOSITORY: 'registry.example/sigs' }
    const repositoryOf = (flags: Partial<SignFlags>, location: string) => {
      const plan = planSigning({ ...NONE, ...flags }, 'cosign', environment)
      return repositoryFor(parseLocation(location), plan)?.repository
    }
    const other = { repository: 'registry.example/other' }
    expect(repositoryOf({}, 'docker://a/b')).toBe('sigs')
    expect(repositoryOf({}, 'docker-daemon:a/b:v1')).toBe('sigs')
    expect(repositoryOf({}, 'oci:layout')).toBeUndefined()
    expect(repositoryOf({}, 'dir:folder')).toBeUndefined()
    expect(repositoryOf(other, 'docker://a/b')).toBe('other')
    expect(repositoryOf(other, 'oci:layout')).toBe('other')
    expect(repositoryOf({ upload: false }, 'docker://a/b')).toBeUndefined()
    const simple = planSigning(NONE, 'openpgp', environment)
    expect(repositoryFor(parseLocation('docker://a/b'), simple)).toBeUndefined()
    const empty = planSigning(NONE, 'cosign', { COSIGN_REPOSITORY: '' })
    expect(repositoryFor(parseLocation('docker://a/b'), empty)).toBeUndefined()
  })

  it.each<[KeyKind, Partial<SignFlags>, string]>([
    [
      'openpgp',
      { format: 'cosign' },
      'An OpenPGP key makes simple signatures, and none of the format cosign.',
    ],
    ['openpgp', { format: 'both' }, 'An OpenPGP key makes simple signatures, and none of the format both.'],
    [
      'cosign',
      { format: 'simple' },
      'A simple signature is made with an OpenPGP key, not with a key of cosign.',
    ],
    ['openpgp', { annotations: ['a=b'] }, 'A simple signature has no place for --annotations.'],
    [
      'openpgp',
      { repository: 'r.example/a' },
      'Where a simple signature goes, registries.d says, and not --repository.',
    ],
    ['openpgp', { rekorUrl: 'https://r.example' }, 'A simple signature does not go to a transparency log.'],
    [
      'cosign',
      { format: 'bundle', identity: 'r.example/a' },
      'A bundle names no repository, so --identity has no place in it.',
    ],
    [
      'cosign',
      { format: 'bundle', outputSignature: 'f' },
      'A bundle is written whole: give --output-bundle.',
    ],
    [
      'cosign',
      { outputBundle: 'f' },
      'There is no bundle in the format cosign: give --format bundle or both with --output-bundle.',
    ],
    [
      'cosign',
      { upload: false, repository: 'r.example/a' },
      '--upload=false stores no signature, so --repository contradicts it.',
    ],
    ['cosign', { rekorPublicKey: 'f' }, '--rekor-public-key is the key of a log: give --rekor-url too.'],
    ['cosign', { identity: 'team/app' }, 'The identity "team/app" does not begin with a registry.'],
    [
      'openpgp',
      { identity: 'r.example/a' },
      'The identity "r.example/a" of a simple signature needs a tag or digest.',
    ],
    [
      'cosign',
      { repository: 'r.example/a:v1' },
      '"r.example/a:v1" names an image: a repository for signatures has neither tag nor digest.',
    ],
  ])('refuses with a key of the kind %s %j', (kind, flags, message) => {
    expect(() => planSigning({ ...NONE, ...flags }, kind, {})).toThrow(
      expect.objectContaining({ code: 'USAGE', message }),
    )
  })

  it.each(['index.docker.io/library/busybox', 'localhost:5000/a', 'r.example/a:v1'])(
    'takes the identity %s as it stands',
    (identity) => {
      expect(planSigning({ ...NONE, identity }, 'cosign', {}).identity).toBe(identity)
    },
  )
})

/** As cosign 3.1.1, whose flag is a StringSlice of pflag, which reads a line of CSV. */
describe('parseAnnotations', () => {
  it.each([
    [[], undefined],
    [[''], undefined],
    [['a=1'], { a: '1' }],
    [['a=1,b=2', 'c=3'], { a: '1', b: '2', c: '3' }],
    [['a=1=2'], { a: '1=2' }],
    [['a='], { a: '' }],
    [['a=1', 'a=2'], { a: '2' }],
    [['"a=1,2",b=3'], { a: '1,2', b: '3' }],
    [['"a=say ""hi"""'], { a: 'say "hi"' }],
    [['"__proto__=1"'], Object.fromEntries([['__proto__', '1']])],
  ])('reads %j', (lists, expected) => {
    expect(parseAnnotations(lists)).toEqual(expected)
  })

  it.each([
    ['a', '"a" is not an annotation such as key=value.'],
    ['=1', '"=1" is not an annotation such as key=value.'],
    ['a=1,', '"" is not an annotation such as key=value.'],
    ['a=1"', String.raw`"a=1\"" is not a list of annotations: a quotation mark is out of place.`],
    ['"a=1', String.raw`"\"a=1" is not a list of annotations: a quotation mark is out of place.`],
    ['"a=1"b', String.raw`"\"a=1\"b" is not a list of annotations: a quotation mark is out of place.`],
  ])('refuses %s', (list, message) => {
    expect(() => parseAnnotations([list])).toThrow(expect.objectContaining({ code: 'USAGE', message }))
  })
})
