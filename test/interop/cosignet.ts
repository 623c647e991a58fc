import { fileURLToPath } from 'node:url'
import type { Outcome, RunOptions, Sandbox } from './sandbox.ts'

/** The command line as `make` builds it. */
export const cosignetProgram = fileURLToPath(new URL('../../cosignet', import.meta.url))

/** Runs the command line, whatever its exit status. */
export function cosignet(
  sandbox: Sandbox,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return sandbox.run(cosignetProgram, args, withPassword(options))
}

/** Runs the command line, which must exit with 0. */
export function cosignetDoes(
  sandbox: Sandbox,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Outcome> {
  return sandbox.succeed(cosignetProgram, args, withPassword(options))
}

/** Whether `verify` allows the image; an exit status other than 0 and 1 is no verdict and fails the test. */
export async function cosignetAccepts(sandbox: Sandbox, pub: string, reference: string): Promise<boolean> {
  const { status, stdout, stderr } = await cosignet(sandbox, ['verify', '--key', pub, reference])
  if (status === 0) return true
  if (status === 1) return false
  throw new Error(`cosignet verify ${reference} ended with ${status}:\n${stdout}${stderr}`)
}

function withPassword(options: RunOptions): RunOptions {
  return { ...options, env: { COSIGN_PASSWORD: '', ...options.env } }
}
