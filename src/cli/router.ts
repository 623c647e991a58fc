import type { CommandModule } from './command.ts'

/** A row of the command table; the module is loaded only when the command runs. */
export interface CommandEntry {
  /** `sign`, or noun and verb: `key generate`. */
  readonly name: string
  /** One line for the overview. */
  readonly brief: string
  load(): Promise<CommandModule>
}

/** Where a command line leads. */
export type Route =
  | { readonly kind: 'command'; readonly command: CommandEntry; readonly args: readonly string[] }
  | { readonly kind: 'help'; readonly noun?: string }
  | { readonly kind: 'version' }
  /** `near`: names that may have been meant; `noun`: whose verbs they are. */
  | {
      readonly kind: 'unknown'
      readonly given: string
      readonly near: readonly string[]
      readonly noun?: string
    }

const HELP = new Set(['--help', '-h', 'help'])

/** Finds the command that `args` name by their first one or two words. */
export function resolveRoute(commands: readonly CommandEntry[], args: readonly string[]): Route {
  const [first, second] = args
  if (first === undefined || HELP.has(first)) return { kind: 'help' }
  if (first === '--version' || first === 'version') return { kind: 'version' }
  const verb = commands.find((command) => command.name === first)
  if (verb !== undefined) return { kind: 'command', command: verb, args: args.slice(1) }
  const group = commands.filter((command) => command.name.startsWith(`${first} `))
  if (group.length === 0) {
    const words = new Set(commands.map(({ name }) => name.split(' ')[0] ?? ''))
    return { kind: 'unknown', given: first, near: nearTo(first, [...words]) }
  }
  if (second === undefined || HELP.has(second)) return { kind: 'help', noun: first }
  const found = group.find((command) => command.name === `${first} ${second}`)
  if (found !== undefined) return { kind: 'command', command: found, args: args.slice(2) }
  const given = `${first} ${second}`
  const near = nearTo(
    given,
    group.map(({ name }) => name),
  )
  return { kind: 'unknown', given, near, noun: first }
}

/** The overview of all commands, or of those under one noun. */
export function formatHelp(commands: readonly CommandEntry[], noun?: string): string {
  const shown = commands.filter((command) => noun === undefined || command.name.startsWith(`${noun} `))
  const width = Math.max(...shown.map((command) => command.name.length))
  const rows = shown.map((command) => `  ${command.name.padEnd(width)}  ${command.brief}`)
  const usage =
    noun === undefined
      ? 'cosignet <command> [flags] [arguments]'
      : `cosignet ${noun} <verb> [flags] [arguments]`
  return [
    'Signed images for Confidential Containers: sign, register, bind, and know what the guest will decide.',
    '',
    `Usage: ${usage}`,
    '',
    ...rows,
    '',
    "Each command has --help, -o text|json|yaml and --debug. 'cosignet --version' prints the version.",
    'Exit status: 0 allowed or done, 1 denied, 2 wrong usage or input, 3 could not do or decide.',
    '',
  ].join('\n')
}

/** The names that are two slips of the finger or less from what was given. */
function nearTo(given: string, names: readonly string[]): readonly string[] {
  const longest = Math.max(...names.map((name) => name.length))
  return given.length > longest + 2 ? [] : names.filter((name) => editDistance(given, name) <= 2)
}

/** Insertions, deletions and replacements that turn one text into the other (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, i) => i)
  for (const [i, character] of [...from].entries()) {
    const next = [i + 1]
    for (const [j, other] of [...to].entries()) {
      const replaced = (row[j] ?? 0) + (character === other ? 0 : 1)
      next.push(Math.min(replaced, (row[j + 1] ?? 0) + 1, (next[j] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}
