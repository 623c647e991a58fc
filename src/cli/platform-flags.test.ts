import { afterEach, describe, expect, it, vi } from 'vitest'
import { wantedPlatform } from './platform-flags.ts'

afterEach(() => vi.unstubAllGlobals())

describe('wantedPlatform', () => {
  // Left Node's names (process.arch), right Go's (GOARCH, go.dev/doc/install/source#environment).
  it.each([
    ['x64', 'amd64'],
    ['arm64', 'arm64'],
    ['arm', 'arm'],
    ['ia32', '386'],
    ['ppc64', 'ppc64le'],
    ['s390x', 's390x'],
    ['riscv64', 'riscv64'],
    ['loong64', 'loong64'],
    ['mipsel', 'mipsle'],
  ])('is Linux on this processor, by the name that Go has for %s', (arch, architecture) => {
    vi.stubGlobal('process', { arch, platform: 'darwin' })
    expect(wantedPlatform({})).toEqual({ os: 'linux', architecture })
  })

  it('is what the flags say', () => {
    const flags = { overrideOs: 'windows', overrideArch: 'arm', overrideVariant: 'v7' }
    expect(wantedPlatform(flags)).toEqual({ os: 'windows', architecture: 'arm', variant: 'v7' })
  })
})
