import { isCosignetError, reasonOf } from '../core/index.ts'
import type { Manifest } from '../oci/index.ts'
import { readEachAttachment, readTagged, signatureTag } from '../signature/index.ts'
import { judgeAttachment } from './judge-attachment.ts'
import type { KeysContext } from './keys-context.ts'
import { type SeenSignature, unreadable } from './seen-signature.ts'

/** What is wrong with a signature image whoever reads it; everything else leaves the decision open. */
const UNREADABLE = ['INVALID_SIGNATURE', 'INVALID_MANIFEST', 'INVALID_JSON', 'DIGEST_MISMATCH'] as const

/**
 * Finds and judges the signatures that cosign attached to an image (tag `sha256-….sig`), each for itself. A signature
 * image that cannot be read is one signature that cannot be read.
 * @throws TOO_LARGE, and what the source throws because it cannot be reached.
 */
export async function seeCosignSignatures(context: KeysContext): Promise<readonly SeenSignature[]> {
  const { source, image, signal } = context
  const tag = tagOf(context)
  if (tag === undefined) return []
  const location = `${source.name}:${tag}`
  try {
    const manifest = await readTagged(source, tag, signal)
    const seen = manifest === undefined ? [] : await judgeEach(context, manifest, location)
    const message = `${location} holds ${seen.length} signature(s).`
    context.trace.push({
      step: 'signatures',
      outcome: seen.length > 0 ? 'ok' : 'skipped',
      message: manifest === undefined ? `There is no signature image ${location}.` : message,
      facts: { count: seen.length, digest: image.digest },
    })
    return seen
  } catch (error) {
    if (!isCosignetError(error, ...UNREADABLE)) throw error
    context.trace.push({ step: 'signatures', outcome: 'failed', message: error.message })
    return [unreadable('cosign', location, reasonOf(error))]
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
      ? unreadable('cosign', location, reasonOf(one.failure), one.descriptor.digest)
      : judgeAttachment(context, one, location),
  )
}

/** Undefined, and told of, for a digest that is too long for a tag: such an image has no signature image. */
function tagOf({ image, trace }: KeysContext): string | undefined {
  try {
    return signatureTag(image.digest)
  } catch (error) {
    if (!isCosignetError(error, 'UNSUPPORTED')) throw error
    trace.push({ step: 'signatures', outcome: 'skipped', message: error.message })
    return undefined
  }
}
