import type { CommandContext, TypedFlagParameter, TypedPositionalParameters } from '@stricli/core'

/** Takes a value as it stands. */
export const parseText = (input: string): string => input

/** A flag that must be given. */
export function textFlag(brief: string, placeholder: string): TypedFlagParameter<string> {
  return { kind: 'parsed', parse: parseText, brief, placeholder }
}

/** A flag that may be left out. */
export function optionalText(brief: string, placeholder: string): TypedFlagParameter<string | undefined> {
  return { kind: 'parsed', parse: parseText, optional: true, brief, placeholder }
}

/** A flag that is there or not. */
export function switchFlag(brief: string): TypedFlagParameter<boolean> {
  return { kind: 'boolean', default: false, withNegated: false, brief }
}

/** One argument that must be given. */
export function oneText(
  placeholder: string,
  brief: string,
): TypedPositionalParameters<[string], CommandContext> {
  return { kind: 'tuple', parameters: [{ parse: parseText, placeholder, brief }] }
}

/** Two arguments that must be given, each as placeholder and brief. */
export function twoTexts(
  first: NameAndBrief,
  second: NameAndBrief,
): TypedPositionalParameters<[string, string], CommandContext> {
  return {
    kind: 'tuple',
    parameters: [
      { parse: parseText, placeholder: first[0], brief: first[1] },
      { parse: parseText, placeholder: second[0], brief: second[1] },
    ],
  }
}

type NameAndBrief = readonly [placeholder: string, brief: string]

/** One argument or more. */
export function manyTexts(
  placeholder: string,
  brief: string,
): TypedPositionalParameters<string[], CommandContext> {
  return { kind: 'array', minimum: 1, parameter: { parse: parseText, placeholder, brief } }
}

/** A flag that may be given more than once, or left out. */
export function repeatedText(
  brief: string,
  placeholder: string,
): TypedFlagParameter<readonly string[] | undefined> {
  return { kind: 'parsed', parse: parseText, variadic: true, optional: true, brief, placeholder }
}
