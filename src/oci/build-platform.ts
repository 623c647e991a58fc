import { CosignetError, quote } from '../core/index.ts'
import type { Platform } from './manifest.ts'

/** Names of processors that uname and users say, by the names of Go, which images have (containerd/platforms). */
const ARCHITECTURES: Readonly<Record<string, string>> = { x86_64: 'amd64', aarch64: 'arm64', i386: '386' }

/**
 * Parses `os/architecture[/variant]`, as Docker's `--platform` takes it. `arm64/v8` is `arm64`, as containerd has it.
 * @throws USAGE
 */
export function parsePlatform(text: string): Platform {
  const match = /^([a-z0-9]+)\/([a-z0-9_]+)(?:\/([a-z0-9]+))?$/.exec(text.trim().toLowerCase())
  const [, os, name, variant] = match ?? []
  if (os === undefined || name === undefined) {
    throw new CosignetError('USAGE', `${quote(text)} is not a platform such as linux/amd64.`)
  }
  const architecture = (Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined) ?? name
  const isDefault = variant === undefined || (architecture === 'arm64' && variant === 'v8')
  return { os, architecture, ...(isDefault ? {} : { variant }) }
}

/** Writes a platform as `os/architecture[/variant]`. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`
}
