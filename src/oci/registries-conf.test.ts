import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { formatReference, parseReference } from './reference.ts'
import {
  checkNotBlocked,
  NO_REGISTRIES_CONF,
  type RegistriesConf,
  readEndpoints,
  writeEndpoint,
} from './registries-conf.ts'
import { readRegistriesConf } from './registries-conf-files.ts'
import { parseRegistriesConf } from './registries-conf-parse.ts'

const DIGEST = `sha256:${'a'.repeat(64)}`

function parse(...texts: readonly string[]): RegistriesConf {
  return parseRegistriesConf(texts.map((text, i) => ({ path: `/etc/${i}.conf`, text })))
}

/** `reference`, with `!` where it may be asked insecurely and `x` where it is blocked. */
function endpoints(conf: RegistriesConf, reference: string): readonly string[] {
  return readEndpoints(conf, parseReference(reference)).map(
    (endpoint) =>
      formatReference(endpoint.reference) +
      (endpoint.insecure ? ' !' : '') +
      (endpoint.blockedBy === undefined ? '' : ' x'),
  )
}

describe('the places to read an image from', () => {
  // The example of containers-registries.conf(5).
  const example = parse(`
    unqualified-search-registries = ["example.com"]

    [[registry]]
    prefix = "example.com/foo"
    insecure = false
    blocked = false
    location = "internal-registry-for-example.com/bar"

    [[registry.mirror]]
    location = "example-mirror-0.local/mirror-for-foo"

    [[registry.mirror]]
    location = "example-mirror-1.local/mirrors/foo"
    insecure = true

    [[registry]]
    location = "registry.com"

    [[registry.mirror]]
    location = "mirror.registry.com"
  `)

  it('are the mirrors in their order and the location last, as the manual says', () => {
    expect(endpoints(example, 'example.com/foo/image:latest')).toEqual([
      'example-mirror-0.local/mirror-for-foo/image:latest',
      'example-mirror-1.local/mirrors/foo/image:latest !',
      'internal-registry-for-example.com/bar/image:latest',
    ])
    expect(endpoints(example, 'registry.com/image:latest')).toEqual([
      'mirror.registry.com/image:latest',
      'registry.com/image:latest',
    ])
  })

  it('keep tag and digest', () => {
    expect(endpoints(example, `example.com/foo/image:v1@${DIGEST}`)[0]).toBe(
      `example-mirror-0.local/mirror-for-foo/image:v1@${DIGEST}`,
    )
  })

  it.each([
    ['example.com/food:1', ['example.com/food:1']],
    ['example.com/foo:1', ['internal.local/bar:1']],
    ['example.com/foo/x/y:1', ['deep.example/y:1']],
    ['example.com/foo/xx:1', ['internal.local/bar/xx:1']],
    ['example.com:5000/foo:1', ['example.com:5000/foo:1']],
    ['alpine', ['hub.local/library/alpine:latest']],
    ['docker.io/a/b', ['hub.local/a/b:latest']],
    ['localhost/a', ['localhost/a:latest']],
  ])('are found for %s by the longest prefix', (reference, expected) => {
    const conf = parse(`
      [[registry]]
      prefix = "example.com/foo/x"
      location = "deep.example/"
      [[registry]]
      prefix = "example.com/foo"
      location = "internal.local/bar"
      [[registry]]
      prefix = "docker.io"
      location = "hub.local"
    `)
    expect(endpoints(conf, reference)).toEqual(expected)
  })

  it.each([
    ['a.example.com/x:1', ['a.example.com/x:1 !']],
    ['a.b.example.com:5000/x:1', ['a.b.example.com:5000/x:1 !']],
    ['a.example.com.example.com/x:1', ['a.example.com.example.com/x:1 !']],
    ['example.com/x:1', ['example.com/x:1']],
    ['notexample.com/x:1', ['notexample.com/x:1']],
    ['other.io/a.example.com/x:1', ['other.io/a.example.com/x:1']],
    ['z.example.com/x:1', ['z.mirror.io/x:1']],
    ['a.remap.io/x/y:1', ['fixed.io/x/y:1']],
  ])('are found for %s by a wildcard', (reference, expected) => {
    const conf = parse(`
      [[registry]]
      prefix = "*.example.com"
      insecure = true
      [[registry]]
      prefix = "*.remap.io"
      location = "fixed.io"
      [[registry]]
      prefix = "z.example.com/x"
      location = "z.mirror.io/x"
    `)
    expect(endpoints(conf, reference)).toEqual(expected)
  })

  it('are mirrors by digest or by tag alone where that is said', () => {
    const conf = parse(`
      [[registry]]
      location = "one.io"
      [[registry.mirror]]
      location = "all.io"
      pull-from-mirror = "all"
      [[registry.mirror]]
      location = "digest.io"
      pull-from-mirror = "digest-only"
      [[registry.mirror]]
      location = "tag.io"
      pull-from-mirror = "tag-only"
      [[registry]]
      location = "two.io"
      mirror-by-digest-only = true
      [[registry.mirror]]
      location = "digests.io"
    `)
    expect(endpoints(conf, 'one.io/a:1')).toEqual(['all.io/a:1', 'tag.io/a:1', 'one.io/a:1'])
    const pinned = (host: string): string => `${host}/a@${DIGEST}`
    expect(endpoints(conf, pinned('one.io'))).toEqual(['all.io', 'digest.io', 'one.io'].map(pinned))
    expect(endpoints(conf, 'two.io/a:1')).toEqual(['two.io/a:1'])
    expect(endpoints(conf, pinned('two.io'))).toEqual(['digests.io', 'two.io'].map(pinned))
  })

  it('leave out none that is blocked, so that who asks can say why', () => {
    const conf = parse(`
      [[registry]]
      location = "kept.io"
      blocked = true
      [[registry.mirror]]
      location = "mirror.io/kept"
      [[registry.mirror]]
      location = "bad.io/kept"
      [[registry]]
      location = "bad.io"
      blocked = true
      [[registry]]
      prefix = "alias.io"
      location = "bad.io/alias"
    `)
    expect(endpoints(conf, 'kept.io/a:1')).toEqual([
      'mirror.io/kept/a:1',
      'bad.io/kept/a:1 x',
      'kept.io/a:1 x',
    ])
    expect(endpoints(conf, 'alias.io/a:1')).toEqual(['bad.io/alias/a:1 x'])
    const [endpoint] = readEndpoints(conf, parseReference('bad.io/a:1'))
    expect(() => endpoint !== undefined && checkNotBlocked(endpoint)).toThrow(
      expect.objectContaining({
        code: 'FORBIDDEN',
        message: 'bad.io/a is blocked: "/etc/0.conf" says so of "bad.io".',
      }),
    )
  })

  it('must make references', () => {
    const conf = parse('[[registry]]\nprefix = "docker.io/library"\nlocation = "docker.io"')
    expect(() => endpoints(conf, 'alpine')).toThrow(
      expect.objectContaining({
        code: 'INVALID_CONFIG',
        message: expect.stringContaining('makes no reference'),
      }),
    )
  })
})

