import { CosignetError } from '../core/index.ts'
import type { HttpClient } from '../net/index.ts'
import { type Digest, formatReference, parseReference, RegistryClient } from '../oci/index.ts'
import { type TraceStep, toVerdict, type Verdict } from '../policy/index.ts'
import type { Container, Workload } from '../workload/index.ts'
import { type Guest, type SetUpFault, type SetUpOptions, setUpGuest } from './guest-setup.ts'
import type { InitData } from './initdata.ts'
import { type GuestConfig, resolveGuestConfig } from './initdata-resolve.ts'
import { readPodInitData } from './pod-initdata.ts'
import { judgePull } from './pull-image.ts'

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

/** What changes where an image comes from is not followed yet, and a verdict on another image would be worthless. */
function refuseUnjudged(config: GuestConfig): void {
  if (config.registry.configuration === undefined) return
  throw new CosignetError(
    'UNSUPPORTED',
    'The init data configures registries (mirrors, remapping), which preflight does not follow yet.',
  )
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
  const pulled = new Set<Digest>()
  const http = options.openHttp(guest.extraRootCertificates)
  try {
    for (const container of options.workload.containers) {
      const reference = parseReference(container.image)
      const source = new RegistryClient({
        registry: reference.registry,
        repository: reference.repository,
        http,
        scheme: 'https',
        ...(guest.credentials === undefined ? {} : { credentials: guest.credentials }),
      })
      const verdict = await judgePull({
        image: container.image,
        reference,
        policy: guest.policy,
        source,
        resources: guest.resources,
        architecture: options.architecture,
        pulled,
        ...(options.signal === undefined ? {} : { signal: options.signal }),
      })
      reports.push(reportOf(container, verdict))
    }
  } finally {
    http.close()
  }
  return reports
}

function reportOf({ name, kind, image }: Container, verdict: Verdict): ContainerReport {
  return { name, kind, image, verdict }
}
