import type { FlagParametersForType } from '@stricli/core'
import type { Platform } from '../oci/index.ts'
import { optionalText } from './flags.ts'

/** Which image of an index is meant. */
export interface PlatformFlags {
  readonly overrideOs?: string | undefined
  readonly overrideArch?: string | undefined
  readonly overrideVariant?: string | undefined
}

export const PLATFORM_FLAGS: FlagParametersForType<PlatformFlags> = {
  overrideOs: optionalText('Operating system of the image to take out of an index (default: linux)', 'OS'),
  overrideArch: optionalText('Its processor, as Go names it (default: that of this machine)', 'ARCH'),
  overrideVariant: optionalText('Variant of its processor', 'VARIANT'),
}

/** Go's names of the processors that Node has other names for. */
const GO_NAMES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
}

/** The platform that is wanted: images are for Linux, whatever the system that they are copied on. */
export function wantedPlatform(flags: PlatformFlags): Platform {
  const {
    overrideOs = 'linux',
    overrideArch = GO_NAMES[process.arch] ?? process.arch,
    overrideVariant,
  } = flags
  return {
    os: overrideOs,
    architecture: overrideArch,
    ...(overrideVariant === undefined ? {} : { variant: overrideVariant }),
  }
}
