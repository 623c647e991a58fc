import { createHash } from 'node:crypto'
import { chmod, link, mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { packTar, type TarEntry, unpackTar } from 'modern-tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Files, writeFiles } from '../../test/fixtures/dockerfiles.ts'
import { collectBytes, encodeUtf8 } from '../core/index.ts'
import { type BaseImage, buildFromDockerfile, type DockerfileBuildOptions } from './build-dockerfile.ts'
import type { BuiltImage } from './build-result.ts'
import { digestOf } from './digest.ts'
import { type Descriptor, type ImageManifest, type Manifest, parseManifest } from './manifest.ts'

const AMD64 = { os: 'linux', architecture: 'amd64' }
const ARM64 = { os: 'linux', architecture: 'arm64' }
const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

let root: string
let context: string
let temporaryFolder: string
let images: BuiltImage[]
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'cosignet-dockerfile-'))
  context = join(root, 'context')
  temporaryFolder = join(root, 'temporary')
  await mkdir(context)
  await mkdir(temporaryFolder)
  images = []
})
afterEach(async () => {
  for (const image of images) await image.close()
  const left = await readdir(temporaryFolder)
  await rm(root, { recursive: true })
  expect(left).toEqual([])
})

interface BaseOptions {
  readonly run?: object
  readonly layers?: readonly (readonly TarEntry[])[]
  readonly platform?: typeof AMD64
  /** Media types of manifest, configuration and layers. */
  readonly types?: readonly [string, string, string]
  readonly more?: object
}

const OCI = [
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.oci.image.config.v1+json',
  'application/vnd.oci.image.layer.v1.tar+gzip',
] as const
const DOCKER = [
  'application/vnd.docker.distribution.manifest.v2+json',
  'application/vnd.docker.container.image.v1+json',
  'application/vnd.docker.image.rootfs.diff.tar.gzip',
] as const

function file(name: string, body = name): TarEntry {
  return { header: { name, type: 'file', size: Buffer.byteLength(body) }, body }
}
function symlink(name: string, linkname: string): TarEntry {
  return { header: { name, type: 'symlink', linkname, size: 0 } }
}

/** What `reads` collects is which layers of the base were asked for. */
async function makeBase(options: BaseOptions = {}, reads: string[] = []): Promise<BaseImage> {
  const [manifestType, configType, layerType] = options.types ?? OCI
  const tars = await Promise.all((options.layers ?? [[file('base')]]).map((entries) => packTar([...entries])))
  const blobs = tars.map((tar) => gzipSync(tar))
  const config = encodeUtf8(
    JSON.stringify({
      created: '2024-01-01T00:00:00Z',
      ...(options.platform ?? AMD64),
      docker_version: '27',
      config: options.run,
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
      history: [{ created: '2024-01-01T00:00:00Z', created_by: 'base' }],
      ...options.more,
    }),
  )
  const describeBlob = (mediaType: string, bytes: Uint8Array): object => {
    return { mediaType, digest: digestOf(bytes), size: bytes.byteLength }
  }
  const manifest = parseManifest(
    encodeUtf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: manifestType,
        config: describeBlob(configType, config),
        layers: blobs.map((blob) => describeBlob(layerType, blob)),
      }),
    ),
    manifestType,
    'The base',
  )
  return {
    manifest,
    config,
    source: {
      name: 'base',
      getManifest: async () => manifest,
      async *getBlob({ digest }) {
        reads.push(digest)
        yield blobs.find((blob) => digestOf(blob) === digest) ?? new Uint8Array()
      },
      listReferrers: async () => [],
    },
  }
}

async function build(
  lines: readonly string[],
  options: Partial<DockerfileBuildOptions> & { readonly base?: BaseImage; readonly files?: Files } = {},
): Promise<BuiltImage> {
  const { base, files = {}, ...others } = options
  await writeFiles(context, files)
  const image = await buildFromDockerfile({
    dockerfile: lines.join('\n'),
    context,
    temporaryFolder,
    openBase: async () => base ?? (await makeBase()),
    ...others,
  })
  images.push(image)
  return image
}

function imageOf({ content }: Manifest): ImageManifest {
  if (content.kind !== 'image') throw new Error('not an image')
  return content
}

