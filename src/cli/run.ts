import type { CommandModule } from './command.ts'
import { COMMANDS } from './commands.ts'
import { formatHelp, type Route, resolveRoute } from './router.ts'
import { writeErr, writeOut } from './standard-streams.ts'

/**
 * Runs one command line.
 * @param args what follows the program's name.
 * @returns the exit status: 0 allowed or done, 1 denied, 2 wrong usage or input, 3 could not do or decide.
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  // Node would end with 1, which says "denied".
  process.on('uncaughtException', (error) => void crash(error, args.includes('--debug')))
  const route = resolveRoute(COMMANDS, args)
  switch (route.kind) {
    case 'help':
      writeOut(formatHelp(COMMANDS, route.noun))
      return 0
    case 'version':
      return printVersion()
    case 'unknown':
      return await refuseUnknown(route)
    case 'command':
      return runCommand(route)
  }
}

async function runCommand(route: Extract<Route, { kind: 'command' }>): Promise<number> {
  const abort = new AbortController()
  let interrupted = false
  const stop = (): void => {
    // The first Ctrl-C lets the command clean up; the second one does not wait for it.
    if (interrupted) process.exit(3)
    interrupted = true
    abort.abort()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  try {
    const module: CommandModule = await route.command.load()
    return await module.command({
      name: `cosignet ${route.command.name}`,
      args: route.args,
      signal: abort.signal,
    })
  } finally {
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
  }
}

async function refuseUnknown({ given, near, noun }: Extract<Route, { kind: 'unknown' }>): Promise<number> {
  const [{ CosignetError, quote }, { formatFailure, statusOfFailure }] = await Promise.all([
    import('../core/index.ts'),
    import('./failure.ts'),
  ])
  const suggestion = near.length === 0 ? '.' : `; did you mean ${near.join(' or ')}?`
  const error = new CosignetError('USAGE', `There is no command ${quote(given)}${suggestion}`, {
    hint: `Run 'cosignet ${noun === undefined ? '' : `${noun} `}--help' for the list.`,
  })
  writeErr(formatFailure(error, { output: 'text', debug: false }))
  return statusOfFailure(error)
}

async function crash(error: unknown, debug: boolean): Promise<void> {
  try {
    const { formatFailure } = await import('./failure.ts')
    writeErr(formatFailure(error, { output: 'text', debug }))
  } finally {
    process.exit(3)
  }
}

async function printVersion(): Promise<number> {
  const { VERSION } = await import('./version.ts')
  writeOut(`cosignet ${VERSION}\n`)
  return 0
}
