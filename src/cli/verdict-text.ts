import type { TraceStep, Verdict } from '../policy/index.ts'

const MARKS: Readonly<Record<TraceStep['outcome'], string>> = {
  ok: 'ok  ',
  failed: 'FAIL',
  skipped: 'skip',
  warning: 'WARN',
}

/** Writes a verdict for people: the outcome, every step, and for a denial what is shown, the cause and the fix. */
export function formatVerdict(verdict: Verdict): string {
  const lines = [
    `${verdict.outcome.toUpperCase()}  ${verdict.image.reference}`,
    ...verdict.trace.flatMap(formatSteps),
  ]
  if (verdict.outcome === 'allowed') return lines.join('\n')
  const shown = verdict.profile === 'guest' ? 'Pod shows' : `${verdict.profile} says`
  return [
    ...lines,
    `  ${shown}: ${verdict.verifierText}`,
    `  cause: ${verdict.cause.message} [${verdict.cause.code}]`,
    `  fix: ${verdict.cause.fix}`,
  ].join('\n')
}

/** One line a step. */
export function formatSteps(step: TraceStep): readonly string[] {
  return step.step === 'decision' ? [] : [`  ${MARKS[step.outcome]} ${step.step}: ${step.message}`]
}
