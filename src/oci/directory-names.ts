import { type Digest, digestParts } from './digest.ts'

/** The file that says of a folder that it is a `dir:` image. */
export const VERSION_FILE = 'version'
/** The manifest or index of the image. */
export const ROOT_FILE = 'manifest.json'

const MANIFEST_SUFFIX = '.manifest.json'
const COSIGN_TAG = /^sha256-[0-9a-f]{64}\.(?:sig|att|sbom)$/

/** A blob: `<hex>`, of other algorithms than SHA-256 (from version 1.2) `<algorithm>-<hex>`. */
export function blobFileOf(digest: Digest): string {
  const { algorithm, hex } = digestParts(digest)
  return algorithm === 'sha256' ? hex : `${algorithm}-${hex}`
}

/** A manifest that is not the image's own: one of an index, or a referrer. */
export function manifestFileOf(digest: Digest): string {
  return `${blobFileOf(digest)}${MANIFEST_SUFFIX}`
}

/** Text that is a digest if the file is named as a manifest is. */
export function digestOfManifestFile(file: string): string | undefined {
  const match = /^(?:(sha(?:384|512))-)?([0-9a-f]+)\.manifest\.json$/.exec(file)
  return match === null ? undefined : `${match[1] ?? 'sha256'}:${match[2]}`
}

/**
 * The manifest under a tag of cosign's (`sha256-<hex>.att`), which skopeo does not know and passes over. Other tags
 * have no place in a `dir:`.
 */
export function tagFileOf(tag: string): string | undefined {
  return COSIGN_TAG.test(tag) ? `${tag}${MANIFEST_SUFFIX}` : undefined
}

/**
 * A signature.
 * @param digest of the manifest; undefined for the image's own.
 * @param number from 1.
 */
export function signatureFileOf(digest: Digest | undefined, number: number): string {
  return `${digest === undefined ? '' : `${blobFileOf(digest)}.`}signature-${number}`
}

/** The content of `version`, as containers/image writes it. */
export function versionText(minor: 1 | 2): string {
  return `Directory Transport Version: 1.${minor}\n`
}

/** Whether it is the content of a `version` that can be read here. */
export function isVersionText(text: string): boolean {
  return /^Directory Transport Version: 1\.[012]\n$/.test(text)
}
