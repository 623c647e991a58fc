import { chunksOf, isCosignetError } from '../core/index.ts'
import { type Digest, type ImageSource, parseDigest } from '../oci/index.ts'
import {
  type DetachedSignatures,
  decodeSignatureBlob,
  type SignatureBlob,
  type SignatureStore,
  toSignatureImage,
} from '../signature/index.ts'

/** The store beside a source whose own files are not the signatures. */
export type SignatureReader = Pick<SignatureStore, 'name' | 'list'>

/** A source whose signature files can be read as cosign's signature tags. */
export interface SignedSource extends ImageSource {
  /** OpenPGP signatures beside a manifest, which no tag can hold. */
  listOpenPgp(digest: Digest, signal?: AbortSignal): Promise<readonly Uint8Array[]>
}

/**
 * Shows the sigstore signatures that a store keeps in files (`dir:`, a lookaside store) at the tags where cosign keeps
 * them in a registry, so that all that reads signatures reads these. Where the source has the tag itself, that is read.
 * @param beside where the signatures are, if not in the source.
 */
export function withSignatureTags(source: ImageSource, beside?: SignatureReader): SignedSource {
  const files = new Map<Digest, Promise<readonly SignatureBlob[]>>()
  const images = new Map<Digest, DetachedSignatures>()
  const filesOf = (digest: Digest, signal?: AbortSignal): Promise<readonly SignatureBlob[]> => {
    const read = files.get(digest) ?? readFiles(source, beside, digest, signal)
    files.set(digest, read)
    return read
  }
  const imageAt = async (tag: string, signal?: AbortSignal): Promise<DetachedSignatures | undefined> => {
    const subject = subjectOfTag(tag)
    const image = subject === undefined ? undefined : toSignatureImage(await filesOf(subject, signal))
    if (image !== undefined) images.set(image.manifest.digest, image)
    return image
  }
  return {
    name: source.name,
    makesManifests: source.makesManifests === true,
    getManifest: async (tagOrDigest, signal) => {
      const made = images.get(tagOrDigest as Digest)
      if (made !== undefined) return made.manifest
      try {
        return await source.getManifest(tagOrDigest, signal)
      } catch (error) {
        const image = isCosignetError(error, 'NOT_FOUND') ? await imageAt(tagOrDigest, signal) : undefined
        if (image === undefined) throw error
        return image.manifest
      }
    },
    getBlob: (descriptor, signal) => {
      for (const { blobs } of images.values()) {
        const bytes = blobs.get(descriptor.digest)
        if (bytes !== undefined) return chunksOf(bytes)
      }
      return source.getBlob(descriptor, signal)
    },
    listReferrers: (digest, signal) => source.listReferrers(digest, signal),
    listOpenPgp: async (digest, signal) =>
      (await filesOf(digest, signal)).flatMap((file) => (file.kind === 'openpgp' ? [file.bytes] : [])),
  }
}

async function readFiles(
  source: ImageSource,
  beside: SignatureReader | undefined,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly SignatureBlob[]> {
  const blobs = (await source.listSignatures?.(digest, signal)) ?? (await beside?.list(digest, signal)) ?? []
  const name = source.listSignatures === undefined ? beside?.name : source.name
  return blobs.map((bytes, i) => decodeSignatureBlob(bytes, `The signature ${i + 1} of ${digest} in ${name}`))
}

function subjectOfTag(tag: string): Digest | undefined {
  const match = /^(sha256)-([0-9a-f]{64})\.sig$/.exec(tag)
  return match === null ? undefined : parseDigest(`${match[1]}:${match[2]}`)
}
