import { isCosignetError } from '../core/index.ts'
import type { Digest, Manifest } from '../oci/index.ts'
import { readEachAttachment, readTagged, signatureTag } from '../signature/index.ts'
import { judgeAttachment } from './judge-attachment.ts'
import type { KeysContext } from './keys-context.ts'
import { type SeenSignature, type Sighting, sighting, unreadable } from './seen-signature.ts'
import type { TraceStep } from './trace.ts'

/** What is wrong with a signature image whoever reads it; everything else leaves the decision open. */
export const UNREADABLE = [
  'INVALID_SIGNATURE',
  'INVALID_MANIFEST',
  'INVALID_JSON',
  'DIGEST_MISMATCH',
] as const

/**
 * Finds and judges the signatures that cosign attached to an image (tag `sha256-….sig`), each for itself. A signature
 * image that cannot be read is one signature that cannot be read.
 * @throws TOO_LARGE, and what the source throws because it cannot be reached.
 */
export async function seeCosignSignatures(context: KeysContext): Promise<Sighting> {
  const { source, image, signal } = context
  const tag = tagOf(image.digest)
  if (typeof tag !== 'string') return { step: tag, seen: [] }
  const location = `${source.name}:${tag}`
  try {
    const manifest = await readTagged(source, tag, signal)
    const seen = manifest === undefined ? [] : await judgeEach(context, manifest, location)
    const message =
      manifest === undefined
        ? `There is no signature image ${location}.`
        : `${location} holds ${seen.length} signature(s).`
    return sighting(message, seen)
  } catch (error) {
    if (!isCosignetError(error, ...UNREADABLE)) throw error
    return sighting(`${location} cannot be read.`, [unreadable('cosign', location, error.message)])
  }
}

async function judgeEach(
  context: KeysContext,
  manifest: Manifest,
  location: string,
): Promise<readonly SeenSignature[]> {
  const found = await readEachAttachment(context.source, manifest, context.signal)
  return found.map((one) =>
    'failure' in one
      ? unreadable('cosign', location, one.failure.message, one.descriptor.digest)
      : judgeAttachment(context, one, location),
  )
}

/** The tag; or why an image has no signature image: its digest is too long for a tag. */
function tagOf(digest: Digest): string | TraceStep {
  try {
    return signatureTag(digest)
  } catch (error) {
    if (!isCosignetError(error, 'UNSUPPORTED')) throw error
    return { step: 'signatures', outcome: 'skipped', message: error.message }
  }
}