async function read(image: BuiltImage, descriptor: Descriptor): Promise<Buffer> {
  return Buffer.from(await collectBytes(image.getBlob(descriptor), 10_000_000, 'It'))
}

interface Config {
  readonly config: Record<string, unknown>
  readonly rootfs: { readonly diff_ids: readonly string[] }
  readonly history: readonly Record<string, unknown>[]
}

async function configOf(image: BuiltImage, manifest = image.root): Promise<Config & Record<string, unknown>> {
  return JSON.parse((await read(image, imageOf(manifest).config)).toString()) as Config &
    Record<string, unknown>
}

/** Entries of a layer: name, type, mode, owner, content or target. */
async function entriesOf(image: BuiltImage, layer: Descriptor | undefined): Promise<readonly unknown[]> {
  if (layer === undefined) throw new Error('no such layer')
  return (await unpackTar(gunzipSync(await read(image, layer)))).map(({ header, data }) => [
    header.name,
    header.type,
    header.mode?.toString(8),
    `${header.uid}:${header.gid}`,
    header.type === 'symlink' ? header.linkname : Buffer.from(data ?? []).toString(),
  ])
}

/** What the last layer holds. */
async function added(image: BuiltImage): Promise<readonly unknown[]> {
  return await entriesOf(image, imageOf(image.root).layers.at(-1))
}

