import type { JsonValue } from '../core/index.ts'

/** How results are written. */
export type OutputFormat = 'text' | 'json' | 'yaml'

/** What a command did: its exit status and its result, once as data and once as text for people. */
export interface Outcome {
  /** 0 allowed or done, 1 denied, or what a flag asks for. What could not be done is thrown. */
  readonly exit: number
  readonly data: JsonValue
  /** Without a final line break; empty: nothing is printed. */
  readonly text: string
  /** Printed as they are in the place of `text`. */
  readonly bytes?: Uint8Array
}

/** What a command may use of the process that it runs in. */
export interface Cli {
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Aborted by Ctrl-C and by a request to terminate. */
  readonly signal: AbortSignal
  /** Whether a person can be asked. */
  readonly interactive: boolean
  /** How the result will be printed. */
  readonly format: OutputFormat
  /** Standard error where it is a terminal, for what is drawn there. */
  readonly terminal?: { write(text: string): void; columns(): number } | undefined
  /** Tells a person what is going on, on standard error. */
  say(message: string): void
  /** Prints a result before the command ends, for one that goes on running. */
  print(outcome: Pick<Outcome, 'data' | 'text' | 'bytes'>): void
  /** The wire log of `--debug`; undefined without it. */
  readonly trace?: (line: string) => void
}

/** Takes a value whose type has no index signature as JSON; that all in it is JSON is for the caller to see to. */
export function asJson(data: object): JsonValue {
  return data as JsonValue
}
