import {
  CosignetError,
  encodeBase64,
  encodeUtf8,
  isCosignetError,
  LIMITS,
  quote,
  readFileBounded,
} from '../core/index.ts'
import { type RunExecOptions, runExecCredential } from './exec-credential.ts'
import { readFileOrData } from './file-or-data.ts'
import type { UserEntry } from './kubeconfig.ts'

/** How one shows who one is: secret. */
export interface Authentication {
  /** Header of each request. */
  readonly authorization?: string
  /** PEM, both. */
  readonly clientCertificate?: { readonly cert: string; readonly key: string }
}

export interface AuthenticateOptions extends Omit<RunExecOptions, 'timeoutMs'> {
  readonly user: UserEntry
}

/**
 * Finds out by what a user of a kubeconfig shows who it is, in the order of client-go: the program that it names, else a
 * token or a user and password; a client certificate beside them.
 * @throws UNSUPPORTED, INVALID_CONFIG; FILE, TOO_LARGE; as `runExecCredential`
 */
export async function authenticate({ user, ...options }: AuthenticateOptions): Promise<Authentication> {
  const [first] = user.unsupported
  if (first !== undefined) {
    throw new CosignetError('UNSUPPORTED', `The user of the kubeconfig has ${first}, which is not supported.`)
  }
  const { exec, username, password = '' } = user
  const token = await readToken(user)
  if ([exec, username, token].filter((method) => method !== undefined).length > 1) {
    throw new CosignetError('INVALID_CONFIG', 'The user of the kubeconfig has more than one way to log in.')
  }
  if (exec !== undefined) {
    const found = await runExecCredential(exec, options)
    return withCertificate(found.token, found.clientCertificate)
  }
  const cert = await readFileOrData(user.clientCertificate, LIMITS.certificatesBytes, 'client certificate')
  const key = await readFileOrData(user.clientKey, LIMITS.keyBytes, 'client key')
  if ((cert === undefined) !== (key === undefined)) {
    throw new CosignetError(
      'INVALID_CONFIG',
      'The user of the kubeconfig has a client certificate or its key alone.',
    )
  }
  const certificate = cert === undefined || key === undefined ? undefined : { cert, key }
  if (username === undefined) return withCertificate(token, certificate)
  const basic = encodeBase64(encodeUtf8(`${username}:${password}`))
  return { ...withCertificate(undefined, certificate), authorization: `Basic ${basic}` }
}

function withCertificate(
  token: string | undefined,
  clientCertificate: Authentication['clientCertificate'],
): Authentication {
  return {
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
  }
}

/** The file comes before the value, as in client-go, which reads it again from time to time. */
async function readToken({ token, tokenFile }: UserEntry): Promise<string | undefined> {
  if (tokenFile === undefined) return token
  try {
    const bytes = await readFileBounded(tokenFile, LIMITS.tokenBytes, 'token file')
    const text = Buffer.from(bytes).toString('utf8').trim()
    if (text !== '') return text
  } catch (error) {
    if (token === undefined || !isCosignetError(error, 'FILE')) throw error
  }
  if (token !== undefined) return token
  throw new CosignetError('INVALID_CONFIG', `The token file ${quote(tokenFile)} is empty.`)
}