describe('buildFromDockerfile', () => {
  it('builds the Dockerfile of the guide without reading a layer of the base', async () => {
    const reads: string[] = []
    const base = await makeBase({ run: { Env: ['PATH=/bin'], Cmd: ['nginx'] }, types: DOCKER }, reads)
    const image = await build(['FROM nginx:1.27-alpine', '', 'EXPOSE 80'], { base })
    const before = imageOf(base.manifest)
    expect(imageOf(image.root).layers).toEqual(
      before.layers.map((layer) => ({ ...layer, mediaType: OCI[2] })),
    )
    expect(imageOf(image.root).config.mediaType).toBe(OCI[1])
    expect(image.root.mediaType).toBe(OCI[0])
    expect(reads).toEqual([])
    expect(await configOf(image)).toEqual({
      created: '1970-01-01T00:00:00Z',
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'], Cmd: ['nginx'], ExposedPorts: { '80/tcp': {} } },
      rootfs: JSON.parse(Buffer.from(base.config).toString()).rootfs,
      history: [
        { created: '2024-01-01T00:00:00Z', created_by: 'base' },
        {
          created: '1970-01-01T00:00:00Z',
          created_by: 'EXPOSE [80/tcp]',
          comment: 'cosignet',
          empty_layer: true,
        },
      ],
    })
  })

  it('passes layers of the base on, byte for byte', async () => {
    const base = await makeBase({ layers: [[file('a')], [file('b')]] })
    const image = await build(['FROM base', 'COPY c /'], { base, files: { c: 'c' } })
    const [first, second, third, ...more] = imageOf(image.root).layers
    const before = imageOf(base.manifest).layers
    expect([first, second]).toEqual(before)
    expect(more).toEqual([])
    for (const layer of before) expect(digestOf(await read(image, layer))).toBe(layer.digest)
    const { rootfs } = await configOf(image)
    if (third === undefined) throw new Error('no layer')
    const own = gunzipSync(await read(image, third))
    expect(rootfs.diff_ids[2]).toBe(`sha256:${createHash('sha256').update(own).digest('hex')}`)
  })

  it('merges the configuration as Docker does', async () => {
    const base = await makeBase({
      run: {
        User: 'app',
        Env: ['A=1', 'PATH=/bin', 'B=2'],
        Entrypoint: ['/e'],
        Cmd: ['c'],
        ExposedPorts: { '1/tcp': {} },
        Labels: { a: '1', b: '2' },
        WorkingDir: '/w',
        Volumes: { '/v': {} },
        StopSignal: 'SIGQUIT',
        Healthcheck: { Test: ['NONE'] },
        Shell: ['/bin/bash', '-c'],
        OnBuild: null,
        Domainname: 'dropped',
      },
    })
    const image = await build(
      [
        '# escape=`',
        'FROM base',
        'ENV A=new C="$A $B" B=`$x',
        `ENV D=$A-\${B:-no}-\${NONE:-dflt}`,
        'LABEL b=3 "c d"="$D"',
        'EXPOSE 8000-8002/UDP 127.0.0.1:80:90 $PORTS',
        'USER 7:8',
        'CMD run  "$A"',
      ],
      { base },
    )
    expect((await configOf(image)).config).toEqual({
      User: '7:8',
      Env: ['A=new', 'PATH=/bin', 'B=$x', 'C=1 2', 'D=new-$x-dflt'],
      Entrypoint: ['/e'],
      Cmd: ['/bin/bash', '-c', 'run  "$A"'],
      ExposedPorts: { '1/tcp': {}, '90/tcp': {}, '8000/udp': {}, '8001/udp': {}, '8002/udp': {} },
      Labels: { a: '1', b: '3', 'c d': 'new-$x-dflt' },
      WorkingDir: '/w',
      Volumes: { '/v': {} },
      StopSignal: 'SIGQUIT',
      Healthcheck: { Test: ['NONE'] },
      Shell: ['/bin/bash', '-c'],
    })
  })

  it.each<[string, readonly string[], object]>([
    ['drops the command of the base', ['ENTRYPOINT ["/x"]'], { Entrypoint: ['/x'] }],
    [
      'keeps its own before it',
      ['CMD ["m"]', 'ENTRYPOINT /x $A'],
      { Entrypoint: ['/bin/sh', '-c', '/x $A'], Cmd: ['m'] },
    ],
    ['keeps its own after it', ['ENTRYPOINT ["/x"]', 'CMD []'], { Entrypoint: ['/x'], Cmd: [] }],
    ['can be taken away', ['ENTRYPOINT []'], {}],
    ['stays under a new command', ['CMD ["m"]'], { Entrypoint: ['/e'], Cmd: ['m'] }],
  ])('the entry point %s', async (_name, lines, expected) => {
    const base = await makeBase({ run: { Env: ['PATH=/'], Entrypoint: ['/e'], Cmd: ['c'] } })
    expect((await configOf(await build(['FROM base', ...lines], { base }))).config).toEqual({
      Env: ['PATH=/'],
      ...expected,
    })
  })

  it('starts from nothing', async () => {
    const image = await build(['FROM scratch', 'COPY hello /', 'CMD ["/hello"]'], {
      files: { 'hello@755': 'hi' },
    })
    expect((await configOf(image)).config).toEqual({ Env: [PATH], WorkingDir: '/', Cmd: ['/hello'] })
    expect(await added(image)).toEqual([['hello', 'file', '755', '0:0', 'hi']])
  })

  it('gives the same digests whenever files were written, and follows SOURCE_DATE_EPOCH', async () => {
    const lines = ['FROM scratch', 'COPY . /']
    const first = await build(lines, { files: { 'a/b': '1', c: '2' } })
    await utimes(join(context, 'c'), 1, 1)
    expect((await build(lines)).root.digest).toBe(first.root.digest)
    const later = await build(lines, { epoch: 1_700_000_000 })
    expect(await configOf(later)).toMatchObject({ created: '2023-11-14T22:13:20Z' })
    const [layer] = imageOf(later.root).layers
    if (layer === undefined) throw new Error('no layer')
    const times = (await unpackTar(gunzipSync(await read(later, layer)))).map(({ header }) =>
      header.mtime?.getTime(),
    )
    expect(new Set(times)).toEqual(new Set([1_700_000_000_000]))
    await writeFile(join(context, 'c'), '3')
    expect((await build(lines)).root.digest).not.toBe(first.root.digest)
  })

  it('builds an index over platforms, and shares layers that are the same', async () => {
    const asked: unknown[] = []
    const image = await build(['FROM ghcr.io/a/b:c', 'COPY c /', 'ENV A=1'], {
      files: { c: 'c' },
      platforms: [AMD64, ARM64],
      openBase: async (reference, platform) => {
        asked.push([reference, platform])
        return await makeBase({ platform, layers: [[file(`for-${platform.architecture}`)]] })
      },
    })
    const reference = { registry: 'ghcr.io', repository: 'a/b', tag: 'c' }
    expect(asked).toEqual([
      [reference, AMD64],
      [reference, ARM64],
    ])
    expect(image.root.content).toMatchObject({
      kind: 'index',
      manifests: image.manifests.map(({ digest }, i) => ({ digest, platform: i === 0 ? AMD64 : ARM64 })),
    })
    const [amd, arm] = image.manifests.map((manifest) => imageOf(manifest).layers)
    expect(amd?.[0]).not.toEqual(arm?.[0])
    expect(amd?.[1]).toEqual(arm?.[1])
    for (const layers of [amd, arm]) {
      for (const layer of layers ?? []) expect(digestOf(await read(image, layer))).toBe(layer.digest)
    }
  })

  it('makes a layer only for an instruction that adds something', async () => {
    const base = await makeBase({ layers: [[{ header: { name: 'there/', type: 'directory', size: 0 } }]] })
    const image = await build(
      ['FROM base', 'WORKDIR /there', 'WORKDIR new/one', 'COPY none* .', 'WORKDIR ..'],
      { base },
    )
    expect(imageOf(image.root).layers).toHaveLength(2)
    const { config, history } = await configOf(image)
    expect(config['WorkingDir']).toBe('/there/new')
    expect(history.map((entry) => [entry['created_by'], entry['empty_layer']])).toEqual([
      ['base', undefined],
      ['WORKDIR /there', true],
      ['WORKDIR /there/new/one', undefined],
      ['COPY none* .', true],
      ['WORKDIR /there/new', true],
    ])
    expect(await added(image)).toEqual([
      ['there/new/', 'directory', '755', '0:0', ''],
      ['there/new/one/', 'directory', '755', '0:0', ''],
    ])
  })
})

