import { describe, expect, it } from 'vitest'
import { parseReference } from '../oci/index.ts'
import { lookasideOf, NO_REGISTRIES_D, parseRegistriesD, usesSigstoreAttachments } from './registries-d.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

describe('lookasideOf', () => {
  const CONF = `
default-docker:
  lookaside: file:///default
docker:
  host.example.com:8443/team/app:v1:
    lookaside: file:///tag
  host.example.com:8443/team/app@${DIGEST}:
    lookaside: file:///digest
  host.example.com:8443/team/app:
    lookaside: file:///repository
  host.example.com:8443/team:
    lookaside: file:///parent
  host.example.com:8443:
    lookaside: file:///host
  "*.example.com":
    lookaside: file:///domain
  "*.com":
    lookaside: file:///top
  docker.io/library/busybox:
    lookaside: file:///busybox
`

  // The order of containers/image, docker/policyconfiguration/naming.go.
  it.each([
    ['host.example.com:8443/team/app:v1', 'file:///tag'],
    [`host.example.com:8443/team/app@${DIGEST}`, 'file:///digest'],
    [`host.example.com:8443/team/app:v1@${DIGEST}`, 'file:///digest'],
    ['host.example.com:8443/team/app:v2', 'file:///repository'],
    ['host.example.com:8443/team/application:v1', 'file:///parent'],
    ['host.example.com:8443/teams/app:v1', 'file:///host'],
    ['host.example.com/team/app:v1', 'file:///domain'],
    ['a.host.example.com:1/x/y', 'file:///domain'],
    ['example.com/x', 'file:///top'],
    ['example.org/x', 'file:///default'],
    ['busybox', 'file:///busybox'],
  ])('of %s is %s', async (reference, expected) => {
    const conf = await parseRegistriesD([{ path: 'a.yaml', text: CONF }])
    expect(lookasideOf(conf, parseReference(reference), 'read')).toBe(expected)
  })

  it('takes each field from the first section that has it', async () => {
    const conf = await parse(`
default-docker:
  lookaside-staging: file:///staging
  use-sigstore-attachments: true
docker:
  a.example:
    lookaside: file:///a
  a.example/b:
    use-sigstore-attachments: false
`)
    const [a, b] = [parseReference('a.example/x'), parseReference('a.example/b/x')]
    expect(lookasideOf(conf, b, 'read')).toBe('file:///a')
    // A section that has a store to read from is asked no further for one to write to.
    expect(lookasideOf(conf, b, 'write')).toBe('file:///a')
    expect(lookasideOf(conf, parseReference('b.example/x'), 'write')).toBe('file:///staging')
    expect(lookasideOf(conf, parseReference('b.example/x'), 'read')).toBeUndefined()
    expect(usesSigstoreAttachments(conf, a)).toBe(true)
    expect(usesSigstoreAttachments(conf, b)).toBe(false)
  })

  it('writes to staging first, and knows the old names', async () => {
    const conf = await parse(`
docker:
  new.example: {lookaside: 'file:///r', lookaside-staging: 'file:///w'}
  old.example: {sigstore: 'file:///r', sigstore-staging: 'file:///w'}
  both.example: {sigstore: 'file:///old', lookaside: 'file:///new'}
  half.example: {lookaside: 'file:///r', sigstore-staging: 'file:///w'}
`)
    for (const host of ['new', 'old', 'half']) {
      expect(lookasideOf(conf, parseReference(`${host}.example/x`), 'read')).toBe('file:///r')
      expect(lookasideOf(conf, parseReference(`${host}.example/x`), 'write')).toBe('file:///w')
    }
    expect(lookasideOf(conf, parseReference('both.example/x'), 'write')).toBe('file:///new')
  })

  it('is none where nothing is said', async () => {
    expect(await parseRegistriesD([])).toBe(NO_REGISTRIES_D)
    for (const text of ['', '# a comment\n', 'docker:\n', 'default-docker:\n', 'docker:\n  a.example:\n']) {
      expect(lookasideOf(await parse(text), parseReference('a.example/x'), 'read')).toBeUndefined()
    }
  })
})

