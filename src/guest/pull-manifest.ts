import { CosignetError, isCosignetError, parseJsonTree, quote, reasonOf } from '../core/index.ts'
import {
  type Digest,
  formatReference,
  type ImageManifest,
  type ImageSource,
  type Manifest,
  type Reference,
} from '../oci/index.ts'
import type { ImageToJudge, TraceStep } from '../policy/index.ts'
import { explainPullError, PUSH_AGAIN, type PullFault } from './pull-fault.ts'
import { memberOf, shapeFault } from './pull-json.ts'
import { IMAGE_INDEX, IMAGE_MANIFEST } from './pull-shapes.ts'
import { manifestError } from './pull-text.ts'

export interface ManifestToFind {
  readonly reference: Reference
  readonly source: ImageSource
  /** The guest's processor, as Go names it. */
  readonly architecture: string
  readonly signal?: AbortSignal
}

/** The manifest that the guest takes. */
export interface FoundManifest {
  readonly content: ImageManifest
  readonly image: ImageToJudge
}

/**
 * Finds the manifest that the guest pulls (oci-client, `pull_manifest_and_config_and_list_digest`): the one of the
 * digest, else of the tag; of an index the first entry of its system and processor, whatever its variant, and no index
 * in an index.
 * @throws UNSUPPORTED where the guest may read a manifest otherwise than we do; what the source throws
 */
export async function findManifest(
  options: ManifestToFind,
  trace: TraceStep[],
): Promise<FoundManifest | PullFault> {
  const { reference } = options
  const first = await readManifest(options, reference.digest ?? reference.tag ?? 'latest')
  if ('cause' in first) return failed(trace, first)
  if (first.content.kind === 'image') {
    const message = `${formatReference(reference)} is the image ${first.digest}.`
    trace.push({ step: 'manifest', outcome: 'ok', message, facts: { manifest: first.digest } })
    return { content: first.content, image: { reference, manifestDigest: first.digest } }
  }
  return await findPlatform(options, first, trace)
}

async function findPlatform(
  options: ManifestToFind,
  index: Manifest,
  trace: TraceStep[],
): Promise<FoundManifest | PullFault> {
  const { reference, architecture } = options
  const platform = `linux/${architecture}`
  const facts = { index: index.digest, platform }
  const digest = findEntry(index, architecture)
  if (digest === undefined) {
    return failed(trace, {
      cause: {
        code: 'platform-missing',
        message: `The index ${index.digest} has no image for ${platform}.`,
        fix: `Push an image for ${platform} and sign the new index, or name the guest's processor with --architecture.`,
      },
      reason: notFound("no entry found in image index manifest matching client's default platform"),
    })
  }
  const manifest = await readManifest(options, digest)
  if ('cause' in manifest) return failed(trace, manifest)
  if (manifest.content.kind === 'index') {
    const message = `The entry for ${platform} of the index ${index.digest} is an index itself.`
    const reason = notFound('received Image Index manifest instead')
    return failed(trace, { cause: { code: 'image-invalid', message, fix: PUSH_AGAIN }, reason })
  }
  const message = `${formatReference(reference)} is the index ${index.digest}; the guest takes ${manifest.digest} from it.`
  trace.push({ step: 'manifest', outcome: 'ok', message, facts: { ...facts, manifest: manifest.digest } })
  const image = { reference, manifestDigest: manifest.digest, indexDigest: index.digest }
  return { content: manifest.content, image }
}

function findEntry({ content }: Manifest, architecture: string): Digest | undefined {
  const entries = content.kind === 'index' ? content.manifests : []
  return entries.find(({ platform }) => platform?.os === 'linux' && platform.architecture === architecture)
    ?.digest
}

/** Reads a manifest and holds it to what the guest's reader takes. */
async function readManifest(options: ManifestToFind, target: string | Digest): Promise<Manifest | PullFault> {
  const { reference, source, signal } = options
  if (/^sha(384|512):/.test(target)) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The manifest ${target} is not named by sha256; which digest the guest compares signatures with is open.`,
    )
  }
  try {
    const manifest = await source.getManifest(target, signal)
    return findFault(manifest) ?? manifest
  } catch (error) {
    if (isCosignetError(error, 'INVALID_MANIFEST', 'INVALID_JSON')) {
      throw new CosignetError(
        'UNSUPPORTED',
        `What the guest makes of ${quote(formatReference(reference))} is open, since its manifest is not what every reader takes for the same image: ${reasonOf(error)}.`,
        { cause: error, hint: PUSH_AGAIN },
      )
    }
    return explainPullError(error, { reference, kind: 'manifests', target })
  }
}

function findFault({ bytes, content, digest }: Manifest): PullFault | undefined {
  const tree = parseJsonTree(bytes, `The manifest ${digest}`)
  const shape = content.kind === 'image' ? IMAGE_MANIFEST : IMAGE_INDEX
  const fault = shapeFault(tree, shape, 'it')
  if (fault !== undefined) {
    const message = `The guest cannot read the manifest ${digest}: ${fault}.`
    const reason = 'data did not match any variant of untagged enum OciManifest'
    return {
      cause: { code: 'image-invalid', message, fix: PUSH_AGAIN },
      reason: manifestError(`Failed to parse manifest as Versioned object: ${reason}`),
    }
  }
  const layers = memberOf(tree, 'layers')
  const parts = [memberOf(tree, 'config'), ...(layers?.kind === 'array' ? layers.items : [])]
  if (parts.some((part) => hasItems(memberOf(part, 'urls')))) {
    throw new CosignetError(
      'UNSUPPORTED',
      `The manifest ${digest} has parts that may be fetched from elsewhere ("urls"), which is not judged yet.`,
    )
  }
  return undefined
}

function hasItems(node: ReturnType<typeof memberOf>): boolean {
  return node?.kind === 'array' && node.items.length > 0
}

function notFound(reason: string): string {
  return manifestError(`Image manifest not found: ${reason}`)
}

function failed(trace: TraceStep[], fault: PullFault): PullFault {
  trace.push({ step: 'manifest', outcome: 'failed', message: fault.cause.message })
  return fault
}