const USERS = [
  file('etc/passwd', 'root:x:0:0::/:\napp:x:1234:1235::/:\nodd:x:::\n'),
  file('etc/group', 'root:x:0:\nstaff:x:50:app\n'),
]
const LINKS = [
  file('usr/bin/sh'),
  symlink('bin', 'usr/bin'),
  symlink('lost', '/nowhere/far'),
  file('data/old'),
  symlink('data/to-old', 'old'),
]

describe('COPY', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    ['a file to a name', ['COPY a /x'], ['x=a']],
    ['a file into a folder', ['COPY a /x/'], ['x/', 'x/a=a']],
    ['a file into a folder of the base', ['COPY a /data'], ['data/a=a']],
    ['a file into what is a folder by a dot', ['COPY a /x/.'], ['x/', 'x/a=a']],
    ['a file over a file', ['COPY a /data/old'], ['data/old=a']],
    ['a file to where a link leads', ['COPY a /data/to-old'], ['data/old=a']],
    ['a file below a link', ['COPY a /bin/'], ['usr/bin/a=a']],
    ['a file to a new name below a link', ['COPY a /bin/x'], ['usr/bin/x=a']],
    ['a file to where a link leads to nothing', ['COPY a /lost'], ['nowhere/', 'nowhere/far=a']],
    ['what a folder holds', ['COPY d /x'], ['x/', 'x/e/', 'x/e/f=f', 'x/l -> e/f']],
    [
      'what a folder holds, into one that is there',
      ['COPY d/ /data/'],
      ['data/e/', 'data/e/f=f', 'data/l -> e/f'],
    ],
    ['what a link to a folder holds', ['COPY to-d /x'], ['x/', 'x/e/', 'x/e/f=f', 'x/l -> e/f']],
    ['several, the last of a name', ['COPY a d/e/f b /x/'], ['x/', 'x/a=a', 'x/b=b', 'x/f=f']],
    ['by patterns', ['COPY [ab] d/*/f /x/'], ['x/', 'x/a=a', 'x/b=b', 'x/f=f']],
    ['from the working folder', ['WORKDIR /w', 'COPY a .'], ['w/a=a']],
    ['to a name in the working folder', ['WORKDIR /w', 'COPY a ./n'], ['w/n=a']],
    ['with variables', ['ENV D=/data N=a', 'COPY $N $' + '{D}/$N$N'], ['data/aa=a']],
    ['by ADD', ['ADD a /x'], ['x=a']],
  ])('copies %s', async (_name, lines, expected) => {
    const files: Files = { a: 'a', b: 'b', 'd/e/f': 'f', 'd/l': { link: 'e/f' }, 'to-d': { link: 'd' } }
    const image = await build(['FROM base', ...lines], { files, base: await makeBase({ layers: [LINKS] }) })
    const entries = (await added(image)) as readonly (readonly string[])[]
    expect(
      entries.map(([name, type, , , content]) => {
        if (type === 'directory') return name
        return type === 'symlink' ? `${name} -> ${content}` : `${name}=${content}`
      }),
    ).toEqual(expected)
  })

  it.each<[string, readonly (readonly string[])[]]>([
    [
      'COPY',
      [
        ['x/', '755', '0:0'],
        ['x/a', '600', '0:0'],
        ['x/e/', '750', '0:0'],
      ],
    ],
    [
      'COPY --chown=5',
      [
        ['x/', '755', '5:5'],
        ['x/a', '600', '5:5'],
        ['x/e/', '750', '5:5'],
      ],
    ],
    [
      'COPY --chown=app:root',
      [
        ['x/', '755', '1234:0'],
        ['x/a', '600', '1234:0'],
        ['x/e/', '750', '1234:0'],
      ],
    ],
    [
      'COPY --chown=app',
      [
        ['x/', '755', '1234:1235'],
        ['x/a', '600', '1234:1235'],
        ['x/e/', '750', '1234:1235'],
      ],
    ],
    [
      'COPY --chown=9:staff',
      [
        ['x/', '755', '9:50'],
        ['x/a', '600', '9:50'],
        ['x/e/', '750', '9:50'],
      ],
    ],
    [
      'COPY --chmod=4711',
      [
        ['x/', '755', '0:0'],
        ['x/a', '4711', '0:0'],
        ['x/e/', '4711', '0:0'],
      ],
    ],
  ])('gives owners and modes: %s', async (instruction, expected) => {
    await mkdir(join(context, 'd/e'), { recursive: true, mode: 0o777 })
    await writeFiles(context, { 'd/a@600': 'a' })
    await chmod(join(context, 'd/e'), 0o750)
    const image = await build(['FROM base', `${instruction} d /x`], {
      base: await makeBase({ layers: [USERS] }),
    })
    const entries = (await added(image)) as readonly (readonly string[])[]
    expect(entries.map(([name, , mode, owner]) => [name, mode, owner])).toEqual(expected)
  })

  it('makes a working folder for the user', async () => {
    const base = await makeBase({ layers: [USERS] })
    const image = await build(['FROM base', 'USER app', 'WORKDIR /a/b'], { base })
    expect(await added(image)).toEqual([
      ['a/', 'directory', '755', '1234:1235', ''],
      ['a/b/', 'directory', '755', '1234:1235', ''],
    ])
  })

  it('leaves out what .dockerignore names', async () => {
    const files = {
      a: 'a',
      'b.log': 'b',
      'd/c.log': 'c',
      'd/keep.log': 'k',
      '.dockerignore': '**/*.log\n!d/keep.log\n',
    }
    const image = await build(['FROM scratch', 'COPY . /'], { files })
    const names = ((await added(image)) as readonly (readonly string[])[]).map(([name]) => name)
    expect(names).toEqual(['.dockerignore', 'a', 'd/', 'd/keep.log'])
    const other = await build(['FROM scratch', 'COPY . /'], { ignore: '*\n!a' })
    expect(await added(other)).toEqual([['a', 'file', '644', '0:0', 'a']])
  })

  it.each<[string, readonly string[], string, string]>([
    [
      'what is not there',
      ['COPY gone /'],
      'NOT_FOUND',
      '"gone" is not in the context, or is left out of it.',
    ],
    ['what is above', ['COPY ../secret /'], 'INVALID_IMAGE', '"../secret" leads out of the context.'],
    ['a link that leads out', ['COPY out /'], 'INVALID_IMAGE', '"out" leads out of the context.'],
    [
      'a folder over a file',
      ['COPY d /data/old'],
      'INVALID_IMAGE',
      '"/data/old" in the image is not a folder.',
    ],
    [
      'a file below a file',
      ['COPY a /data/old/x'],
      'INVALID_IMAGE',
      '"/data/old" in the image is not a folder.',
    ],
    [
      'a folder over a link',
      ['COPY r /'],
      'INVALID_IMAGE',
      '"r/bin" is a folder, but "/bin" in the image is none.',
    ],
    [
      'a file over a folder',
      ['COPY q /'],
      'INVALID_IMAGE',
      '"q/data" is a file, but "/data" in the image is a folder.',
    ],
    [
      'a name that deletes',
      ['COPY w /'],
      'INVALID_IMAGE',
      '.wh.x" cannot be in an image: names that start with ".wh." delete files.',
    ],
    [
      'a destination that deletes',
      ['COPY a /.wh.a'],
      'INVALID_IMAGE',
      'cannot be in an image: names that start with ".wh." delete files.',
    ],
    [
      'an unknown user',
      ['COPY --chown=who a /'],
      'INVALID_IMAGE',
      '"who" is not in /etc/passwd of the base image.',
    ],
    [
      'an unknown group',
      ['COPY --chown=1:who a /'],
      'INVALID_IMAGE',
      '"who" is not in /etc/group of the base image.',
    ],
    [
      'a user without a number',
      ['COPY --chown=odd a /'],
      'INVALID_IMAGE',
      '"odd" has no number in /etc/passwd of the base image.',
    ],
    [
      'an owner beyond 31 bits',
      ['COPY --chown=2147483648 a /'],
      'INVALID_IMAGE',
      '"2147483648" is not in /etc/passwd of the base image.',
    ],
    ['modes by letters', ['COPY --chmod=u+x a /'], 'UNSUPPORTED', '--chmod=u+x is not understood.'],
    ['too large a mode', ['COPY --chmod=10000 a /'], 'UNSUPPORTED', '--chmod=10000 is not understood.'],
    [
      'an archive by ADD',
      ['ADD t.tgz /'],
      'UNSUPPORTED',
      'ADD would unpack "t.tgz", which is not done here.',
    ],
    [
      'a plain archive by ADD',
      ['ADD t.tar /'],
      'UNSUPPORTED',
      'ADD would unpack "t.tar", which is not done here.',
    ],
    [
      'an open quote',
      ['COPY "a /'],
      'INVALID_IMAGE',
      '"\\"a" cannot be read: a double quote in it is not closed.',
    ],
    ['a bad pattern', ['COPY [ /'], 'INVALID_IMAGE', '"[" is not a pattern of file names.'],
    ['no port', ['EXPOSE http'], 'INVALID_IMAGE', '"http" is not a port such as 80 or 53/udp.'],
    ['too large a port', ['EXPOSE 65536'], 'INVALID_IMAGE', '"65536" is not a port such as 80 or 53/udp.'],
    ['an empty name', ['ENV $NONE=1'], 'INVALID_IMAGE', '"$NONE" is an empty name.'],
    ['a required variable', ['ENV A=$' + '{B?}'], 'INVALID_IMAGE', 'cannot be read: B is not set.'],
  ])('refuses %s, by line', async (_name, lines, code, message) => {
    await writeFile(join(root, 'secret'), 'SECRET')
    const tar = Buffer.from(await packTar([file('x')]))
    const files: Files = {
      a: 'a',
      'd/e/f': 'f',
      'r/bin/x': 'x',
      'q/data': 'x',
      'w/.wh.x': 'x',
      out: { link: '../secret' },
    }
    await writeFile(join(context, 't.tgz'), gzipSync(tar))
    await writeFile(join(context, 't.tar'), tar)
    const base = await makeBase({ layers: [[...USERS, ...LINKS]] })
    const building = build(['FROM base', 'USER 0', ...lines], { base, files })
    await expect(building).rejects.toMatchObject({ code })
    await expect(building).rejects.toThrow(/^"Dockerfile", line 3: /)
    await expect(building).rejects.toThrow(message)
  })

  it('adds by ADD what only looks like an archive', async () => {
    await writeFile(join(context, 'x.gz'), gzipSync('text'))
    const image = await build(['FROM scratch', 'ADD x.gz text.tar /'], { files: { 'text.tar': 'no tar' } })
    expect(((await added(image)) as readonly string[][]).map(([name]) => name)).toEqual(['text.tar', 'x.gz'])
  })

  it('refuses sockets, and keeps hard links as files', async () => {
    await writeFiles(context, { a: 'a' })
    await link(join(context, 'a'), join(context, 'b'))
    const image = await build(['FROM scratch', 'COPY . /'])
    expect(await added(image)).toEqual([
      ['a', 'file', '644', '0:0', 'a'],
      ['b', 'file', '644', '0:0', 'a'],
    ])
    const socket = createServer()
    await new Promise<void>((resolve) => socket.listen(join(context, 's'), resolve))
    await expect(build(['FROM scratch', 'COPY . /'])).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: `"Dockerfile", line 2: ${JSON.stringify(join(context, 's'))} is not a file, folder or symbolic link, so it cannot be in an image.`,
    })
    await new Promise((resolve) => socket.close(resolve))
  })
})

