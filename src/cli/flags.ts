import type { TypedFlagParameter } from '@stricli/core'

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
