import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { unpackTar } from 'modern-tar'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  BASE_DOCKERFILE,
  BASE_FILES,
  DOCKERFILE_CASES,
  type Files,
  writeFiles,
} from '../../test/fixtures/dockerfiles.ts'
import { collectBytes } from '../core/index.ts'
import { buildFromDockerfile } from './build-dockerfile.ts'
import type { BuiltImage } from './build-result.ts'
import type { Descriptor, Manifest } from './manifest.ts'

interface Built {
  /** Names with mode, owner, and size or target. */
  readonly files: readonly string[]
  readonly config: { readonly Env?: readonly string[] }
}

/** What buildah made of the same Dockerfiles and contexts. */
interface Recorded {
  readonly base: Built
  readonly cases: Readonly<
    Record<string, { added: readonly string[]; removed: readonly string[]; config: Built['config'] }>
  >
}

let recorded: Recorded
let root: string
let base: BuiltImage

beforeAll(async () => {
  const path = new URL('../../test/fixtures/dockerfiles-buildah.json', import.meta.url)
  recorded = JSON.parse(await readFile(path, 'utf8')) as Recorded
  root = await mkdtemp(join(tmpdir(), 'cosignet-buildah-'))
  base = await build('base', BASE_DOCKERFILE, BASE_FILES)
})
afterAll(async () => {
  await base.close()
  await rm(root, { recursive: true })
})

async function build(name: string, dockerfile: string, files: Files): Promise<BuiltImage> {
  const context = join(root, name)
  await writeFiles(context, files)
  return await buildFromDockerfile({
    dockerfile: dockerfile.replace('BASE', 'registry.example/base:1'),
    context,
    temporaryFolder: root,
    openBase: async () => ({
      source: base,
      manifest: base.root,
      config: await read(base, configIn(base.root)),
    }),
  })
}

function configIn({ content }: Manifest): Descriptor {
  if (content.kind !== 'image') throw new Error('not an image')
  return content.config
}

async function read(image: BuiltImage, descriptor: Descriptor): Promise<Buffer> {
  return Buffer.from(await collectBytes(image.getBlob(descriptor), 10_000_000, 'It'))
}

/** Lays the layers over each other, as `find` would list them. */
async function inspect(image: BuiltImage): Promise<Built> {
  const { content } = image.root
  const files = new Map<string, string>()
  for (const layer of content.kind === 'image' ? content.layers : []) {
    for (const { header } of await unpackTar(gunzipSync(await read(image, layer)))) {
      const owner = `${header.uid}:${header.gid}`
      const mode = header.mode?.toString(8)
      if (header.type === 'symlink') files.set(header.name, `${header.name} -> ${header.linkname} ${owner}`)
      else
        files.set(
          header.name,
          `${header.name} ${mode} ${owner}${header.type === 'file' ? ` ${header.size}` : ''}`,
        )
    }
  }
  const { config } = JSON.parse((await read(image, configIn(image.root))).toString()) as Built
  const { Env = [] } = config
  return { files: [...files.values()].sort(), config: { ...config, Env: Env.toSorted() } }
}

describe('buildFromDockerfile, as buildah', () => {
  it('makes the base', async () => {
    const built = await inspect(base)
    expect(built.files).toEqual(recorded.base.files.toSorted())
    expect(built.config).toEqual(recorded.base.config)
  })

  it.each(DOCKERFILE_CASES)('makes $name', async ({ name, dockerfile, files }) => {
    const expected = recorded.cases[name]
    if (expected === undefined) throw new Error(`buildah has not built ${name}`)
    const image = await build(name, dockerfile, files)
    const built = await inspect(image)
    await image.close()
    const kept = recorded.base.files.filter((file) => !expected.removed.includes(file))
    expect(built.files).toEqual([...kept, ...expected.added].sort())
    expect(built.config).toEqual(expected.config)
  })
})