describe('what grows without end', () => {
  it('is refused', async () => {
    const doubled = Array.from({ length: 40 }, () => 'ENV A=xx$A$A')
    await expect(build(['FROM scratch', ...doubled])).rejects.toThrow(
      'it expands to more than 65536 characters',
    )
    const many = Array.from({ length: 900 }, (_, i) => `LABEL l${i}=$A`)
    const building = build(['FROM scratch', ...doubled.slice(0, 14), ...many])
    await expect(building).rejects.toMatchObject({ code: 'TOO_LARGE' })
    await expect(build(['FROM scratch', ...many, ...many])).rejects.toMatchObject({ code: 'TOO_LARGE' })
  })
})

describe('a base image', () => {
  it.each<[string, BaseOptions, string, string]>([
    [
      'for another platform',
      { platform: ARM64 },
      'INVALID_IMAGE',
      'is for linux/arm64, not for linux/amd64.',
    ],
    [
      'with triggers',
      { run: { OnBuild: ['RUN x'] } },
      'UNSUPPORTED',
      'has triggers (ONBUILD), which are not run here.',
    ],
    [
      'with foreign layers',
      { types: [OCI[0], OCI[1], 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip'] },
      'UNSUPPORTED',
      'which is not one of an image’s files.',
    ],
    [
      'that tells of other layers',
      { more: { rootfs: { diff_ids: [] } } },
      'INVALID_IMAGE',
      'it tells of 0 layers where there are 1.',
    ],
    [
      'whose layers have no digests',
      { more: { rootfs: { diff_ids: ['x'] } } },
      'INVALID_IMAGE',
      '"x" is not a digest.',
    ],
    ['without a processor', { more: { architecture: '' } }, 'INVALID_IMAGE', 'it names no processor.'],
    [
      'with numbers in its environment',
      { run: { Env: [1] } },
      'INVALID_IMAGE',
      'config.Env holds something that is not a string.',
    ],
    [
      'with labels that are a list',
      { run: { Labels: [] } },
      'INVALID_IMAGE',
      'config.Labels is not an object.',
    ],
    ['with a list for its configuration', { run: [] }, 'INVALID_IMAGE', 'config is not an object.'],
  ])('%s is refused', async (_name, options, code, message) => {
    const building = build(['# comment', 'FROM base'], { base: await makeBase(options) })
    await expect(building).rejects.toMatchObject({ code })
    await expect(building).rejects.toThrow('"Dockerfile", line 2: ')
    await expect(building).rejects.toThrow(message)
  })

  it('whose configuration is another’s is refused', async () => {
    const base = await makeBase()
    await expect(build(['FROM base'], { base: { ...base, config: encodeUtf8('{}') } })).rejects.toMatchObject(
      {
        code: 'DIGEST_MISMATCH',
      },
    )
  })

  it('is asked for on the platform that FROM names', async () => {
    const image = await build(['FROM --platform=linux/arm64 scratch'])
    expect(await configOf(image)).toMatchObject(ARM64)
    await expect(
      build(['FROM --platform=linux/arm64 scratch'], { platforms: [AMD64] }),
    ).rejects.toMatchObject({
      code: 'INVALID_IMAGE',
      message: '"Dockerfile", line 1: FROM says linux/arm64, but the image is to be for linux/amd64.',
    })
  })

  it.each<[string, Partial<DockerfileBuildOptions>]>([
    ['no platform', { platforms: [] }],
    ['a negative time', { epoch: -1 }],
    ['a time beyond a tar header', { epoch: 2 ** 33 }],
  ])('is not asked for with %s', async (_name, options) => {
    await expect(build(['FROM base'], options)).rejects.toMatchObject({ code: 'USAGE' })
  })

  it('leaves nothing where the build is stopped', async () => {
    await expect(
      build(['FROM scratch', 'COPY a /'], { files: { a: 'a' }, signal: AbortSignal.abort() }),
    ).rejects.toMatchObject({ code: 'ABORTED' })
  })
})
