import { CosignetError } from '../core/index.ts'
import type { Cli } from './cli.ts'

/**
 * Asks before something is lost; anything but `y` or `yes` is a no.
 * @param unless the flag that answers beforehand, for the error where nobody can be asked.
 * @throws USAGE without a terminal
 */
export async function confirm(cli: Cli, question: string, unless: string): Promise<boolean> {
  if (!cli.interactive) {
    throw new CosignetError('USAGE', 'There is no terminal to ask whether to go on.', {
      hint: `Give ${unless} to go on without being asked.`,
    })
  }
  const { createInterface } = await import('node:readline/promises')
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  try {
    const answer = await terminal.question(`${question} [y/N] `, { signal: cli.signal })
    return /^y(?:es)?$/i.test(answer.trim())
  } finally {
    terminal.close()
  }
}
