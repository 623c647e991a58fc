import type { Cli } from './cli.ts'

/** Tells of stores in files, which nobody else reads until they are published. */
export function sayWhatIsLocal(cli: Cli, stores: readonly (string | undefined)[]): void {
  for (const store of new Set(stores.filter((one) => one?.startsWith('file:')))) {
    cli.say(
      `${store} is on this machine alone: publish it as the lookaside that the registries.d of others names.`,
    )
  }
}
