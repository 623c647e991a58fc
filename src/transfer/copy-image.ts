import { CosignetError, LIMITS } from '../core/index.ts'
import type { Digest, ImageDestination, ImageSource, Manifest, Platform } from '../oci/index.ts'
import type { Verdict } from '../policy/index.ts'
import type { ImageSigner, SignatureStore } from '../signature/index.ts'
import { type Attached, type AttachedName, attachedName, findAttached, findOpenPgp } from './attached.ts'
import { type CompressedLayers, compressLayers } from './compress-layers.ts'
import { convertImage } from './convert-image.ts'
import type { ImageFormat } from './convert-manifest.ts'
import { type BlobCounts, blobsOf, copyBlobs } from './copy-blobs.ts'
import type { CopiedBlob, CopyEvent } from './events.ts'
import { goesToFiles, putAttached } from './put-attached.ts'
import { readImage, type SelectedImage } from './read-image.ts'
import { checkSigners, signCopied, withBlobs } from './sign-copied.ts'
import { type SignatureReader, type SignedSource, withSignatureTags } from './signature-tags.ts'

/** Where a copy goes: opened, and nothing changed yet. */
export interface CopyTarget {
  readonly destination: ImageDestination
  /** The same place for reading, where signatures that are there must be kept: a registry. */
  readonly readable?: ImageSource & ImageDestination
  /** Where OpenPGP signatures go, if the destination does not keep them itself. */
  readonly signatures?: SignatureStore
  /** Name of the image there; undefined to store it under its digest alone. */
  readonly tag: string | undefined
  /** The digest that the name at the destination demands. */
  readonly digest?: Digest
  /** Gives everything its final name. */
  commit(signal?: AbortSignal): Promise<void>
  /** Drops what was stored, so far as it has no name yet. */
  abort(): Promise<void>
}

/** An image about to be copied, for the policy. */
export interface ImageToCopy {
  readonly manifestDigest: Digest
  /** The index through which it was found. */
  readonly indexDigest?: Digest
}

export interface CopyOptions {
  readonly source: ImageSource
  /** Signatures beside the source, if it does not keep them itself. */
  readonly signatures?: SignatureReader | undefined
  /** Tag or digest in the source. */
  readonly from: string | Digest
  /** Called once the policy has agreed. */
  readonly openTarget: () => Promise<CopyTarget>
  /** Every image of an index with the index itself, or the one for a platform. */
  readonly select: 'all' | Platform
  /** Judges each image before the destination is opened. Default: none is judged. */
  readonly judge?: (source: ImageSource, image: ImageToCopy) => Promise<Verdict>
  /** Whether what refers to the image goes with it: signatures, attestations, SBOMs. */
  readonly attached: boolean
  /** Sign each manifest under its digest at the destination. Default: none. */
  readonly signers?: readonly ImageSigner[]
  /** Default: as it is, where the destination takes that. */
  readonly format?: ImageFormat
  /** Fail where the destination would need other digests. */
  readonly preserveDigests: boolean
  /** Where temporary files may be made. */
  readonly temporaryFolder: string
  readonly onEvent?: (event: CopyEvent) => void
  readonly signal?: AbortSignal
}

export interface CopiedImage {
  readonly outcome: 'copied'
  /** What the name at the destination stands for. */
  readonly digest: Digest
  /** Digests at the destination of all manifests of the image, `digest` last. */
  readonly manifests: readonly Digest[]
  readonly blobs: BlobCounts
  /** What went with it. */
  readonly attached: readonly AttachedName[]
  /** How many OpenPGP signatures went with it. */
  readonly openPgp: number
  /** How many signatures were made; one that is there is not made again. */
  readonly signed: number
  /** Where OpenPGP signatures were put that the destination does not keep itself, as `SignatureStore` tells it. */
  readonly signatureStore?: string
  /** What refers to the index out of which one image was copied, and so stayed behind. */
  readonly left: readonly AttachedName[]
}

/** The policy says no: nothing was touched. */
export interface RefusedImage {
  readonly outcome: 'denied'
  /** One an image, the denied among them. */
  readonly verdicts: readonly Verdict[]
}

