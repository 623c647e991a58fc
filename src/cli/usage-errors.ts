import {
  AliasNotFoundError,
  ArgumentParseError,
  EnumValidationError,
  FlagNotFoundError,
  UnexpectedFlagError,
  UnexpectedPositionalError,
  UnsatisfiedFlagError,
  UnsatisfiedPositionalError,
} from '@stricli/core'
import { quote, reasonOf } from '../core/index.ts'

/** Says in one sentence what is wrong with a command line, from the error of the library that parses it. */
export function describeUsageError(error: unknown): string {
  if (error instanceof FlagNotFoundError) {
    const near = error.corrections.map((name) => `--${name}`).join(' or ')
    return `There is no flag ${quote(`--${error.input}`)}${near === '' ? '.' : `; did you mean ${near}?`}`
  }
  if (error instanceof AliasNotFoundError) return `There is no flag ${quote(`-${error.input}`)}.`
  if (error instanceof EnumValidationError) {
    const { externalFlagName, input, values } = error
    return `--${externalFlagName} is one of ${values.join(', ')}, not ${quote(input)}.`
  }
  if (error instanceof UnsatisfiedFlagError) return `--${error.externalFlagName} must be given, with a value.`
  if (error instanceof UnexpectedFlagError) return `--${error.externalFlagName} may be given only once.`
  if (error instanceof UnsatisfiedPositionalError) return `The argument ${error.placeholder} is missing.`
  if (error instanceof UnexpectedPositionalError)
    return `There is an argument too many: ${quote(error.input)}.`
  // Every other value is taken as text, so that only a switch can fail to parse its own.
  if (error instanceof ArgumentParseError)
    return `--${error.externalFlagNameOrPlaceholder} is a switch and takes no value such as ${quote(error.input)}.`
  return `The command line is not understood: ${reasonOf(error)}.`
}

/** A usage error for standard error: one line and where to read on. */
export function formatUsageFailure(name: string, sentences: readonly string[]): string {
  return `${name}: ${sentences.join(' ')}\n  hint: Run '${name} --help' to see what it takes.\n`
}
