import { encodeUtf8, isCosignetError, quote } from '../core/index.ts'
import type { KbsClient } from '../kbs/index.ts'
import {
  type DenialCause,
  type Policy,
  parsePolicy,
  parseResourceLocation,
  type ResourceProvider,
  type TraceStep,
} from '../policy/index.ts'
import { parseCdhConfig } from './cdh-config.ts'
import { type GuestCredentials, parseGuestCredentials } from './guest-credentials.ts'
import { attestingResources } from './guest-kbs.ts'
import type { InitData } from './initdata.ts'
import type { GuestConfig } from './initdata-resolve.ts'
import { imageClientError } from './pull-text.ts'

/** A guest that is ready to pull. */
export interface Guest {
  readonly policy: Policy | undefined
  readonly resources: ResourceProvider
  readonly credentials: GuestCredentials | undefined
  /** PEM. */
  readonly extraRootCertificates: readonly string[]
}

/** Why no image is pulled at all. */
export interface SetUpFault {
  readonly cause: DenialCause
  /** What every Pod shows that is denied for it. */
  readonly verifierText: string
}

export interface SetUpOptions {
  /** Resources to use in place of the KBS that the Pod names. */
  readonly resources?: ResourceProvider
  /** Opens a client of the KBS at `url`, whose certificate `cert` (PEM) vouches for. */
  readonly openKbs: (url: string, cert: string | undefined) => KbsClient
  readonly signal?: AbortSignal
}

interface SetUp {
  readonly config: GuestConfig
  readonly resources: ResourceProvider
  readonly trace: TraceStep[]
  readonly signal: AbortSignal | undefined
}

/**
 * Does what the guest does before its first pull: CDH fetches its credentials, then its image client the log-ins for
 * registries and the policy (image-rs, `builder.rs`), attesting for them.
 * @throws what leaves the decision open.
 */
export async function setUpGuest(
  options: SetUpOptions,
  config: GuestConfig,
  initData: InitData | undefined,
  trace: TraceStep[],
): Promise<Guest | SetUpFault> {
  const resources = attestingResources(options, config, initData, trace)
  const setUp = { config, resources, trace, signal: options.signal }
  const boot = findNameFault(initData, trace) ?? (await findBootFault(setUp))
  if (boot !== undefined) return boot
  const credentials = await loadCredentials(setUp)
  if (credentials !== undefined && 'cause' in credentials) return credentials
  const policy = await loadPolicy(setUp)
  if (policy !== undefined && 'cause' in policy) return policy
  return { policy, resources, credentials, extraRootCertificates: config.registry.extraRootCertificates }
}

/** What a Pod shows whose guest did not come up (kata-agent). */
const NOT_BOOTED = 'timed out connecting to vsock'

/** CDH makes its client of the KBS when it starts, and knows two kinds (CDH, `kbs/mod.rs`). */
function findNameFault(initData: InitData | undefined, trace: TraceStep[]): SetUpFault | undefined {
  const text = initData?.data.get('cdh.toml')
  const name = text === undefined ? 'cc_kbc' : parseCdhConfig(text, 'cdh.toml').kbc.name
  if (name === 'cc_kbc' || name === 'offline_fs_kbc') return undefined
  const message = `cdh.toml names the KBC ${quote(name)}, which CDH does not know, so that it does not start.`
  trace.push({ step: 'config', outcome: 'failed', message })
  const fix = 'Write name = "cc_kbc" into the table [kbc] of cdh.toml.'
  return { cause: { code: 'guest-config-invalid', message, fix }, verifierText: NOT_BOOTED }
}

/** CDH fetches `[[credentials]]` when it starts, and does not start without them. */
async function findBootFault({ config, ...setUp }: SetUp): Promise<SetUpFault | undefined> {
  for (const { resourceUri } of config.credentials) {
    const loaded = /^kbs(\+[^:]*)?:/i.test(resourceUri)
      ? await fetchForGuest(resourceUri, setUp)
      : missing(`The credential ${quote(resourceUri)} is not a kbs:/// URI, the only kind that CDH fetches.`)
    if (!('message' in loaded)) continue
    setUp.trace.push({ step: 'config', outcome: 'failed', message: loaded.message })
    return { cause: { code: 'guest-config-invalid', ...causeOf(loaded) }, verifierText: NOT_BOOTED }
  }
  return undefined
}

