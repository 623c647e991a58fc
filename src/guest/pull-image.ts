import { collectBytes, decodeUtf8, LIMITS } from '../core/index.ts'
import { type Digest, formatReference, type ImageManifest } from '../oci/index.ts'
import {
  evaluatePolicy,
  type ImageToJudge,
  type JudgedImage,
  judged,
  type Policy,
  type ResourceProvider,
  type TraceStep,
  toVerdict,
  type Verdict,
} from '../policy/index.ts'
import { readBlob } from './pull-blob.ts'
import { readImageConfig } from './pull-config.ts'
import { explainPullError, PUSH_AGAIN, type PullFault } from './pull-fault.ts'
import { findLayerFault } from './pull-layers.ts'
import { findManifest, type ManifestToFind } from './pull-manifest.ts'
import { imagePullError, manifestError } from './pull-text.ts'

export interface PullOptions extends ManifestToFind {
  /** As the Pod gives it. */
  readonly image: string
  /** Undefined: the guest has none and accepts every image. */
  readonly policy: Policy | undefined
  readonly resources: ResourceProvider
  readonly pulled: PulledContent
}

/** What the Pod has pulled before; `judgePull` adds to it. */
export interface PulledContent {
  /** Configurations of images. The guest asks no policy about an image that has one of these. */
  readonly configs: Set<Digest>
  /** Layers. The guest does not read these again. */
  readonly layers: Set<Digest>
}

/**
 * Judges one image as the guest pulls it (image-rs, `pull_task`): manifest, platform, configuration, policy, layers,
 * operating system. Nothing is stored; every digest is checked.
 * @throws what leaves the decision open: a registry or KBS that cannot be reached, and what is not judged here.
 */
export async function judgePull(options: PullOptions): Promise<Verdict> {
  const trace: TraceStep[] = []
  const found = await findManifest(options, trace)
  if ('cause' in found) return deny(options, { reference: formatReference(options.reference) }, trace, found)
  const image = judged(found.image)
  const fault = await findFault(options, found.content, found.image, trace)
  return fault === undefined
    ? toVerdict('guest', image, trace, undefined)
    : deny(options, image, trace, fault)
}

function deny(
  options: PullOptions,
  image: JudgedImage,
  trace: readonly TraceStep[],
  { cause, reason }: PullFault,
): Verdict {
  const verifierText = imagePullError(options.image, options.reference, reason)
  return toVerdict('guest', image, trace, { cause, verifierText })
}

async function findFault(
  options: PullOptions,
  manifest: ImageManifest,
  image: ImageToJudge,
  trace: TraceStep[],
): Promise<PullFault | undefined> {
  const config = await readConfig(options, manifest)
  if ('cause' in config) return config
  const id = manifest.config.digest
  if (options.pulled.configs.has(id)) {
    const message =
      'The Pod has pulled an image with this configuration already, so the guest does not ask the policy.'
    trace.push({ step: 'policy', outcome: 'warning', message, facts: { config: id } })
    return undefined
  }
  return (
    (await findPolicyFault(options, image, trace)) ??
    (await findContentFault(options, manifest, config, trace))
  )
}

async function readConfig(options: PullOptions, manifest: ImageManifest): Promise<Uint8Array | PullFault> {
  const { reference, source, signal } = options
  const { digest } = manifest.config
  const what = `The configuration ${digest}`
  let bytes: Uint8Array
  try {
    bytes = await collectBytes(readBlob(source, manifest.config, what, signal), LIMITS.configBytes, what)
  } catch (error) {
    return explainPullError(error, { reference, kind: 'blobs', target: digest })
  }
  if (decodeUtf8(bytes) !== undefined) return bytes
  return {
    cause: { code: 'image-invalid', message: `${what} is not UTF-8 text.`, fix: PUSH_AGAIN },
    reason: manifestError('Generic error: Some("Cannot not UTF8 compliant: invalid utf-8 sequence")'),
  }
}

async function findPolicyFault(
  options: PullOptions,
  image: ImageToJudge,
  trace: TraceStep[],
): Promise<PullFault | undefined> {
  const { policy, source, resources, signal } = options
  if (policy === undefined) {
    const message = 'The guest has no image security policy: it accepts every image, signed or not.'
    trace.push({ step: 'policy', outcome: 'warning', message })
    return undefined
  }
  const verdict = await evaluatePolicy({
    policy,
    profile: 'guest',
    image,
    source,
    resources,
    ...(signal === undefined ? {} : { signal }),
  })
  // The decision of the policy is not the last one: the layers come after it.
  trace.push(...verdict.trace.filter((step) => step.step !== 'decision'))
  if (verdict.outcome === 'allowed') return undefined
  return { cause: verdict.cause, reason: `Image policy rejected: ${verdict.verifierText}` }
}

/** What the guest checks only after the policy (image-rs, `create_image_meta`, `async_pull_layers`, `create_bundle`). */
async function findContentFault(
  options: PullOptions,
  manifest: ImageManifest,
  bytes: Uint8Array,
  trace: TraceStep[],
): Promise<PullFault | undefined> {
  const { source, pulled, signal } = options
  const { config, layers } = manifest
  const invalid = (reason: string, message: string): PullFault => {
    trace.push({ step: 'layer', outcome: 'failed', message })
    return { cause: { code: 'image-invalid', message, fix: PUSH_AGAIN }, reason }
  }
  const read = readImageConfig(bytes)
  if ('fault' in read) {
    return invalid(
      'Internal error',
      `The guest cannot read the configuration ${config.digest}: ${read.fault}.`,
    )
  }
  if (read.diffIds.length !== layers.length) {
    const message = `The configuration ${config.digest} lists ${read.diffIds.length} diff_ids for ${layers.length} layers.`
    return invalid('Internal error', message)
  }
  const fault = await findLayerFault({
    source,
    layers,
    diffIds: read.diffIds,
    unpacked: pulled.layers,
    trace,
    ...(signal === undefined ? {} : { signal }),
  })
  if (fault !== undefined) return fault
  for (const { digest } of layers) pulled.layers.add(digest)
  if (layers.length === 0) return invalid(NO_BUNDLE, 'The image has no layer, so there is nothing to mount.')
  if (read.os !== 'linux')
    return invalid(NO_BUNDLE, `The image is for ${JSON.stringify(read.os)}, not for linux.`)
  pulled.configs.add(config.digest)
  return undefined
}

const NO_BUNDLE = 'Failed to create bundle'