describe('the place to write an image to', () => {
  it('is the registry that is named, and whether that is insecure or blocked', () => {
    const conf = parse(`
      [[registry]]
      prefix = "named.io"
      location = "elsewhere.io"
      insecure = true
      [[registry.mirror]]
      location = "mirror.io"
      [[registry]]
      location = "blocked.io"
      blocked = true
    `)
    const named = parseReference('named.io/a:1')
    expect(writeEndpoint(conf, named)).toEqual({ reference: named, insecure: true })
    expect(() => checkNotBlocked(writeEndpoint(conf, parseReference('blocked.io/a')))).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN' }),
    )
    const other = parseReference('other.io/a')
    expect(writeEndpoint(conf, other)).toEqual({ reference: other, insecure: false })
  })
})

describe('a registries.conf', () => {
  it('passes over what it does not know, and reads keys in any case as Go does', () => {
    const conf = parse(`
      short-name-mode = "enforcing"
      additional-layer-store-auth-helper = "x"
      credential-helpers = ["containers-auth.json", "pass"]
      later = { a = 1 }
      [aliases]
      "fedora" = "registry.fedoraproject.org/fedora"
      [[Registry]]
      Location = "bad.io"
      Blocked = true
      unheard-of = 1
    `)
    expect(conf.credentialHelpers).toEqual(['containers-auth.json', 'pass'])
    expect(endpoints(conf, 'bad.io/a:1')).toEqual(['bad.io/a:1 x'])
  })

  it('takes the first table of a prefix in a file, and the last file', () => {
    const table = (location: string): string => `[[registry]]\nprefix = "a.io"\nlocation = "${location}"\n`
    expect(endpoints(parse(table('one.io') + table('two.io')), 'a.io/x:1')).toEqual(['one.io/x:1'])
    expect(endpoints(parse(table('one.io'), table('two.io')), 'a.io/x:1')).toEqual(['two.io/x:1'])
    const first = parse('credential-helpers = ["a"]', 'credential-helpers = ["b"]', '')
    expect(first.credentialHelpers).toEqual(['b'])
  })

  it.each([
    ['a = [', 'INVALID_TOML', 'line 1'],
    ['a = 1\na = 2', 'INVALID_TOML', 'line 2'],
    ['[registries.search]\nregistries = ["a.io"]', 'INVALID_CONFIG', 'of version 1'],
    ['[registries.block]\nregistries = []', 'INVALID_CONFIG', 'of version 1'],
    ['registry = 1', 'INVALID_CONFIG', 'not a list of tables'],
    ['registry = [1]', 'INVALID_CONFIG', 'not a list of tables'],
    ['registry = [1979-05-27]', 'INVALID_CONFIG', 'not a list of tables'],
    ['[[registry]]', 'INVALID_CONFIG', 'neither prefix nor location'],
    ['[[registry]]\nprefix = "a.io"', 'INVALID_CONFIG', 'has no location'],
    ['[[registry]]\nlocation = 1', 'INVALID_CONFIG', '"location" is not a string'],
    ['[[registry]]\nlocation = "https://a.io"', 'INVALID_CONFIG', 'has a scheme'],
    ['[[registry]]\nlocation = "a.io"\ninsecure = "true"', 'INVALID_CONFIG', 'neither true nor false'],
    ['[[registry]]\nprefix = "*.a.io/b"', 'INVALID_CONFIG', 'more than a host'],
    ['[[registry]]\nprefix = "*.a.io:5000"', 'INVALID_CONFIG', 'more than a host'],
    ['[[registry]]\nlocation = "a.io"\npull-from-mirror = "all"', 'INVALID_CONFIG', 'beside its mirrors'],
    ['[[registry]]\nlocation = "a.io"\n[[registry.mirror]]', 'INVALID_CONFIG', 'has no location'],
    [
      '[[registry]]\nlocation = "a.io"\n[[registry.mirror]]\nlocation = "b.io"\npull-from-mirror = "some"',
      'INVALID_CONFIG',
      'not one of all, digest-only, tag-only',
    ],
    [
      '[[registry]]\nlocation = "a.io"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "b.io"\npull-from-mirror = "all"',
      'INVALID_CONFIG',
      'contradicts',
    ],
    [
      '[[registry]]\nprefix = "a.io"\nlocation = "c.io"\n[[registry]]\nprefix = "b.io"\nlocation = "c.io"\nblocked = true',
      'INVALID_CONFIG',
      'differ in "blocked"',
    ],
    ['credential-helpers = "x"', 'INVALID_CONFIG', 'not a list of strings'],
  ])('such as %j is refused', (text, code, message) => {
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ code, message: expect.stringContaining(message) }),
    )
    expect(() => parse(text)).toThrow(
      expect.objectContaining({ message: expect.stringContaining('/etc/0.conf') }),
    )
  })
})

