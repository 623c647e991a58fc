import { collectBytes, isCosignetError, type JsonValue, LIMITS, parseJson, quote } from '../core/index.ts'
import { isPlainHttpError, isUnknownAuthorityError } from '../net/index.ts'
import {
  type Digest,
  formatReference,
  type ImageManifest,
  type ImageSource,
  isDigest,
  type Manifest,
  type Reference,
} from '../oci/index.ts'
import {
  type Denial,
  type DenialCause,
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
import { findLayerFault } from './pull-layers.ts'
import { imagePullError, manifestError } from './pull-text.ts'

export interface PullOptions {
  /** As the Pod gives it. */
  readonly image: string
  readonly reference: Reference
  /** Undefined: the guest has none and accepts every image. */
  readonly policy: Policy | undefined
  /** The image's repository, reached as the guest reaches it. */
  readonly source: ImageSource
  readonly resources: ResourceProvider
  /** The guest's processor, as Go names it: `amd64`, `arm64`, `s390x`. */
  readonly architecture: string
  /** Configurations of the images that the Pod has pulled already; the guest skips the policy for those. */
  readonly pulled: Set<Digest>
  readonly signal?: AbortSignal
}

/**
 * Judges one image as the guest pulls it (image-rs `pull_task`): manifest, platform, configuration, policy, layers.
 * Nothing is stored; every digest is checked.
 * @throws what leaves the decision open: a registry or KBS that cannot be reached, and what is not judged here.
 */
export async function judgePull(options: PullOptions): Promise<Verdict> {
  const trace: TraceStep[] = []
  const name = formatReference(options.reference)
  const deny = (image: JudgedImage, cause: DenialCause, reason: string): Verdict => {
    const denial: Denial = { cause, verifierText: imagePullError(options.image, options.reference, reason) }
    return toVerdict('guest', image, trace, denial)
  }

  const found = await findManifest(options, trace)
  if ('cause' in found) return deny({ reference: name }, found.cause, found.reason)
  const { content, image } = found
  const config = await readConfig(options, content)
  if ('cause' in config) return deny(judged(image), config.cause, config.reason)

  const configDigest = content.config.digest
  if (options.pulled.has(configDigest)) {
    const message =
      'The Pod has pulled an image with this configuration already, so the guest does not ask the policy.'
    trace.push({ step: 'policy', outcome: 'warning', message, facts: { config: configDigest } })
    return toVerdict('guest', judged(image), trace, undefined)
  }
  if (options.policy === undefined) {
    const message = 'The guest has no image security policy: it accepts every image.'
    trace.push({ step: 'policy', outcome: 'warning', message })
  } else {
    const { policy, source, resources, signal } = options
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
    if (verdict.outcome === 'denied') {
      return deny(judged(image), verdict.cause, `Image policy rejected: ${verdict.verifierText}`)
    }
  }
  const fault = await findConfigFault(options, content, config.diffIds, trace)
  if (fault !== undefined) return deny(judged(image), fault.cause, fault.reason)
  options.pulled.add(configDigest)
  return toVerdict('guest', judged(image), trace, undefined)
}

interface PullFault {
  readonly cause: DenialCause
  /** The guest's own words. */
  readonly reason: string
}

interface FoundManifest {
  readonly content: ImageManifest
  readonly image: ImageToJudge
}

async function findManifest(options: PullOptions, trace: TraceStep[]): Promise<FoundManifest | PullFault> {
  const { reference, source, signal } = options
  const target = reference.digest ?? reference.tag ?? 'latest'
  try {
    const first = await source.getManifest(target, signal)
    if (first.content.kind === 'image') {
      const message = `${formatReference(reference)} is the image ${first.digest}.`
      trace.push({ step: 'manifest', outcome: 'ok', message, facts: { manifest: first.digest } })
      return { content: first.content, image: { reference, manifestDigest: first.digest } }
    }
    return await findPlatform(options, first, trace)
  } catch (error) {
    const fault = explainPullError(error, options)
    if (fault === undefined) throw error
    trace.push({ step: 'manifest', outcome: 'failed', message: fault.cause.message })
    return fault
  }
}

/** The guest takes the first entry of its system and processor, whatever its variant, and no index in an index. */
async function findPlatform(
  { reference, source, architecture, signal }: PullOptions,
  index: Manifest,
  trace: TraceStep[],
): Promise<FoundManifest | PullFault> {
  const entries = index.content.kind === 'index' ? index.content.manifests : []
  const entry = entries.find(
    ({ platform }) => platform?.os === 'linux' && platform.architecture === architecture,
  )
  const facts = { index: index.digest, platform: `linux/${architecture}` }
  if (entry === undefined) {
    const message = `The index ${index.digest} has no image for linux/${architecture}.`
    trace.push({ step: 'manifest', outcome: 'failed', message, facts })
    return {
      cause: {
        code: 'platform-missing',
        message,
        fix: `Push an image for linux/${architecture} and sign the new index, or name the guest's processor with --architecture.`,
      },
      reason: manifestError(
        "Image manifest not found: no entry found in image index manifest matching client's default platform",
      ),
    }
  }
  const manifest = await source.getManifest(entry.digest, signal)
  if (manifest.content.kind === 'index') {
    const message = `The entry for linux/${architecture} of the index ${index.digest} is an index itself.`
    return {
      cause: { code: 'image-invalid', message, fix: PUSH_AGAIN },
      reason: manifestError('Unsupported media type'),
    }
  }
  const message = `${formatReference(reference)} is the index ${index.digest}; the guest takes ${manifest.digest} from it.`
  trace.push({ step: 'manifest', outcome: 'ok', message, facts: { ...facts, manifest: manifest.digest } })
  const image = { reference, manifestDigest: manifest.digest, indexDigest: index.digest }
  return { content: manifest.content, image }
}

const PUSH_AGAIN = 'Build and push the image again, then sign it.'

async function readConfig(
  options: PullOptions,
  manifest: ImageManifest,
): Promise<{ readonly diffIds: readonly string[] | undefined } | PullFault> {
  const what = `The configuration of ${options.image}`
  try {
    const blob = options.source.getBlob(manifest.config, options.signal)
    const bytes = await collectBytes(blob, LIMITS.configBytes, what)
    return { diffIds: diffIdsOf(parseJson(bytes, what)) }
  } catch (error) {
    if (isCosignetError(error, 'INVALID_JSON')) return { diffIds: undefined }
    const fault = explainPullError(error, options)
    if (fault === undefined) throw error
    return fault
  }
}

function diffIdsOf(config: JsonValue): readonly string[] | undefined {
  const diffIds = memberOf(memberOf(config, 'rootfs'), 'diff_ids')
  if (!Array.isArray(diffIds)) return undefined
  return diffIds.every((diffId) => typeof diffId === 'string') ? diffIds : undefined
}

function memberOf(value: JsonValue | undefined, key: string): JsonValue | undefined {
  if (value === null || typeof value !== 'object' || !Object.hasOwn(value, key)) return undefined
  return (value as { readonly [key: string]: JsonValue })[key]
}

/** What the guest checks only after the policy: the list of layers, then each of them. */
async function findConfigFault(
  options: PullOptions,
  manifest: ImageManifest,
  diffIds: readonly string[] | undefined,
  trace: TraceStep[],
): Promise<PullFault | undefined> {
  const digests = diffIds?.filter((diffId) => isDigest(diffId))
  if (digests === undefined || digests.length !== manifest.layers.length) {
    const message = `The image configuration ${manifest.config.digest} does not list a diff_id for each of ${manifest.layers.length} layer(s).`
    trace.push({ step: 'layer', outcome: 'failed', message })
    return { cause: { code: 'image-invalid', message, fix: PUSH_AGAIN }, reason: 'Internal error' }
  }
  return await findLayerFault(options.source, manifest.layers, digests, trace, options.signal)
}

/** Whether the guest would fail in the same way as we did; undefined: it might not, so nothing is decided. */
function explainPullError(error: unknown, { image, reference }: PullOptions): PullFault | undefined {
  const { registry } = reference
  if (isPlainHttpError(error)) {
    return {
      cause: {
        code: 'registry-plain-http',
        message: `The registry ${registry} speaks plain HTTP; the guest speaks only HTTPS to it.`,
        fix: `Serve ${registry} over HTTPS, with a certificate that the guest trusts (cosignet initdata create --registry-ca FILE for your own authority).`,
      },
      reason: manifestError(`error sending request for url (https://${registry}/v2/)`),
    }
  }
  if (isUnknownAuthorityError(error)) {
    return {
      cause: {
        code: 'registry-untrusted',
        message: `The certificate of the registry ${registry} comes from an authority that the guest does not trust.`,
        fix: 'Put the certificate of the authority into the init data: cosignet initdata create --registry-ca FILE …',
      },
      reason: manifestError(`error sending request for url (https://${registry}/v2/)`),
    }
  }
  if (!isCosignetError(error)) return undefined
  switch (error.code) {
    case 'NOT_FOUND':
      return {
        cause: {
          code: 'image-missing',
          message: error.message,
          fix: `Push the image, or correct the name ${quote(image)} in the Pod.`,
        },
        reason: manifestError('Registry error'),
      }
    case 'UNAUTHORIZED':
    case 'FORBIDDEN':
      return {
        cause: {
          code: 'registry-refused',
          message: `The registry ${registry} does not let the guest pull ${quote(image)}: ${error.message}`,
          fix: 'Put an auth.json for the registry into the KBS and name it as authenticated_registry_credentials_uri in cdh.toml.',
        },
        reason: manifestError(`Not authorized: url https://${registry}/v2/`),
      }
    case 'DIGEST_MISMATCH':
    case 'INVALID_MANIFEST':
    case 'INVALID_JSON':
    case 'INVALID_DIGEST':
      return {
        cause: { code: 'image-invalid', message: error.message, fix: PUSH_AGAIN },
        reason: manifestError(error.message),
      }
    default:
      return undefined
  }
}
