import { CosignetError, encodeUtf8, isCosignetError, quote } from '../core/index.ts'
import type { KbsClient } from '../kbs/index.ts'
import type { CredentialProvider } from '../oci/index.ts'
import {
  type DenialCause,
  type Policy,
  parsePolicy,
  parseResourceLocation,
  type ResourceProvider,
  type TraceStep,
} from '../policy/index.ts'
import { parseGuestCredentials } from './guest-credentials.ts'
import { kbsResources } from './guest-resources.ts'
import type { InitData } from './initdata.ts'
import type { GuestConfig } from './initdata-resolve.ts'
import { imageClientError } from './pull-text.ts'

/** A guest that is ready to pull. */
export interface Guest {
  readonly policy: Policy | undefined
  readonly resources: ResourceProvider
  readonly credentials: CredentialProvider | undefined
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

/**
 * Does what the guest's image client does before its first pull (image-rs, `builder.rs`): fetches the policy and the
 * log-ins for registries, attesting for them.
 * @throws what leaves the decision open.
 */
export async function setUpGuest(
  options: SetUpOptions,
  config: GuestConfig,
  initData: InitData | undefined,
  trace: TraceStep[],
): Promise<Guest | SetUpFault> {
  const resources = options.resources ?? attestingResources(options, config, initData, trace)
  const boot = await findBootFault(config, resources, trace, options.signal)
  if (boot !== undefined) return boot
  const policy = await loadPolicy(config, resources, trace, options.signal)
  if (policy !== undefined && 'cause' in policy) return policy
  const credentials = await loadCredentials(config, resources, trace, options.signal)
  if (credentials !== undefined && 'cause' in credentials) return credentials
  return { policy, resources, credentials, extraRootCertificates: config.registry.extraRootCertificates }
}

/** Resources of the KBS that the guest is configured for; the first one attests. */
function attestingResources(
  options: SetUpOptions,
  config: GuestConfig,
  initData: InitData | undefined,
  trace: TraceStep[],
): ResourceProvider {
  const { kbs, tokenKbs } = config
  if (kbs === undefined || tokenKbs === undefined) return noKbs
  const client = options.openKbs(kbs.url, kbs.cert)
  let attested = false
  const resources = kbsResources(client)
  return async (location, signal) => {
    // A guest that needs nothing from the KBS never attests.
    if (!attested && location.kind === 'kbs') {
      const message = initDataMessage(initData)
      await client.attest({ tee: 'sample', ...(message === undefined ? {} : { initData: message }) })
      attested = true
      trace.push({
        step: 'attest',
        outcome: 'ok',
        message: `The KBS at ${kbs.url} accepts sample evidence and the init data.`,
        facts: { kbs: kbs.url, tee: 'sample' },
      })
    }
    return await resources(location, signal)
  }
}

function initDataMessage(initData: InitData | undefined): { format: 'toml'; body: string } | undefined {
  return initData === undefined
    ? undefined
    : { format: 'toml', body: Buffer.from(initData.bytes).toString('utf8') }
}

const noKbs: ResourceProvider = async (location) => {
  if (location.kind === 'file')
    throw new CosignetError(
      'UNSUPPORTED',
      `${quote(location.path)} lies in the root file system of the guest.`,
    )
  return {
    outcome: 'missing',
    message: `The guest has no KBS to get ${quote(location.uri)} from.`,
    fix: 'Name the KBS in the init data, in aa.toml and cdh.toml: cosignet initdata create --kbs-url URL …',
  }
}

/** What every image is denied with where a resource that the guest needs first is not released (image-rs, builder.rs). */
const NOT_RELEASED = imageClientError(
  'Initialize resource provider failed: Get resource failed: ttrpc request error',
)

async function loadPolicy(
  { policy }: GuestConfig,
  resources: ResourceProvider,
  trace: TraceStep[],
  signal: AbortSignal | undefined,
): Promise<Policy | SetUpFault | undefined> {
  if (policy.kind === 'none') return undefined
  const name = policy.kind === 'uri' ? `The policy ${policy.uri}` : 'The policy in cdh.toml'
  const loaded =
    policy.kind === 'uri' ? await fetchForGuest(policy.uri, resources, signal) : encodeUtf8(policy.text)
  if ('outcome' in loaded) {
    trace.push({ step: 'policy', outcome: 'failed', message: loaded.message })
    return {
      cause: { code: 'policy-missing', message: loaded.message, fix: loaded.fix },
      verifierText: NOT_RELEASED,
    }
  }
  try {
    const parsed = parsePolicy(loaded, name)
    const message = `${name} is valid.`
    trace.push({ step: 'policy', outcome: 'ok', message, facts: { bytes: loaded.byteLength } })
    return parsed
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_POLICY', 'INVALID_JSON')) throw error
    trace.push({ step: 'policy', outcome: 'failed', message: error.message })
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

async function loadCredentials(
  { registry }: GuestConfig,
  resources: ResourceProvider,
  trace: TraceStep[],
  signal: AbortSignal | undefined,
): Promise<CredentialProvider | SetUpFault | undefined> {
  const uri = registry.credentialsUri
  if (uri === undefined) return undefined
  const loaded = await fetchForGuest(uri, resources, signal)
  if ('outcome' in loaded) {
    trace.push({ step: 'config', outcome: 'failed', message: loaded.message })
    return {
      cause: { code: 'guest-config-invalid', message: loaded.message, fix: loaded.fix },
      verifierText: NOT_RELEASED,
    }
  }
  try {
    return parseGuestCredentials(loaded, `The registry credentials ${uri}`)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_CONFIG')) throw error
    trace.push({ step: 'config', outcome: 'failed', message: error.message })
    const fix = 'Store an auth.json in which every entry of "auths" has "auth", the base64 of user:password.'
    return {
      cause: { code: 'guest-config-invalid', message: error.message, fix },
      verifierText: imageClientError('Initialize auth module failed: Invalid registry auth file'),
    }
  }
}

/** CDH fetches `[[credentials]]` when it starts, and does not start without them. */
async function findBootFault(
  { credentials }: GuestConfig,
  resources: ResourceProvider,
  trace: TraceStep[],
  signal: AbortSignal | undefined,
): Promise<SetUpFault | undefined> {
  for (const { resourceUri } of credentials) {
    const loaded = await fetchForGuest(resourceUri, resources, signal)
    if (!('outcome' in loaded)) continue
    trace.push({ step: 'config', outcome: 'failed', message: loaded.message })
    return {
      cause: { code: 'guest-config-invalid', message: loaded.message, fix: loaded.fix },
      verifierText: 'timed out connecting to vsock',
    }
  }
  return undefined
}

type MissingResource = Extract<Awaited<ReturnType<ResourceProvider>>, { outcome: 'missing' }>

async function fetchForGuest(
  uri: string,
  resources: ResourceProvider,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | MissingResource> {
  try {
    const answer = await resources(parseResourceLocation(uri), signal)
    return answer.outcome === 'found' ? answer.bytes : answer
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_POLICY')) throw error
    return { outcome: 'missing', message: error.message, fix: 'Write it as kbs:///repository/type/tag.' }
  }
}