describe('the files of registries.conf', () => {
  let home: string
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'cosignet-conf-'))
  })
  afterEach(async () => {
    await rm(home, { recursive: true })
  })

  async function write(path: string, location: string, prefix = 'a.io'): Promise<void> {
    await mkdir(dirname(join(home, path)), { recursive: true })
    await writeFile(join(home, path), `[[registry]]\nprefix = "${prefix}"\nlocation = "${location}"\n`)
  }

  async function read(environment: Record<string, string> = {}, uid = 1000): Promise<RegistriesConf> {
    return await readRegistriesConf({
      environment,
      home,
      uid,
      systemFolders: [join(home, 'etc'), join(home, 'usr')],
    })
  }

  it('passes over short names as distributions ship them, and over nothing else', async () => {
    const folder = join(home, 'etc/registries.conf.d')
    const put = (text: string): Promise<void> => writeFile(join(folder, 'shortnames.conf'), text)
    await mkdir(folder, { recursive: true })
    const shortNames = '[aliases]\n  # Fedora\n  "fedora" = "registry.fedoraproject.org/fedora" # it\n'
    await put(shortNames)
    expect(await read()).toBe(NO_REGISTRIES_CONF)
    for (const more of ['"a" = "b', 'a = [', '"a" = "b" "c"']) {
      await put(shortNames + more)
      await expect(read()).rejects.toMatchObject({ code: 'INVALID_TOML' })
    }
    const rule = '[[registry]]\nlocation = "bad.io"\nblocked = true\n'
    await put(shortNames + rule)
    expect(endpoints(await read(), 'bad.io/a:1')).toEqual(['bad.io/a:1 x'])
  })

  it('may all be missing, or hold but comments', async () => {
    expect(await read()).toEqual({ registries: [], credentialHelpers: [] })
    await mkdir(join(home, 'etc'))
    await writeFile(join(home, 'etc/registries.conf'), '# nothing\n\n')
    expect(await read()).toEqual({ registries: [], credentialHelpers: [] })
  })

  it("are the user's, else the system's", async () => {
    await write('usr/registries.conf', 'usr.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['usr.io/x:1'])
    await write('etc/registries.conf', 'etc.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['etc.io/x:1'])
    await write('.config/containers/registries.conf', 'home.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['home.io/x:1'])
    await write('xdg/containers/registries.conf', 'xdg.io')
    expect(endpoints(await read({ XDG_CONFIG_HOME: join(home, 'xdg') }), 'a.io/x:1')).toEqual(['xdg.io/x:1'])
  })

  it('are followed by drop-ins, sorted by name over all folders', async () => {
    await write('etc/registries.conf', 'main.io')
    await write('etc/registries.conf.d/10-b.conf', 'ten.io')
    await write('.config/containers/registries.conf.d/05-a.conf', 'five.io')
    await write('etc/registries.conf.d/20.txt', 'text.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['ten.io/x:1'])
    await write('.config/containers/registries.conf.d/10-b.conf', 'mine.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['mine.io/x:1'])
    await write('etc/registries.rootless.conf.d/1000/11.conf', 'rootless.io')
    expect(endpoints(await read(), 'a.io/x:1')).toEqual(['rootless.io/x:1'])
    expect(endpoints(await read({}, 0), 'a.io/x:1')).toEqual(['mine.io/x:1'])
    await symlink(join(home, 'etc/registries.conf'), join(home, 'etc/registries.conf.d/99.conf'))
    expect(endpoints(await read({}, 0), 'a.io/x:1')).toEqual(['mine.io/x:1'])
  })

  it('are only the one that the environment names, which must be there', async () => {
    await write('etc/registries.conf.d/10.conf', 'drop-in.io')
    await write('mine.conf', 'mine.io')
    await write('over.conf', 'over.io')
    const environment = { CONTAINERS_REGISTRIES_CONF: join(home, 'mine.conf') }
    expect(endpoints(await read(environment), 'a.io/x:1')).toEqual(['mine.io/x:1'])
    const override = { ...environment, CONTAINERS_REGISTRIES_CONF_OVERRIDE: join(home, 'over.conf') }
    expect(endpoints(await read(override), 'a.io/x:1')).toEqual(['over.io/x:1'])
    await expect(read({ CONTAINERS_REGISTRIES_CONF: join(home, 'gone.conf') })).rejects.toMatchObject({
      code: 'FILE',
    })
  })

  it('are read in bounds, as text', async () => {
    await mkdir(join(home, 'etc'))
    await writeFile(join(home, 'etc/registries.conf'), Buffer.from([0xff]))
    await expect(read()).rejects.toMatchObject({ code: 'INVALID_TOML' })
    await writeFile(join(home, 'etc/registries.conf'), Buffer.alloc(1024 * 1024 + 1, '#'))
    await expect(read()).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})
