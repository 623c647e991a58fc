import { CosignetError, encodeUtf8, type JsonValue, parseJson, quote } from '../core/index.ts'
import { type Digest, digestParts } from './digest.ts'
import { type Descriptor, MEDIA_TYPES, parseManifest } from './manifest.ts'

/** The name of an image without one (`oci:path`), where a name is asked for. */
export const UNNAMED = ''

/** One entry of a layout's `index.json`. */
export interface LayoutEntry {
  readonly descriptor: Descriptor
  /** `org.opencontainers.image.ref.name`, or `UNNAMED`. */
  readonly name: string
}

const REF_NAME = 'org.opencontainers.image.ref.name'
/** By this name, with the registry's host before it, containerd and Docker know an image. */
const CONTAINERD_NAME = 'io.containerd.image.name'

/** `cosign save` gives entries no names but kinds (cosign, pkg/oci/layout). */
const COSIGN_KIND = 'kind'
const COSIGN_IMAGES: readonly string[] = [
  'dev.cosignproject.cosign/image',
  'dev.cosignproject.cosign/imageIndex',
]
const COSIGN_SUFFIXES: Readonly<Record<string, string>> = {
  'dev.cosignproject.cosign/sigs': 'sig',
  'dev.cosignproject.cosign/atts': 'att',
}

/**
 * Parses a layout's `index.json`. In a layout of `cosign save`, signatures and attestations get the name that they have
 * in a registry: the tag `sha256-<hex>.sig` or `.att` of the image that was saved.
 * @throws INVALID_MANIFEST, INVALID_JSON, TOO_LARGE
 */
export function parseLayoutIndex(bytes: Uint8Array, what: string): readonly LayoutEntry[] {
  const { content } = parseManifest(bytes, MEDIA_TYPES.ociIndex, what)
  if (content.kind !== 'index') throw new CosignetError('INVALID_MANIFEST', `${what} is not an index.`)
  const saved = content.manifests.find(isSavedImage)?.digest
  return content.manifests.map((descriptor) => ({ descriptor, name: nameOf(descriptor, saved) }))
}

/** Whether `cosign save` wrote the layout. */
export function isSavedByCosign(entries: readonly LayoutEntry[]): boolean {
  return entries.some(({ descriptor }) => isSavedImage(descriptor))
}

/**
 * Whether a name is a tag by which signatures, attestations, SBOMs or lists of referrers go with an image (cosign;
 * distribution-spec 1.1, "Referrers Tag Schema"): `sha256-<hex>`, `sha256-<hex>.sig`.
 */
export function isAttachmentName(name: string): boolean {
  return /^sha(?:256|384|512)-[0-9a-f]{64,128}(?:\.(?:sig|att|sbom))?$/.test(name)
}

/** What is to be in the index; with `UNNAMED`, just somewhere. */
export interface IndexAddition {
  readonly descriptor: Pick<Descriptor, 'mediaType' | 'digest' | 'size'>
  readonly name: string
  /** Only where the name still stands for this; `null`: only where there is no such name. */
  readonly ifMatch?: Digest | null | undefined
  /** Whether it is listed before what goes with it, so that `@0` is an image in a new layout. */
  readonly isImage: boolean
}

/**
 * Adds entries to a layout's index. A name moves to the new entry; an old entry goes unless it has another name. All
 * else in the document stays as it is.
 * @param bytes the index as it is; undefined: there is none.
 * @param what names the index in messages.
 * @returns the index, compact, and checked as a reader would.
 * @throws CONFLICT if a condition does not hold; INVALID_MANIFEST, INVALID_JSON, TOO_LARGE
 */
export function extendLayoutIndex(
  bytes: Uint8Array | undefined,
  additions: readonly IndexAddition[],
  what: string,
): Uint8Array {
  const document = bytes === undefined ? NEW_INDEX : (parseJson(bytes, what) as IndexDocument)
  const names = bytes === undefined ? [] : parseLayoutIndex(bytes, what).map(({ name }) => name)
  const listed = document.manifests.map((json, i) => ({ name: names[i] ?? UNNAMED, json }))
  const ordered = additions.toSorted((a, b) => Number(b.isImage) - Number(a.isImage))
  const extended = ordered.reduce((rows: readonly IndexRow[], row) => addRow(rows, row, what), listed)
  const manifests = extended.map(({ json }) => json)
  const written = encodeUtf8(JSON.stringify({ ...document, manifests }))
  parseLayoutIndex(written, what)
  return written
}

type JsonObject = { readonly [key: string]: JsonValue }

interface IndexDocument {
  readonly [key: string]: JsonValue
  readonly manifests: readonly JsonObject[]
}

/** An entry as it stands in the document, with all that others wrote there. */
interface IndexRow {
  readonly name: string
  readonly json: JsonObject
}

const NEW_INDEX: IndexDocument = { schemaVersion: 2, mediaType: MEDIA_TYPES.ociIndex, manifests: [] }

function addRow(
  rows: readonly IndexRow[],
  { descriptor, name, ifMatch }: IndexAddition,
  what: string,
): readonly IndexRow[] {
  const holder = rows.find((row) => row.name === name)
  const current = holder?.json['digest'] ?? null
  if (ifMatch !== undefined && current !== ifMatch) {
    const state = typeof current === 'string' ? `stands for ${current}` : 'is not there'
    throw new CosignetError('CONFLICT', `The name ${quote(name)} in ${what} ${state} by now.`, {
      hint: 'Read it again and repeat the change.',
    })
  }
  const { mediaType, digest, size } = descriptor
  const isThis = ({ json }: IndexRow): boolean => json['digest'] === digest
  const fresh: IndexRow = { name: UNNAMED, json: { mediaType, digest, size } }
  if (name === UNNAMED) return rows.some(isThis) ? rows : [...rows, fresh]
  if (holder !== undefined && isThis(holder)) return rows
  const others = rows.flatMap((row) => (row.name === name ? withoutName(row) : [row]))
  const unnamed = others.findIndex((row) => row.name === UNNAMED && isThis(row))
  const row = withName(others[unnamed] ?? fresh, name)
  return unnamed === -1 ? [...others, row] : others.with(unnamed, row)
}

function withName({ json }: IndexRow, name: string): IndexRow {
  return { name, json: { ...json, annotations: { ...annotationsOf(json), [REF_NAME]: name } } }
}

/** An entry that has lost its name: gone, unless containerd knows it by another one. */
function withoutName({ json }: IndexRow): readonly IndexRow[] {
  const annotations = annotationsOf(json)
  if (annotations[CONTAINERD_NAME] === undefined) return []
  const left = Object.entries(annotations).filter(([key]) => key !== REF_NAME)
  return [{ name: UNNAMED, json: { ...json, annotations: Object.fromEntries(left) } }]
}

function annotationsOf(json: JsonObject): JsonObject {
  return (json['annotations'] ?? {}) as JsonObject
}

function nameOf({ annotations }: Descriptor, saved: Digest | undefined): string {
  const name = annotations?.[REF_NAME]
  if (name !== undefined) return name
  const kind = annotations?.[COSIGN_KIND] ?? ''
  const suffix = Object.hasOwn(COSIGN_SUFFIXES, kind) ? COSIGN_SUFFIXES[kind] : undefined
  if (saved === undefined || suffix === undefined) return UNNAMED
  const { algorithm, hex } = digestParts(saved)
  return `${algorithm}-${hex}.${suffix}`
}

function isSavedImage({ annotations }: Descriptor): boolean {
  return COSIGN_IMAGES.includes(annotations?.[COSIGN_KIND] ?? '')
}
