import {
  CosignetError,
  collectBytes,
  decodeUtf8,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import type { Credentials } from './credentials.ts'

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** What the helper answers instead of JSON where it has nothing (docker-credential-helpers, credentials/error.go). */
const NOTHING = /credentials not found|no credentials server URL|no credentials username/i

/**
 * Asks `docker-credential-NAME get` for the credentials of a server, without a shell and with the server's name on
 * standard input. What it prints never enters a message.
 * @throws INVALID_CONFIG if the name is not one or the helper fails; TIMEOUT
 */
export async function askCredentialHelper(
  name: string,
  server: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Credentials | undefined> {
  if (!NAME.test(name)) {
    throw new CosignetError('INVALID_CONFIG', `${quote(name)} is not the name of a credential helper.`)
  }
  const program = `docker-credential-${name}`
  // Few commands need a helper, and all would pay for the module.
  const { spawn } = await import('node:child_process')
  const child = spawn(program, ['get'], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  ended.catch(() => undefined)
  let late = false
  const timer = setTimeout(() => {
    late = true
    child.kill('SIGKILL')
  }, LIMITS.idleMs)
  child.stdin.on('error', () => undefined)
  child.stdin.end(server)
  try {
    const output = await collectBytes(child.stdout, LIMITS.tokenBytes, `The output of ${program}`)
    const status = await ended
    if (late)
      throw new CosignetError('TIMEOUT', `${program} did not answer within ${LIMITS.idleMs / 1000} s.`)
    if (status === 0) return readAnswer(output, program)
    if (NOTHING.test(decodeUtf8(output) ?? '')) return undefined
    throw new CosignetError('INVALID_CONFIG', `${program} failed for ${quote(server)} with status ${status}.`)
  } catch (error) {
    child.kill('SIGKILL')
    if (error instanceof CosignetError) throw error
    throw new CosignetError('INVALID_CONFIG', `${program} could not be run.`, {
      cause: error,
      hint: 'Install the credential helper, or take it out of the configuration file that names it.',
    })
  } finally {
    clearTimeout(timer)
  }
}

function readAnswer(output: Uint8Array, program: string): Credentials | undefined {
  let answer: JsonValue
  try {
    answer = parseJson(output, `The output of ${program}`)
  } catch {
    // The cause could hold the position only, but its source is secret: left out altogether.
    throw new CosignetError('INVALID_CONFIG', `The output of ${program} is not JSON.`)
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as { readonly [key: string]: JsonValue }
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw new CosignetError('INVALID_CONFIG', `The output of ${program} has no Username and Secret.`)
  }
  if (secret === '') return undefined
  // The protocol's way to say "this is an identity token".
  if (username === '<token>') return { kind: 'identity-token', token: secret }
  return { kind: 'basic', username, password: secret }
}
