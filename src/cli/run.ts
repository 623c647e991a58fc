import type { CommandModule } from './command.ts'
import { COMMANDS } from './commands.ts'
import { formatHelp, type Route, resolveRoute } from './router.ts'

/**
 * Runs one command line.
 * @param args what follows the program's name.
 * @returns the exit status: 0 allowed or done, 1 denied, 2 wrong usage or input, 3 could not do or decide.
 */
export async function runCommandLine(args: readonly string[]): Promise<number> {
  const route = resolveRoute(COMMANDS, args)
  switch (route.kind) {
    case 'help':
      process.stdout.write(formatHelp(COMMANDS, route.noun))
      return 0
    case 'version':
      return printVersion()
    case 'unknown':
      process.stderr.write(`cosignet: ${route.message}\n`)
      return 2
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
  // A reader that went away (`cosignet … | head`) is no failure of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
    process.exit(3)
  })
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

async function printVersion(): Promise<number> {
  const { VERSION } = await import('./version.ts')
  process.stdout.write(`cosignet ${VERSION}\n`)
  return 0
}