describe('parseRegistriesD', () => {
  it('merges files', async () => {
    const conf = await parseRegistriesD([
      { path: 'a.yaml', text: 'docker:\n  a.example: {lookaside: file:///a}\nunknown: 1\n' },
      { path: 'b.yaml', text: 'docker:\n  b.example: {lookaside: file:///b, else: x}\n' },
      { path: 'c.yaml', text: 'default-docker: {lookaside: file:///c}\n' },
    ])
    for (const name of ['a', 'b', 'c']) {
      expect(lookasideOf(conf, parseReference(`${name}.example/x`), 'read')).toBe(`file:///${name}`)
    }
  })

  // Go's yaml.v3 reads these for a boolean (decode.go).
  it.each([
    ['true', true],
    ['yes', true],
    ['on', true],
    ['Y', true],
    ['false', false],
    ['no', false],
    ['off', false],
    ['n', false],
  ])('reads %s as %s', async (word, expected) => {
    const conf = await parse(`default-docker:\n  use-sigstore-attachments: ${word}\n`)
    expect(usesSigstoreAttachments(conf, parseReference('a/b'))).toBe(expected)
  })

  it.each([
    ['a: {', 'INVALID_YAML', /^The file "x.yaml" is not YAML: line 1, column 5: /],
    ['docker: {a: {lookaside: x, lookaside: y}}', 'INVALID_YAML', /unique/],
    ['docker: {a: 1, a: 2}', 'INVALID_YAML', /unique/],
    ['a: 1\n---\nb: 2\n', 'INVALID_YAML', /multiple documents/],
    ['a: *b', 'INVALID_YAML', /^The file "x.yaml" is not YAML: /],
    ['- docker', 'INVALID_CONFIG', /: It is not a mapping\.$/],
    ['docker: []', 'INVALID_CONFIG', /: "docker" is not a mapping\.$/],
    ['docker: {a.example: file:///a}', 'INVALID_CONFIG', /: "a.example" is not a mapping\.$/],
    ['default-docker: x', 'INVALID_CONFIG', /: "default-docker" is not a mapping\.$/],
    [
      'default-docker: {lookaside: 5}',
      'INVALID_CONFIG',
      /"lookaside" of "default-docker" is not a string\.$/,
    ],
    [
      'default-docker: {use-sigstore-attachments: maybe}',
      'INVALID_CONFIG',
      /"use-sigstore-attachments" of "default-docker" is neither true nor false\.$/,
    ],
  ])('refuses %j', async (text, code, message) => {
    await expect(parse(text)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('refuses aliases that grow', async () => {
    const levels = Array.from({ length: 9 }, (_, i) => `l${i + 1}: &l${i + 1} [${`*l${i},`.repeat(9)}]`)
    await expect(parse(`l0: &l0 [x]\n${levels.join('\n')}\n`)).rejects.toMatchObject({ code: 'INVALID_YAML' })
  })

  // The words are those of containers/image, docker/registries_d.go.
  it.each([
    [
      'default-docker: {lookaside: file:///a}',
      'Error parsing signature storage configuration: "default-docker" defined both in "1.yaml" and "2.yaml".',
    ],
    [
      'docker: {a.example: {lookaside: file:///a}}',
      'Error parsing signature storage configuration: "docker" namespace "a.example" defined both in "1.yaml" and "2.yaml".',
    ],
  ])('refuses %s in two files', async (text, message) => {
    const files = ['1.yaml', '2.yaml'].map((path) => ({ path, text }))
    await expect(parseRegistriesD(files)).rejects.toMatchObject({ code: 'INVALID_CONFIG', message })
  })
})

function parse(text: string): ReturnType<typeof parseRegistriesD> {
  return parseRegistriesD([{ path: 'x.yaml', text }])
}
