import { describe, expect, it } from 'vitest'
import { type Descriptor, digestOf, type IndexManifest, MEDIA_TYPES, type Platform } from '../oci/index.ts'
import { chooseInstance } from './platform.ts'

const PLATFORMS: Readonly<Record<string, Platform | undefined>> = {
  amd64: { os: 'linux', architecture: 'amd64' },
  v5: { os: 'linux', architecture: 'arm', variant: 'v5' },
  v7: { os: 'linux', architecture: 'arm', variant: 'v7' },
  v8: { os: 'linux', architecture: 'arm', variant: 'v8' },
  arm: { os: 'linux', architecture: 'arm' },
  arm64v8: { os: 'linux', architecture: 'arm64', variant: 'v8' },
  windows: { os: 'windows', architecture: 'amd64' },
  none: undefined,
}

// The cases follow containers/image, internal/pkg/platform/platform_matcher.go: WantedPlatforms.
describe('chooseInstance', () => {
  it.each([
    { there: ['windows', 'amd64'], wanted: 'linux/amd64', chosen: 'amd64' },
    { there: ['v8', 'arm'], wanted: 'linux/arm', chosen: 'arm' },
    { there: ['v5', 'v7'], wanted: 'linux/arm', chosen: 'v7' },
    { there: ['v5', 'v7', 'v8'], wanted: 'linux/arm/v7', chosen: 'v7' },
    { there: ['v5', 'v8'], wanted: 'linux/arm/v7', chosen: 'v5' },
    { there: ['arm', 'v8'], wanted: 'linux/arm/v7', chosen: 'arm' },
    { there: ['arm', 'v5'], wanted: 'linux/arm/v6', chosen: 'v5' },
    { there: ['arm64v8'], wanted: 'linux/arm64', chosen: 'arm64v8' },
    { there: ['amd64'], wanted: 'linux/amd64/v3', chosen: 'amd64' },
    { there: ['none', 'amd64'], wanted: 'linux/amd64', chosen: 'amd64' },
    { there: ['none', 'windows'], wanted: 'linux/amd64', chosen: 'none' },
  ])('takes $chosen of $there for $wanted', ({ there, wanted, chosen }) => {
    expect(chooseInstance(indexOf(there), parse(wanted), 'The index').digest).toBe(digestFor(chosen))
  })

  it.each([
    { there: ['v8'], wanted: 'linux/arm/v7' },
    { there: ['windows'], wanted: 'linux/amd64' },
    { there: [], wanted: 'linux/constructor' },
  ])('finds none in $there for $wanted', ({ there, wanted }) => {
    expect(() => chooseInstance(indexOf(there), parse(wanted), 'The index')).toThrowError(
      expect.objectContaining({ code: 'NOT_FOUND', message: `The index has no image for ${wanted}.` }),
    )
  })

  it('takes the first of two that are the same', () => {
    const [first, second] = [entry('amd64', 'a'), entry('amd64', 'b')]
    const index: IndexManifest = { kind: 'index', manifests: [first, second] }
    expect(chooseInstance(index, parse('linux/amd64'), 'The index')).toBe(first)
  })
})

function parse(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/')
  return { os, architecture, ...(variant === undefined ? {} : { variant }) }
}

function indexOf(names: readonly string[]): IndexManifest {
  return { kind: 'index', manifests: names.map((name) => entry(name, name)) }
}

function entry(name: string, content: string): Descriptor {
  const platform = PLATFORMS[name]
  return {
    mediaType: MEDIA_TYPES.ociManifest,
    digest: digestFor(content),
    size: 1,
    ...(platform === undefined ? {} : { platform }),
  }
}

function digestFor(text: string): Descriptor['digest'] {
  return digestOf(Buffer.from(text))
}