/**
 * Copies an image with all that refers to it. First everything is read and judged that a decision needs, and signed;
 * then blobs go, then manifests, then signatures and other attachments; the name at the destination moves last, so that
 * it never stands for an image that is not whole or not signed yet. Digests stay as they are unless the destination
 * cannot hold the image so, or another format is asked for; an image to which a signature is bound is then refused.
 * @throws NOT_FOUND, UNSUPPORTED (what the destination cannot hold), DIGEST_MISMATCH, TOO_LARGE, ABORTED, and what
 * source, destination and policy throw
 */
export async function copyImage(options: CopyOptions): Promise<CopiedImage | RefusedImage> {
  const { from, select, signal } = options
  const source = withSignatureTags(options.source, options.signatures)
  const image = await readImage(source, from, select, signal)
  const verdicts = await judgeImages(options, source, image)
  if (verdicts.some(({ outcome }) => outcome === 'denied')) return { outcome: 'denied', verdicts }
  const attached = await readAttached(options, source, image)
  const target = await options.openTarget()
  try {
    const copied = await copyTo(options, source, target, image, attached)
    await target.commit(signal)
    return copied
  } catch (error) {
    await target.abort()
    throw error
  }
}

async function judgeImages(
  { judge }: CopyOptions,
  source: ImageSource,
  image: SelectedImage,
): Promise<readonly Verdict[]> {
  if (judge === undefined) return []
  const index = image.index ?? (image.root.content.kind === 'index' ? image.root : undefined)
  const verdicts: Verdict[] = []
  for (const { content, digest } of image.manifests) {
    if (content.kind === 'index') continue
    const indexDigest = index === undefined ? {} : { indexDigest: index.digest }
    verdicts.push(await judge(source, { manifestDigest: digest, ...indexDigest }))
  }
  return verdicts
}

/** What refers to the image, and what stays behind because it refers to the whole index. */
interface FoundAttached {
  readonly attached: readonly Attached[]
  /** OpenPGP signatures in files, by the manifest that they are beside. */
  readonly openPgp: ReadonlyMap<Digest, readonly Uint8Array[]>
  readonly left: readonly Attached[]
}

async function readAttached(
  { attached, signal }: CopyOptions,
  source: SignedSource,
  image: SelectedImage,
): Promise<FoundAttached> {
  if (!attached || source.makesManifests === true) return { attached: [], openPgp: new Map(), left: [] }
  const digests = image.manifests.map(({ digest }) => digest)
  return {
    attached: await findAttached(source, digests, signal),
    openPgp: await findOpenPgp(source, digests, signal),
    left: image.index === undefined ? [] : await findAttached(source, [image.index.digest], signal),
  }
}

async function copyTo(
  options: CopyOptions,
  source: SignedSource,
  target: CopyTarget,
  image: SelectedImage,
  found: FoundAttached,
): Promise<CopiedImage> {
  const { onEvent = () => undefined, signers = [], signal } = options
  const { destination } = target
  await refuseAttached(target, found, signal)
  await checkSigners(target, signers, signal)
  const compressed =
    source.makesManifests === true && destination.rules.compressed
      ? await compressLayers(source, image.manifests, options.temporaryFolder, signal)
      : undefined
  try {
    const converted = convertImage(image.manifests, {
      rules: destination.rules,
      name: destination.name,
      format: options.format,
      bound: boundBy(options, target, found),
      replaced: compressed?.replaced ?? new Map(),
    })
    const root = lastOf(converted)
    if (target.digest !== undefined && target.digest !== root.digest) throw otherDigest(target, root)
    const digests = converted.map(({ digest }) => digest)
    // Before a long copy that would be in vain without.
    const signed = await signCopied(signers, digests, source, target, found, signal)
    const whole = withBlobs(
      compressed === undefined ? source : withCompressed(source, compressed),
      signed.blobs,
    )
    const blobs = await copyBlobs(
      whole,
      destination,
      blobsToCopy(converted, signed, destination),
      onEvent,
      signal,
    )
    const withSignal = signal === undefined ? {} : { signal }
    for (const manifest of converted) {
      if (manifest !== root) await destination.putManifest(manifest, withSignal)
      if (manifest !== root) onEvent({ kind: 'manifest', digest: manifest.digest })
    }
    // A registry keeps signatures of what it has alone; until the tag moves, nobody knows of it.
    if (signed.openPgp.size > 0 && target.signatures !== undefined) {
      await destination.putManifest(root, withSignal)
    }
    await putAttached(whole, target, signed, onEvent, signal)
    const store = signed.openPgp.size === 0 ? undefined : await target.signatures?.checkWritable(signal)
    const named = target.tag === undefined ? {} : { tag: target.tag }
    await destination.putManifest(root, { ...withSignal, ...named })
    onEvent({ kind: 'manifest', digest: root.digest, ...named })
    return {
      outcome: 'copied',
      digest: root.digest,
      manifests: digests,
      blobs,
      attached: found.attached.map(attachedName),
      openPgp: [...found.openPgp.values()].flat().length,
      signed: signed.made,
      ...(store === undefined ? {} : { signatureStore: store }),
      left: found.left.map(attachedName),
    }
  } finally {
    await compressed?.close()
  }
}

