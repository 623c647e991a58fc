import type { Digest, ImageDestination, ImageSource } from '../oci/index.ts'
import {
  encodeSignatureBlob,
  mergeSignatures,
  type SignatureStore,
  toSignatureBlobs,
} from '../signature/index.ts'
import type { Attached } from './attached.ts'
import type { CopyEvent } from './events.ts'

/** The place where signatures go, and for reading what is there. */
interface AttachedTarget {
  readonly destination: ImageDestination
  readonly readable?: ImageSource & ImageDestination
  /** Where OpenPGP signatures go that the destination itself does not keep. */
  readonly signatures?: SignatureStore
}

interface AttachedImages {
  readonly attached: readonly Attached[]
  readonly openPgp: ReadonlyMap<Digest, readonly Uint8Array[]>
}

/**
 * Stores what refers to an image, whose blobs are there: signatures in files where the destination keeps them so,
 * else each manifest under its digest and its tag, and OpenPGP signatures in the store beside it. Signatures and attestations that the destination has of its own
 * stay; for an SBOM, which replaces an older one, the tag moves.
 * @throws what source and destination throw
 */
export async function putAttached(
  source: ImageSource,
  target: AttachedTarget,
  { attached, openPgp }: AttachedImages,
  onEvent: (event: CopyEvent) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { destination, signatures } = target
  const files = new Map<Digest, Uint8Array[]>([...openPgp].map(([digest, blobs]) => [digest, [...blobs]]))
  // What refers to something comes after it in the list, and is stored first.
  for (const one of attached.toReversed()) {
    if (goesToFiles(one, destination)) {
      const blobs = await toSignatureBlobs(source, one.manifest, signal)
      files.set(one.subject, [...(files.get(one.subject) ?? []), ...blobs.map(encodeSignatureBlob)])
    } else {
      await putOne(target, one, signal)
    }
    onEvent({
      kind: 'manifest',
      digest: one.manifest.digest,
      ...(one.tag === undefined ? {} : { tag: one.tag }),
    })
  }
  for (const [digest, blobs] of files) {
    if (destination.putSignatures !== undefined) await destination.putSignatures(digest, blobs)
    else await signatures?.add(digest, blobs, signal)
  }
}

/** Whether it is kept in signature files: cosign's signatures in `dir:`. */
export function goesToFiles({ tag }: Attached, { putSignatures }: ImageDestination): boolean {
  return putSignatures !== undefined && tag?.endsWith('.sig') === true
}

async function putOne(
  { destination, readable }: AttachedTarget,
  { manifest, manifests, tag }: Attached,
  signal: AbortSignal | undefined,
): Promise<void> {
  const withSignal = signal === undefined ? {} : { signal }
  for (const part of manifests) if (part !== manifest) await destination.putManifest(part, withSignal)
  if (tag === undefined) return await destination.putManifest(manifest, withSignal)
  const merges = readable !== undefined && manifest.content.kind === 'image' && !tag.endsWith('.sbom')
  if (!merges) return await destination.putManifest(manifest, { ...withSignal, tag })
  await mergeSignatures({ store: readable, tag, manifest, signal: signal ?? new AbortController().signal })
}
