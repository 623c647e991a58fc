import {
  CosignetError,
  collectBytes,
  decodeUtf8,
  encodeUtf8,
  type JsonValue,
  LIMITS,
  parseJson,
  quote,
} from '../core/index.ts'
import type { AccountCredentials } from './credentials.ts'

/** A program that keeps credentials: `docker-credential-NAME`. */
export interface CredentialHelper {
  readonly name: string
  /** What it knows the registry by. */
  readonly server: string
  /** Of the program. */
  readonly environment: Readonly<Record<string, string | undefined>>
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/
/** What the helper answers instead of JSON where it has nothing (docker-credential-helpers, credentials/error.go). */
const NOTHING = /credentials not found|no credentials server URL|no credentials username/i
/** The protocol's way to say "the secret is an identity token". */
const TOKEN_USER = '<token>'

/**
 * Asks a helper (`get`) for the credentials of a server. What it prints never enters a message.
 * @throws INVALID_CONFIG if the name is not one or the helper fails; TOO_LARGE, TIMEOUT
 */
export async function askCredentialHelper(helper: CredentialHelper): Promise<AccountCredentials | undefined> {
  const output = await runHelper(helper, 'get', encodeUtf8(helper.server))
  return output === undefined ? undefined : readAnswer(output, programOf(helper))
}

/** Has a helper keep credentials (`store`) in place of those that it has for the server. @throws as above */
export async function storeInCredentialHelper(
  helper: CredentialHelper,
  credentials: AccountCredentials,
): Promise<void> {
  const isToken = credentials.kind === 'identity-token'
  const message = {
    ServerURL: helper.server,
    Username: isToken ? TOKEN_USER : credentials.username,
    Secret: isToken ? credentials.token : credentials.password,
  }
  await runHelper(helper, 'store', encodeUtf8(JSON.stringify(message)))
}

/**
 * Has a helper forget the credentials of a server (`erase`).
 * @returns whether it had any.
 * @throws as above
 */
export async function eraseFromCredentialHelper(helper: CredentialHelper): Promise<boolean> {
  // Many helpers erase what they do not have without a word.
  if ((await askCredentialHelper(helper)) === undefined) return false
  return (await runHelper(helper, 'erase', encodeUtf8(helper.server))) !== undefined
}

/** The servers that a helper has credentials for (`list`). @throws as above */
export async function listCredentialHelper(
  helper: Omit<CredentialHelper, 'server'>,
): Promise<readonly string[]> {
  const program = programOf(helper)
  const output = await runHelper({ ...helper, server: 'the list' }, 'list', new Uint8Array())
  const answer = output === undefined ? {} : parseOutput(output, program)
  if (answer !== null && typeof answer === 'object' && !Array.isArray(answer)) return Object.keys(answer)
  throw new CosignetError('INVALID_CONFIG', `The output of ${program} is not a list.`)
}

/**
 * Runs a helper without a shell; the server's name and the secret go to its standard input, never to its arguments.
 * @returns undefined if it says that it has nothing.
 */
async function runHelper(
  helper: CredentialHelper,
  action: 'get' | 'store' | 'erase' | 'list',
  input: Uint8Array,
): Promise<Uint8Array | undefined> {
  const { name, server, environment } = helper
  if (!NAME.test(name)) {
    throw new CosignetError('INVALID_CONFIG', `${quote(name)} is not the name of a credential helper.`)
  }
  const program = programOf(helper)
  // Few commands need a helper, and all would pay for the module.
  const { spawn } = await import('node:child_process')
  const child = spawn(program, [action], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] })
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
  child.stdin.end(input)
  try {
    const output = await collectBytes(child.stdout, LIMITS.tokenBytes, `The output of ${program}`)
    const status = await ended
    if (late)
      throw new CosignetError('TIMEOUT', `${program} did not answer within ${LIMITS.idleMs / 1000} s.`)
    if (status === 0) return output
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

function programOf({ name }: Pick<CredentialHelper, 'name'>): string {
  return `docker-credential-${name}`
}

function readAnswer(output: Uint8Array, program: string): AccountCredentials | undefined {
  const answer = parseOutput(output, program) ?? {}
  const { Username: username, Secret: secret } = answer as { readonly [key: string]: JsonValue }
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw new CosignetError('INVALID_CONFIG', `The output of ${program} has no Username and Secret.`)
  }
  if (secret === '') return undefined
  if (username === TOKEN_USER) return { kind: 'identity-token', token: secret }
  return { kind: 'basic', username, password: secret }
}

function parseOutput(output: Uint8Array, program: string): JsonValue {
  try {
    return parseJson(output, `The output of ${program}`)
  } catch {
    // The cause could hold the position only, but its source is secret: left out altogether.
    throw new CosignetError('INVALID_CONFIG', `The output of ${program} is not JSON.`)
  }
}
