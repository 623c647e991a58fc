import { CosignetError, exitStatusOf, reasonOf } from '../core/index.ts'
import { asJson, type OutputFormat } from './cli.ts'
import { formatOutcome } from './output.ts'

/**
 * Writes a failure for standard error: one line and a hint, or one JSON or YAML document. The stack is for `--debug` alone.
 */
export function formatFailure(
  error: unknown,
  options: { readonly output: OutputFormat; readonly debug: boolean },
): string {
  const failure = toCosignetError(error)
  const { code, message, hint } = failure
  const stack = options.debug && error instanceof Error ? `${error.stack ?? ''}\n` : ''
  const text = `cosignet: ${message}${hint === undefined ? '' : `\n  hint: ${hint}`}`
  const data = asJson({ error: { code, message, hint, retryable: failure.retryable } })
  return `${stack}${formatOutcome({ data, text }, options.output)}`
}

/** The exit status for a failure: 2 (usage or input) or 3 (could not do or decide). */
export function statusOfFailure(error: unknown): 2 | 3 {
  return exitStatusOf(toCosignetError(error).code)
}

function toCosignetError(error: unknown): CosignetError {
  if (error instanceof CosignetError) return error
  if (error instanceof Error && error.name === 'AbortError') {
    return new CosignetError('ABORTED', 'Stopped before it was done.', { cause: error })
  }
  return new CosignetError('INTERNAL', `This is a mistake in cosignet: ${reasonOf(error)}.`, {
    cause: error,
    hint: 'Please report it, with what --debug prints.',
  })
}