async function loadCredentials({
  config,
  ...setUp
}: SetUp): Promise<GuestCredentials | SetUpFault | undefined> {
  const uri = config.registry.credentialsUri
  if (uri === undefined) return undefined
  const loaded = await fetchForGuest(uri, setUp)
  if ('message' in loaded) {
    setUp.trace.push({ step: 'config', outcome: 'failed', message: loaded.message })
    return {
      cause: { code: 'guest-config-invalid', ...causeOf(loaded) },
      verifierText: notReleased(loaded.reason),
    }
  }
  try {
    return parseGuestCredentials(loaded, `The registry credentials ${uri}`)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_CONFIG')) throw error
    setUp.trace.push({ step: 'config', outcome: 'failed', message: error.message })
    const fix = 'Store an auth.json in which every entry of "auths" has "auth", the base64 of user:password.'
    return {
      cause: { code: 'guest-config-invalid', message: error.message, fix },
      verifierText: imageClientError('Initialize auth module failed: Invalid registry auth file'),
    }
  }
}

async function loadPolicy({ config, ...setUp }: SetUp): Promise<Policy | SetUpFault | undefined> {
  const { policy } = config
  if (policy.kind === 'none') return undefined
  const name = policy.kind === 'uri' ? `The policy ${policy.uri}` : 'The policy in cdh.toml'
  const loaded = policy.kind === 'uri' ? await fetchForGuest(policy.uri, setUp) : encodeUtf8(policy.text)
  if ('message' in loaded) {
    setUp.trace.push({ step: 'policy', outcome: 'failed', message: loaded.message })
    return {
      cause: { code: 'policy-missing', ...causeOf(loaded) },
      verifierText: notReleased(loaded.reason),
    }
  }
  try {
    const parsed = parsePolicy(loaded, name)
    const message = `${name} is valid.`
    setUp.trace.push({ step: 'policy', outcome: 'ok', message, facts: { bytes: loaded.byteLength } })
    return parsed
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_POLICY', 'INVALID_JSON')) throw error
    setUp.trace.push({ step: 'policy', outcome: 'failed', message: error.message })
    return {
      cause: {
        code: 'policy-invalid',
        message: error.message,
        fix: 'Correct the policy and store it again: cosignet kbs set-resource …',
      },
      verifierText: imageClientError('Initialize signature validator failed: Invalid image policy file'),
    }
  }
}

/** A resource that the guest would not get either. */
interface Missing {
  readonly message: string
  readonly fix: string
  /** The guest's words. */
  readonly reason: string
}

async function fetchForGuest(
  uri: string,
  { resources, signal }: Pick<SetUp, 'resources' | 'signal'>,
): Promise<Uint8Array | Missing> {
  try {
    const answer = await resources(parseResourceLocation(uri), signal)
    return answer.outcome === 'found' ? answer.bytes : { ...missing(answer.message), fix: answer.fix }
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_POLICY')) throw error
    const scheme = /^Resource URI scheme `[^`]*` not supported/.exec(error.message)?.[0]
    return {
      ...missing(error.message),
      reason: scheme ?? 'Get resource failed: Failed to parse resource uri: RelativeUrlWithoutBase',
    }
  }
}

function missing(message: string): Missing {
  return {
    message,
    fix: 'Write it as kbs:///repository/type/tag.',
    reason: 'Get resource failed: ttrpc request error',
  }
}

function causeOf({ message, fix }: Missing): Pick<DenialCause, 'message' | 'fix'> {
  return { message, fix }
}

/** What every image is denied with where a resource that the guest needs first is not released. */
function notReleased(reason: string): string {
  return imageClientError(`Initialize resource provider failed: ${reason}`)
}
