import type { SeenSignature, TraceStep, Verdict } from '../policy/index.ts'
import { formatSteps } from './verdict-text.ts'
import { visible } from './visible-text.ts'

/** Writes the verdict on an image by keys for people: the outcome, each signature, what is to be known beside it. */
export function formatVerified(verdict: Verdict): string {
  const isDenied = verdict.outcome === 'denied'
  const lines = [
    `${verdict.outcome.toUpperCase()}  ${verdict.image.reference}`,
    ...(verdict.signatures ?? []).flatMap(describe),
    ...verdict.trace.filter((step) => isTold(step, isDenied)).flatMap(formatSteps),
  ]
  if (isDenied) {
    lines.push(
      `  cosign says: ${verdict.verifierText}`,
      `  cause: ${verdict.cause.message} [${verdict.cause.code}]`,
      `  fix: ${verdict.cause.fix}`,
    )
  }
  return lines.map(visible).join('\n')
}

/** Where was looked is told where not enough was found. */
function isTold({ step, outcome }: TraceStep, isDenied: boolean): boolean {
  return outcome === 'warning' || (isDenied && (step === 'signatures' || step === 'key'))
}

const KINDS: Readonly<Record<SeenSignature['kind'], string>> = {
  cosign: 'cosign signature',
  bundle: 'bundle',
  simple: 'OpenPGP signature',
}

function describe(signature: SeenSignature): readonly string[] {
  const { kind, location, signer, claims, counts, fault } = signature
  const by = signer === undefined ? '' : ` by ${signer.name} (${signer.fingerprint})`
  const reason = fault === undefined ? '' : `: ${fault.message} [${fault.code}]`
  const said = [
    ...(claims.key !== undefined && signer === undefined ? [`by ${claims.key}`] : []),
    ...(claims.reference === undefined ? [] : [`of ${claims.reference}`]),
    ...(claims.digest === undefined || counts ? [] : [claims.digest]),
    ...Object.entries(claims.annotations ?? {}).map(([key, value]) => `${key}=${value}`),
  ]
  const saying =
    said.length === 0 ? [] : [`${signer === undefined ? 'it claims to be ' : ''}${said.join(' ')}`]
  const details = [...saying, ...timeOf(signature), `in ${location}`]
  return [
    `  ${counts ? 'ok  ' : 'no  '} ${KINDS[kind]}${by}${reason}`,
    ...(signer?.userIds ?? []).map((userId) => `       ${userId}`),
    `       ${details.join(', ')}`,
  ]
}

function timeOf({ time }: SeenSignature): readonly string[] {
  if (time === undefined) return []
  return [time.claimed ? `claimed to be made ${time.at}` : `made ${time.at}`]
}
