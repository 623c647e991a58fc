import {
  type BaseArgs,
  buildApplication,
  buildCommand,
  type CommandContext,
  type FlagParametersForType,
  run,
  type TypedCommandParameters,
  text_en,
} from '@stricli/core'
import { fileError } from '../core/index.ts'
import type { Cli, Outcome, OutputFormat } from './cli.ts'
import { formatFailure, statusOfFailure } from './failure.ts'
import { formatOutcome } from './output.ts'
import { errorTerminal, isInteractive, writeErr, writeOut } from './standard-streams.ts'
import { describeUsageError, formatUsageFailure } from './usage-errors.ts'

/** How a command is started: by its full name, with what follows it on the command line. */
export interface Invocation {
  readonly name: string
  readonly args: readonly string[]
  readonly signal: AbortSignal
}

/** Runs a command and returns its exit status. Every file in `commands/` exports one as `command`. */
export type CommandRunner = (invocation: Invocation) => Promise<number>

export interface CommandModule {
  readonly command: CommandRunner
}

/** The library's own constraint on flags, which an interface meets too. */
type FlagsOf<Flags> = Readonly<Partial<Record<keyof Flags, unknown>>>

interface CommandDefinition<Flags extends FlagsOf<Flags>, Args extends BaseArgs> {
  /** One line. */
  readonly brief: string
  /** What the help says beyond it. */
  readonly details?: string
  readonly parameters: TypedCommandParameters<Flags, Args, CommandContext>
  run(cli: Cli, flags: Flags, ...args: Args): Promise<Outcome>
}

interface CommonFlags {
  readonly output: OutputFormat
  readonly debug: boolean
}

const COMMON_FLAGS: FlagParametersForType<CommonFlags> = {
  output: {
    kind: 'enum',
    values: ['text', 'json', 'yaml'],
    default: 'text',
    brief: 'How the result is printed on standard output',
  },
  debug: {
    kind: 'boolean',
    default: false,
    withNegated: false,
    brief: 'Log what goes over the wire, without secrets',
  },
}

/** How near a flag must be to one that is not there, to be suggested: two slips of the finger. */
const NEAR = { threshold: 2, weights: { insertion: 1, deletion: 1, substitution: 1, transposition: 1 } }

/** The exit status for a command line that is not understood. */
const USAGE = 2

/** Makes a runner from what a command takes and does; adds `--output`, `--debug` and `--help`. */
export function defineCommand<const Flags extends FlagsOf<Flags>, const Args extends BaseArgs = []>(
  definition: CommandDefinition<Flags, Args>,
): CommandRunner {
  return async ({ name, args, signal }) => {
    let status: number | undefined
    const func = async (flags: Flags & CommonFlags, ...positional: Args): Promise<void> => {
      status = await runGuarded(flags, signal, (cli) => definition.run(cli, flags, ...positional))
    }
    const command = buildCommand({
      func,
      parameters: withCommonFlags(definition.parameters),
      docs: {
        brief: definition.brief,
        ...(definition.details === undefined
          ? {}
          : { fullDescription: `${definition.brief}\n\n${definition.details}` }),
      },
    })
    const application = buildApplication(command, {
      name,
      scanner: {
        caseStyle: 'allow-kebab-for-camel',
        allowArgumentEscapeSequence: true,
        distanceOptions: NEAR,
      },
      documentation: { caseStyle: 'convert-camel-to-kebab', disableAnsiColor: true },
      localization: { text: { ...text_en, exceptionWhileParsingArguments: describeUsageError } },
    })
    const help: string[] = []
    const stdout = { write: (text: string) => help.push(text) }
    const outer: { exitCode?: number | string | null } = {}
    const complaints: string[] = []
    const stderr = { write: (text: string) => complaints.push(text.trim()) }
    await run(application, args, { process: Object.assign(outer, { stdout, stderr, env: process.env }) })
    if (status !== undefined) return status
    // The command did not run: its help was asked for, or the command line is wrong.
    if (outer.exitCode === 0) return printHelp(help.join(''))
    writeErr(formatUsageFailure(name, complaints))
    return USAGE
  }
}

function printHelp(text: string): number {
  try {
    printResult(text)
    return 0
  } catch (error) {
    writeErr(formatFailure(error, { output: 'text', debug: false }))
    return statusOfFailure(error)
  }
}

/** The library types parameters by the whole set of flags, so the sum of two sets needs a word to the compiler. */
function withCommonFlags<Flags extends FlagsOf<Flags>, Args extends BaseArgs>(
  parameters: TypedCommandParameters<Flags, Args, CommandContext>,
): TypedCommandParameters<Flags & CommonFlags, Args, CommandContext> {
  const { flags, aliases } = parameters as { readonly flags?: object; readonly aliases?: object }
  return {
    ...parameters,
    flags: { ...flags, ...COMMON_FLAGS },
    aliases: { ...aliases, o: 'output' },
  } as unknown as TypedCommandParameters<Flags & CommonFlags, Args, CommandContext>
}

function printResult(content: string | Uint8Array): void {
  try {
    writeOut(content)
  } catch (error) {
    throw fileError(error, 'The result cannot be written to standard output')
  }
}

async function runGuarded(
  flags: CommonFlags,
  signal: AbortSignal,
  run: (cli: Cli) => Promise<Outcome>,
): Promise<number> {
  const cli: Cli = {
    environment: process.env,
    signal,
    // Both are found out when they matter.
    get interactive() {
      return isInteractive()
    },
    get terminal() {
      return errorTerminal()
    },
    format: flags.output,
    say: (message) => writeErr(`${message}\n`),
    print: (outcome) => {
      const asTheyAre = flags.output === 'text' ? outcome.bytes : undefined
      printResult(asTheyAre ?? formatOutcome(outcome, flags.output))
    },
    ...(flags.debug ? { trace: (line: string) => writeErr(`debug: ${line}\n`) } : {}),
  }
  try {
    const outcome = await run(cli)
    cli.print(outcome)
    return outcome.exit
  } catch (error) {
    writeErr(formatFailure(error, flags))
    return statusOfFailure(error)
  }
}
