import { CosignetError, LIMITS, quote } from '../../core/index.ts'

declare const resourcePathBrand: unique symbol

/** `repository/type/tag` of a resource, checked; only this file makes one. Safe in a URL and as a storage key. */
export type ResourcePath = string & { readonly [resourcePathBrand]: true }

const SCHEME = 'kbs://'
// The three groups of Trustee's ResourceDesc (kbs/src/plugins/implementations/resource/backend.rs).
const SEGMENT = '[A-Za-z0-9_-][A-Za-z0-9_.-]*'
const RESOURCE_PATH = new RegExp(`^${SEGMENT}/${SEGMENT}/${SEGMENT}$`)

/**
 * Parses `repository/type/tag` by Trustee's grammar: exactly three segments of letters, digits, `_`, `-` and `.`, none
 * beginning with `.`, so that no path climbs out. The length is bounded (LIMITS.resourcePathLength), which Trustee
 * leaves to its file system.
 * @throws INVALID_RESOURCE_PATH
 */
export function parseResourcePath(text: string): ResourcePath {
  if (!isResourcePath(text)) throw invalid(text, 'is not a resource path', 'repository/type/tag')
  return text
}

/** Whether `text` is a resource path as `parseResourcePath` takes it. */
export function isResourcePath(text: string): text is ResourcePath {
  return text.length <= LIMITS.resourcePathLength && RESOURCE_PATH.test(text)
}

/**
 * Parses `kbs:///repository/type/tag`, the form of the plugin `resource`. A host, a query and the other plugins
 * (`kbs+pkcs11://`) are refused: the guest takes the KBS from its own configuration, never from the URI.
 * @throws INVALID_RESOURCE_PATH
 */
export function parseResourceUri(text: string): ResourcePath {
  const path = text.slice(SCHEME.length + 1)
  if (!text.startsWith(`${SCHEME}/`) || !isResourcePath(path)) {
    throw invalid(text, 'is not a resource URI', 'kbs:///repository/type/tag')
  }
  return path
}

/** Writes the URI by which a guest names the resource. */
export function formatResourceUri(path: ResourcePath): string {
  return `${SCHEME}/${path}`
}

function invalid(text: string, problem: string, form: string): CosignetError {
  return new CosignetError('INVALID_RESOURCE_PATH', `${quote(text)} ${problem} such as ${form}.`, {
    hint: 'Each of the three parts holds letters, digits, "_", "-" and ".", and does not begin with ".".',
  })
}
