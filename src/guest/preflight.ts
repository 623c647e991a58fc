import { CosignetError, isCosignetError } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import {
  type Credentials,
  formatReference,
  parseReference,
  type Reference,
  RegistryClient,
} from '../oci/index.ts'
import { type TraceStep, toVerdict, type Verdict } from '../policy/index.ts'
import type { Container, Workload } from '../workload/index.ts'
import { guestLogin } from './guest-login.ts'
import { type Guest, type SetUpFault, type SetUpOptions, setUpGuest } from './guest-setup.ts'
import { refuseSelfSigned } from './guest-trust.ts'
import type { InitData } from './initdata.ts'
import { type GuestConfig, resolveGuestConfig } from './initdata-resolve.ts'
import { readPodInitData } from './pod-initdata.ts'
import type { PullFault } from './pull-fault.ts'
import { judgePull, type PulledContent } from './pull-image.ts'
import { imagePullError } from './pull-text.ts'

export interface PreflightOptions extends SetUpOptions {
  readonly workload: Workload
  /** Processor of the guest, as Go names it. */
  readonly architecture: string
  /** Opens HTTP that trusts what the guest trusts: the common public roots and `ca` (PEM). */
  readonly openHttp: (ca: readonly string[]) => HttpClient
}

/** What the guest will make of one container. */
export interface ContainerReport {
  readonly name: string
  readonly kind: Container['kind']
  readonly image: string
  readonly verdict: Verdict
}

/** What the guest will make of a Pod: denied if one of its containers is. */
export interface PreflightReport {
  readonly apiVersion: 'cosignet/v1'
  readonly kind: 'Preflight'
  readonly outcome: 'allowed' | 'denied'
  readonly workload: { readonly kind: string; readonly name: string }
  /** Undefined: the Pod has none. */
  readonly initData?: InitData
  /** What was found before the first image: init data, configuration, attestation, policy. */
  readonly trace: readonly TraceStep[]
  readonly containers: readonly ContainerReport[]
}

/**
 * Judges a Pod as its guest will: init data from the annotation, configuration, attestation (sample evidence), policy
 * and keys from the KBS, then each image in the order in which the containers start.
 * @throws INVALID_* for what the guest could not boot with; what leaves the decision open.
 */
export async function preflight(options: PreflightOptions): Promise<PreflightReport> {
  const { workload } = options
  const trace: TraceStep[] = []
  const { initData, kernelParams } = readPodInitData(workload, trace)
  const config = resolveGuestConfig({
    ...(initData === undefined ? {} : { initData }),
    ...(kernelParams === undefined ? {} : { kernelParams }),
  })
  for (const { message } of config.warnings) trace.push({ step: 'config', outcome: 'warning', message })
  if (config.registry.proxy !== undefined) {
    const message = 'The guest pulls through a proxy; here the registry is asked without it.'
    trace.push({ step: 'config', outcome: 'warning', message })
  }
  refuseUnjudged(config)
  const setUp = await setUpGuest(options, config, initData, trace)
  const containers = 'cause' in setUp ? denyAll(workload, setUp) : await judgeAll(options, setUp)
  return {
    apiVersion: 'cosignet/v1',
    kind: 'Preflight',
    outcome: containers.every(({ verdict }) => verdict.outcome === 'allowed') ? 'allowed' : 'denied',
    workload: { kind: workload.kind, name: workload.name },
    ...(initData === undefined ? {} : { initData }),
    trace,
    containers,
  }
}

/** What is not followed yet: a verdict on another image, or by half of the rules, would be worthless. */
function refuseUnjudged({ registry, sigstoreConfig }: GuestConfig): void {
  if (registry.configuration !== undefined) {
    throw new CosignetError(
      'UNSUPPORTED',
      'The init data configures registries (mirrors, remapping), which preflight does not follow yet.',
    )
  }
  if (sigstoreConfig.kind !== 'none') {
    throw new CosignetError(
      'UNSUPPORTED',
      'The init data configures stores of OpenPGP signatures (sigstore_config), which preflight does not follow yet.',
    )
  }
}

function denyAll(workload: Workload, { cause, verifierText }: SetUpFault): readonly ContainerReport[] {
  return workload.containers.map((container) => {
    const image = { reference: formatReference(parseReference(container.image)) }
    const verdict = toVerdict('guest', image, [], { cause, verifierText })
    return reportOf(container, verdict)
  })
}

async function judgeAll(options: PreflightOptions, guest: Guest): Promise<readonly ContainerReport[]> {
  const reports: ContainerReport[] = []
  // One after the other, as they start: what the Pod has pulled before matters to the next one.
  const pulled: PulledContent = { configs: new Set(), layers: new Set() }
  const http = options.openHttp(guest.extraRootCertificates)
  try {
    for (const container of options.workload.containers) {
      reports.push(reportOf(container, await judgeImage(options, guest, http, pulled, container.image)))
    }
  } finally {
    http.close()
  }
  return reports
}

async function judgeImage(
  { architecture, signal }: PreflightOptions,
  guest: Guest,
  http: HttpClient,
  pulled: PulledContent,
  image: string,
): Promise<Verdict> {
  const reference = parseReference(image)
  const login = findLogin(guest, reference)
  if (login !== undefined && 'cause' in login) {
    const verifierText = imagePullError(image, reference, login.reason)
    return toVerdict('guest', { reference: formatReference(reference) }, [], {
      cause: login.cause,
      verifierText,
    })
  }
  refuseSelfSigned(guest.extraRootCertificates, reference)
  const aborting = signal === undefined ? {} : { signal }
  const source = new RegistryClient({
    registry: reference.registry,
    repository: reference.repository,
    http,
    scheme: 'https',
    credentials: guestLogin(http, reference, login, signal),
  })
  const { policy, resources } = guest
  return await judgePull({ image, reference, policy, source, resources, architecture, pulled, ...aborting })
}

/** The guest looks for a log-in before it asks the registry for anything. */
function findLogin({ credentials }: Guest, reference: Reference): Credentials | PullFault | undefined {
  try {
    return credentials?.(reference)
  } catch (error) {
    if (!isCosignetError(error, 'INVALID_CONFIG')) throw error
    const fix = 'Store an auth.json in which every "auth" is the base64 of user:password.'
    return {
      cause: { code: 'guest-config-invalid', message: error.message, fix },
      reason: `Illegal registry auth for image ${formatReference(reference)} from auth config`,
    }
  }
}

function reportOf({ name, kind, image }: Container, verdict: Verdict): ContainerReport {
  return { name, kind, image, verdict }
}