function withCompressed(source: ImageSource, compressed: CompressedLayers): ImageSource {
  return {
    ...source,
    getBlob: (descriptor, signal) => compressed.read(descriptor) ?? source.getBlob(descriptor, signal),
  }
}

/** Why the digest must stay; undefined if nothing demands it. */
function boundBy(
  { preserveDigests }: CopyOptions,
  target: CopyTarget,
  found: FoundAttached,
): string | undefined {
  if (found.attached.length + found.openPgp.size > 0)
    return 'signatures or other referrers hang at its digest'
  if (preserveDigests) return '--preserve-digests is given'
  return target.digest === undefined ? undefined : 'the destination is named by a digest'
}

/** What could not go along is not left out unasked. */
async function refuseAttached(
  { destination, signatures }: CopyTarget,
  found: FoundAttached,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { name, rules, putSignatures } = destination
  const inFiles = putSignatures !== undefined
  if (found.openPgp.size > 0 && !inFiles) await signatures?.checkWritable(signal)
  const what =
    found.attached.length > 0 && !rules.attached
      ? `${found.attached.length} signature(s) or other referrers`
      : found.openPgp.size > 0 && !inFiles && signatures === undefined
        ? 'OpenPGP signatures'
        : undefined
  if (what === undefined) return
  throw new CosignetError('UNSUPPORTED', `${name} cannot hold the ${what} of the image.`, {
    hint: 'Copy to a registry, an OCI layout or dir:, or copy the image alone with --remove-signatures.',
  })
}

function blobsToCopy(
  manifests: readonly Manifest[],
  { attached }: Pick<FoundAttached, 'attached'>,
  destination: ImageDestination,
): readonly CopiedBlob[] {
  const own = blobsOf(manifests, 'image')
  const beside = attached.filter((one) => !goesToFiles(one, destination)).flatMap((one) => one.manifests)
  const known = new Set(own.map(({ digest }) => digest))
  const blobs = [...own, ...blobsOf(beside, 'attached').filter(({ digest }) => !known.has(digest))]
  const tooLarge = blobs.find(({ size }) => size > LIMITS.blobBytes)
  if (tooLarge === undefined) return blobs
  throw new CosignetError(
    'TOO_LARGE',
    `The blob ${tooLarge.digest} has ${tooLarge.size} bytes, more than the limit of ${LIMITS.blobBytes}.`,
  )
}

function lastOf(manifests: readonly Manifest[]): Manifest {
  const last = manifests.at(-1)
  if (last === undefined) throw new CosignetError('INTERNAL', 'An image has at least one manifest.')
  return last
}

function otherDigest({ destination, digest }: CopyTarget, root: Manifest): CosignetError {
  return new CosignetError(
    'DIGEST_MISMATCH',
    `${destination.name}@${digest} cannot be written: the image has the digest ${root.digest}.`,
  )
}
