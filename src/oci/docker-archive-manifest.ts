import { CosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import { formatReference, parseReference, type Reference } from './reference.ts'

/** One image of a `docker save` archive, as `manifest.json` lists it. */
export interface DockerArchiveItem {
  /** Name of the member that holds the configuration. */
  readonly config: string
  /** References with a tag, as they stand there. */
  readonly repoTags: readonly string[]
  /** Names of the members that hold the layers, the lowest first. */
  readonly layers: readonly string[]
}

/** Which image of an archive: by a reference with a tag, or by its place from 0; neither for the only one. */
export interface DockerArchiveSelection {
  readonly reference?: Reference
  readonly index?: number
}

/** The member of an archive that lists its images. */
export const MANIFEST_JSON = 'manifest.json'

const KEYS = ['Config', 'RepoTags', 'Layers'] as const

/**
 * Parses the `manifest.json` of an archive (moby, image/tarexport; containers/image, docker/internal/tarfile). Names in
 * it are untrusted, and good for nothing but to look a member up.
 * @param what names it in messages.
 * @throws INVALID_IMAGE, INVALID_JSON, TOO_LARGE
 */
export function parseDockerManifest(bytes: Uint8Array, what: string): readonly DockerArchiveItem[] {
  const document = parseJson(bytes, what)
  if (!Array.isArray(document)) throw invalid(what, 'it is not a list')
  if (document.length > LIMITS.indexEntries) {
    throw new CosignetError('TOO_LARGE', `${what} has more than the limit of ${LIMITS.indexEntries} images.`)
  }
  return document.map((item: JsonValue, i) => readItem(item, `${what}, image ${i}`))
}

/** Writes the `manifest.json` of an archive with one image, byte for byte as containers/image does. */
export function encodeDockerManifest({ config, repoTags, layers }: DockerArchiveItem): string {
  return JSON.stringify([{ Config: config, RepoTags: repoTags, Layers: layers }])
}

/**
 * Chooses an image as skopeo does.
 * @param name of the archive, for messages.
 * @throws NOT_FOUND; INVALID_REFERENCE if there are several and none is named
 */
export function selectDockerImage(
  items: readonly DockerArchiveItem[],
  { reference, index }: DockerArchiveSelection,
  name: string,
): DockerArchiveItem {
  const [only, ...others] = items
  if (reference === undefined && index === undefined && others.length > 0) {
    throw new CosignetError('INVALID_REFERENCE', `${name} holds ${items.length} images: name one of them.`, {
      hint: `There are ${quote(items.map(({ repoTags }, i) => repoTags[0] ?? `@${i}`).join(', '))}.`,
    })
  }
  const wanted = reference === undefined ? undefined : formatReference(reference)
  const found =
    wanted === undefined
      ? (items[index ?? 0] ?? undefined)
      : items.find(({ repoTags }) => repoTags.some((tag) => normalised(tag) === wanted))
  if (found !== undefined) return found
  throw new CosignetError('NOT_FOUND', `${name} holds no such image.`, {
    ...(only === undefined ? {} : { hint: `It holds ${quote(items.flatMap(tagsOf).join(', '))}.` }),
  })
}

function tagsOf({ repoTags }: DockerArchiveItem, i: number): readonly string[] {
  return repoTags.length === 0 ? [`@${i}`] : repoTags
}

function readItem(item: JsonValue, what: string): DockerArchiveItem {
  if (item === null || typeof item !== 'object' || Array.isArray(item))
    throw invalid(what, 'it is not an object')
  const object = item as { readonly [key: string]: JsonValue }
  // Go reads keys in any case, so that the last of two would count to some.
  const odd = Object.keys(object).find((key) =>
    KEYS.some((known) => known !== key && known.toLowerCase() === key.toLowerCase()),
  )
  if (odd !== undefined) throw invalid(what, `it has the key ${quote(odd)}`)
  const { Config, RepoTags, Layers } = object
  if (typeof Config !== 'string') throw invalid(what, 'Config is not a string')
  const layers = strings(Layers, 'Layers', what)
  if (layers.length > LIMITS.layers) throw invalid(what, `Layers has more than ${LIMITS.layers} entries`)
  return { config: Config, repoTags: strings(RepoTags, 'RepoTags', what), layers }
}

/** Go writes an empty list as null. */
function strings(value: JsonValue | undefined, field: string, what: string): readonly string[] {
  const list = value ?? []
  if (Array.isArray(list) && list.every((entry) => typeof entry === 'string')) return list
  throw invalid(what, `${field} is not a list of strings`)
}

/** The full form of a tag, which Docker writes without `docker.io/library/`; undefined if it is none. */
function normalised(tag: string): string | undefined {
  try {
    return formatReference(parseReference(tag))
  } catch {
    return undefined
  }
}

function invalid(what: string, reason: string): CosignetError {
  return new CosignetError('INVALID_IMAGE', `${what} is not valid: ${reason}.`)
}
