import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cosignetDoes } from './cosignet.ts'
import { describeWithPeers } from './describe-with-peers.ts'
import { makeImage, type TestImage } from './images.ts'
import { startDockerRegistry, type TestRegistry } from './registries.ts'
import { Sandbox } from './sandbox.ts'
import { type ImageContent, imageContent, manifestDigest, skopeo } from './skopeo.ts'

const TRANSPORTS = ['docker', 'oci', 'oci-archive', 'docker-archive', 'dir'] as const
type Transport = (typeof TRANSPORTS)[number]
type Format = 'oci' | 'v2s2'

/** What skopeo can write: an OCI layout holds OCI images, an archive of Docker's has a form of its own. */
const WRITTEN: readonly { readonly from: Transport; readonly format: Format }[] = [
  { from: 'docker', format: 'oci' },
  { from: 'docker', format: 'v2s2' },
  { from: 'dir', format: 'oci' },
  { from: 'dir', format: 'v2s2' },
  { from: 'oci', format: 'oci' },
  { from: 'oci-archive', format: 'oci' },
  { from: 'docker-archive', format: 'v2s2' },
]

/** Whether the destination holds the source's manifest as it is. */
function keepsManifest({ from, format }: { from: Transport; format: Format }, to: Transport): boolean {
  if (from === 'docker-archive' || to === 'docker-archive') return false
  return format === 'oci' || to === 'docker' || to === 'dir'
}

describeWithPeers('image copy', ['skopeo', 'docker-registry'], () => {
  let sandbox: Sandbox
  let registry: TestRegistry
  let index: TestImage

  beforeAll(async () => {
    sandbox = await Sandbox.create()
    registry = await startDockerRegistry(sandbox, { tls: true })
    index = await makeImage(sandbox, ['amd64', 'arm64'])
  })
  afterAll(() => sandbox.dispose())

  describe.each(WRITTEN)('of what skopeo wrote in format $format to $from', (written) => {
    const { from, format } = written
    let source: string
    let content: ImageContent

    beforeAll(async () => {
      const { layout } = await makeImage(sandbox)
      content = await imageContent(sandbox, `oci:${layout}`)
      source = place(from, `theirs-${from}-${format}`)
      await skopeo(sandbox, 'copy', '--format', format, `oci:${layout}`, source)
    })

    it.each(TRANSPORTS)('to %s: skopeo reads the same image', async (to) => {
      const target = place(to, `ours-${from}-${format}-${to}`)
      await cosignetDoes(sandbox, ['image', 'copy', source, target])
      expect(await imageContent(sandbox, target)).toEqual(content)
      if (keepsManifest(written, to)) {
        expect(await manifestDigest(sandbox, target)).toBe(await manifestDigest(sandbox, source))
      }
    })
  })

  describe.each([
    { layers: 'plain', flags: ['--dest-decompress'] },
    { layers: 'zstd', flags: ['--dest-force-compress-format', '--dest-compress-format', 'zstd'] },
  ])('of an image with $layers layers', ({ layers, flags }) => {
    let source: string
    let content: ImageContent

    beforeAll(async () => {
      const { layout } = await makeImage(sandbox)
      source = place('oci', `theirs-${layers}`)
      await skopeo(sandbox, 'copy', ...flags, `oci:${layout}`, source)
      content = await imageContent(sandbox, source)
    })

    it.each(TRANSPORTS)('to %s: skopeo reads the same image', async (to) => {
      const target = place(to, `ours-${layers}-${to}`)
      await cosignetDoes(sandbox, ['image', 'copy', source, target])
      expect(await imageContent(sandbox, target)).toEqual(content)
      if (keepsManifest({ from: 'oci', format: 'oci' }, to)) {
        expect(await manifestDigest(sandbox, target)).toBe(await manifestDigest(sandbox, source))
      }
    })
  })

  describe.each(WRITTEN.filter(({ from }) => from !== 'docker-archive'))(
    'of an index that skopeo wrote in format $format to $from',
    (written) => {
      const { from, format } = written
      let source: string

      beforeAll(async () => {
        source = place(from, `theirs-all-${from}-${format}`)
        await skopeo(sandbox, 'copy', '--all', '--format', format, `oci:${index.layout}`, source)
      })

      it.each(TRANSPORTS.filter((to) => keepsManifest(written, to)))(
        '--all to %s: skopeo reads it whole, byte for byte',
        async (to) => {
          const name = `ours-all-${from}-${format}-${to}`
          const target = place(to, name)
          await cosignetDoes(sandbox, ['image', 'copy', '--all', source, target])
          expect(await manifestDigest(sandbox, target)).toBe(await manifestDigest(sandbox, source))
          await skopeo(sandbox, 'copy', '--all', target, place('dir', `${name}-read`))
        },
      )
    },
  )

  it.each(TRANSPORTS)('of an index to %s takes the image of the platform asked for', async (to) => {
    const target = place(to, `platform-${to}`)
    const platform = ['--override-os', 'linux', '--override-arch', 'arm64']
    await cosignetDoes(sandbox, ['image', 'copy', ...platform, `oci:${index.layout}`, target])
    const theirs = place(to, `theirs-platform-${to}`)
    await skopeo(sandbox, ...platform, 'copy', `oci:${index.layout}`, theirs)
    expect(await imageContent(sandbox, target)).toEqual(await imageContent(sandbox, theirs))
  })

  it('to oci-archive: makes the folders too, without which only root can unpack it', async () => {
    const names = async (archive: string): Promise<readonly string[]> => {
      const { stdout } = await sandbox.succeed('tar', ['--list', '--file', archive])
      return stdout.trim().split('\n').sort()
    }
    const source = `oci:${(await makeImage(sandbox)).layout}`
    await cosignetDoes(sandbox, ['image', 'copy', source, place('oci-archive', 'ours-names')])
    await skopeo(sandbox, 'copy', source, place('oci-archive', 'theirs-names'))
    expect(await names(sandbox.path('ours-names'))).toEqual(await names(sandbox.path('theirs-names')))
  })

  function place(transport: Transport, name: string): string {
    switch (transport) {
      case 'docker':
        return `docker://${registry.host}/copy/${name}:v1`
      case 'dir':
        return `dir:${sandbox.path(name)}`
      case 'docker-archive':
        return `docker-archive:${sandbox.path(name)}:example.com/copy/${name}:v1`
      default:
        return `${transport}:${sandbox.path(name)}:v1`
    }
  }
})
