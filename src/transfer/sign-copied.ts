import { CosignetError, chunksOf, isCosignetError } from '../core/index.ts'
import type { Digest, ImageDestination, ImageSource, Manifest } from '../oci/index.ts'
import {
  addToSignatureImage,
  encodeSignatureBlob,
  findOwn,
  type ImageSigner,
  readEachAttachment,
  readTagged,
  type SignatureBlob,
  type SignatureStore,
  signatureTag,
} from '../signature/index.ts'
import type { Attached } from './attached.ts'

/** Where signatures go. */
interface SigningTarget {
  readonly destination: ImageDestination
  /** The same place for reading, where signatures that are there are kept. */
  readonly readable?: ImageSource
  /** Where OpenPGP signatures go, if the destination does not keep them itself. */
  readonly signatures?: SignatureStore
}

/** What hangs at an image at its destination: what came along, and what is signed on the way. */
export interface SignedAttachments {
  readonly attached: readonly Attached[]
  readonly openPgp: ReadonlyMap<Digest, readonly Uint8Array[]>
  /** Blobs of signatures that were made, which no source holds. */
  readonly blobs: ReadonlyMap<Digest, Uint8Array>
  /** How many signatures were made. */
  readonly made: number
}

/**
 * Says what stands against signing at a destination, before anything is copied.
 * @throws UNSUPPORTED if it cannot hold the signatures; and as `SignatureStore.checkWritable`
 */
export async function checkSigners(
  { destination, signatures }: SigningTarget,
  signers: readonly ImageSigner[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const inFiles = destination.putSignatures !== undefined
  for (const { kind } of signers) {
    const held = kind === 'sigstore' ? destination.rules.attached : inFiles || signatures !== undefined
    if (!held) throw cannotHold(destination.name, kind)
    if (kind === 'openpgp' && !inFiles) await signatures?.checkWritable(signal)
  }
}

/**
 * Signs manifests under the digests that they have at the destination, and adds the signatures to what goes there.
 * A signature that came along or is there already is not made again.
 * @param source of what came along.
 * @throws what the keys, the source and the destination throw
 */
export async function signCopied(
  signers: readonly ImageSigner[],
  digests: readonly Digest[],
  source: ImageSource,
  target: SigningTarget,
  found: Pick<SignedAttachments, 'attached' | 'openPgp'>,
  signal: AbortSignal | undefined,
): Promise<SignedAttachments> {
  const openPgp = new Map(found.openPgp)
  const blobs = new Map<Digest, Uint8Array>()
  let { attached } = found
  let made = 0
  for (const digest of digests) {
    for (const signer of signers) {
      const files = [
        ...(await carriedFiles(signer, digest, source, { attached, openPgp }, signal)),
        ...(await filesThere(signer, digest, target, signal)),
      ]
      if ((await findOwn(signer, files, digest)) !== undefined) continue
      const signature = await signer.sign(digest, signal)
      made += 1
      if (signature.kind === 'openpgp') {
        openPgp.set(digest, [...(openPgp.get(digest) ?? []), signature.bytes])
        continue
      }
      const carried = attached.find((one) => isSignatureImage(one, digest))
      const image = addToSignatureImage(carried?.manifest, [signature])
      for (const [name, bytes] of image.blobs) blobs.set(name, bytes)
      const { manifest } = image
      const tag = signatureTag(digest)
      attached = [
        ...attached.filter((one) => one !== carried),
        { subject: digest, tag, manifest, manifests: [manifest] },
      ]
    }
  }
  return { attached, openPgp, blobs, made }
}

/** Shows blobs that were made beside those of a source. */
export function withBlobs<Source extends ImageSource>(
  source: Source,
  blobs: ReadonlyMap<Digest, Uint8Array>,
): Source {
  return {
    ...source,
    getBlob: (descriptor, signal) => {
      const bytes = blobs.get(descriptor.digest)
      return bytes === undefined ? source.getBlob(descriptor, signal) : chunksOf(bytes)
    },
  }
}

async function carriedFiles(
  { kind }: ImageSigner,
  digest: Digest,
  source: ImageSource,
  { attached, openPgp }: Pick<SignedAttachments, 'attached' | 'openPgp'>,
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[]> {
  if (kind === 'openpgp') return openPgp.get(digest) ?? []
  const carried = attached.find((one) => isSignatureImage(one, digest))
  return carried === undefined ? [] : await filesOf(source, carried.manifest, signal)
}

/** What the destination holds of its own, where it is not replaced. */
async function filesThere(
  { kind }: ImageSigner,
  digest: Digest,
  { destination, readable, signatures }: SigningTarget,
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[]> {
  if (destination.putSignatures !== undefined) return []
  if (kind === 'openpgp') return signatures === undefined ? [] : await listThere(signatures, digest, signal)
  if (readable === undefined) return []
  const manifest = await readTagged(readable, signatureTag(digest), signal)
  return manifest === undefined ? [] : await filesOf(readable, manifest, signal)
}

/** A registry that keeps signatures itself has none of an image that is on its way. */
async function listThere(
  signatures: SignatureStore,
  digest: Digest,
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[]> {
  try {
    return await signatures.list(digest, signal)
  } catch (error) {
    if (isCosignetError(error, 'NOT_FOUND')) return []
    throw error
  }
}

async function filesOf(
  source: ImageSource,
  manifest: Manifest,
  signal: AbortSignal | undefined,
): Promise<readonly Uint8Array[]> {
  const found = await readEachAttachment(source, manifest, signal)
  return found.flatMap((one) => {
    if ('failure' in one) return []
    const { mediaType, annotations = {} } = one.descriptor
    const blob: SignatureBlob = { kind: 'sigstore', mediaType, payload: one.payload, annotations }
    return [encodeSignatureBlob(blob)]
  })
}

function isSignatureImage({ subject, tag }: Attached, digest: Digest): boolean {
  return subject === digest && tag?.endsWith('.sig') === true
}

function cannotHold(name: string, kind: ImageSigner['kind']): CosignetError {
  const what = kind === 'openpgp' ? 'OpenPGP signatures' : 'signatures of cosign'
  return new CosignetError('UNSUPPORTED', `${name} cannot hold ${what}.`, {
    hint: 'Copy to a registry or dir: to sign on the way.',
  })
}
