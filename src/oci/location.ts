import { CosignetError, quote } from '../core/index.ts'
import { parseReference, type Reference, withoutPassword } from './reference.ts'

/** An image or a place for one, by transport and name (containers-transports(5)). */
export type ImageLocation =
  | { readonly transport: 'docker'; readonly reference: Reference }
  | { readonly transport: 'dir'; readonly path: string }
  | {
      readonly transport: 'oci' | 'oci-archive'
      readonly path: string
      /** Name in the layout (`org.opencontainers.image.ref.name`). Default: the only image. */
      readonly image?: string
      /** Place in the layout's index, from 0; to read only. */
      readonly index?: number
    }
  | {
      readonly transport: 'docker-archive'
      readonly path: string
      /** With a tag. Default when read: the only image. */
      readonly reference?: Reference
      /** Place in the archive, from 0; to read only. */
      readonly index?: number
    }
  | {
      readonly transport: 'docker-daemon'
      /** A reference with a tag, or an image ID (`sha256:…`), which can only be read. */
      readonly name: Reference | { readonly id: string }
    }

export type Transport = ImageLocation['transport']

type Parser = (rest: string, text: string) => ImageLocation

const PARSERS: Readonly<Record<Transport, Parser>> = {
  docker: parseDocker,
  dir: (path, text) => ({ transport: 'dir', path: requirePath(path, text) }),
  oci: (rest, text) => ({ transport: 'oci', ...parseLayout(rest, text) }),
  'oci-archive': (rest, text) => ({ transport: 'oci-archive', ...parseLayout(rest, text) }),
  'docker-archive': parseDockerArchive,
  'docker-daemon': parseDaemon,
}

const TRANSPORTS = 'docker://, oci:, oci-archive:, docker-archive:, dir:, docker-daemon:'

/**
 * Parses an image name as skopeo spells it: `docker://ghcr.io/a/b:c`, `oci:path[:name|:@N]`, `dir:path`. A path ends
 * at its first colon. Unlike skopeo, a reference may have both a tag and a digest; the digest decides.
 * @throws INVALID_REFERENCE
 */
export function parseLocation(text: string): ImageLocation {
  const colon = text.indexOf(':')
  const transport = text.slice(0, Math.max(colon, 0))
  if (!Object.hasOwn(PARSERS, transport)) {
    throw invalid(
      text,
      `it does not start with one of ${TRANSPORTS}`,
      text.includes('//') ? undefined : `docker://${text}`,
    )
  }
  return PARSERS[transport as Transport](text.slice(colon + 1), text)
}

function parseDocker(rest: string, text: string): ImageLocation {
  if (!rest.startsWith('//')) throw invalid(text, 'docker: is followed by two slashes', `docker://${rest}`)
  return { transport: 'docker', reference: parseReference(rest.slice(2)) }
}

function parseLayout(rest: string, text: string): { path: string; image?: string; index?: number } {
  const { path, name } = splitPath(rest, text)
  if (name === undefined || name === '') return { path }
  const index = parseIndex(name, text)
  if (index !== undefined) return { path, index }
  // image-spec, image-layout.md: what `org.opencontainers.image.ref.name` may hold, and containers/image enforces.
  if (!/^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+|\/[A-Za-z0-9]+)*$/.test(name)) {
    throw invalid(text, `${quote(name)} is not a name of an image in a layout`)
  }
  return { path, image: name }
}

function parseDockerArchive(rest: string, text: string): ImageLocation {
  const { path, name } = splitPath(rest, text)
  if (name === undefined || name === '') return { transport: 'docker-archive', path }
  const index = parseIndex(name, text)
  if (index !== undefined) return { transport: 'docker-archive', path, index }
  const reference = parseReference(name)
  if (reference.digest !== undefined) throw invalid(text, 'an image in an archive is named by a tag')
  return { transport: 'docker-archive', path, reference }
}

function parseDaemon(rest: string, text: string): ImageLocation {
  if (/^sha256:[0-9a-f]{64}$/.test(rest)) return { transport: 'docker-daemon', name: { id: rest } }
  const reference = parseReference(rest)
  if (reference.digest !== undefined) {
    throw invalid(text, 'an image in the Docker daemon is named by a tag or by its ID')
  }
  return { transport: 'docker-daemon', name: reference }
}

function splitPath(rest: string, text: string): { path: string; name: string | undefined } {
  const colon = rest.indexOf(':')
  const path = requirePath(colon === -1 ? rest : rest.slice(0, colon), text)
  return { path, name: colon === -1 ? undefined : rest.slice(colon + 1) }
}

function parseIndex(name: string, text: string): number | undefined {
  if (!name.startsWith('@')) return undefined
  if (!/^@[0-9]{1,6}$/.test(name)) throw invalid(text, `${quote(name)} is not a place such as @0`)
  return Number(name.slice(1))
}

function requirePath(path: string, text: string): string {
  if (path === '' || path.includes('\0')) throw invalid(text, 'there is no path')
  return path
}

function invalid(text: string, reason: string, meant?: string): CosignetError {
  return new CosignetError(
    'INVALID_REFERENCE',
    `${quote(withoutPassword(text))} does not name an image: ${reason}.`,
    meant === undefined ? {} : { hint: `Did you mean ${quote(withoutPassword(meant))}?` },
  )
}
