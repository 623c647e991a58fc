import { createHmac } from 'node:crypto'
import { type Clock, constantTimeEqual, decodeUtf8, LIMITS } from '../core/index.ts'
import type { Htpasswd } from './htpasswd.ts'
import type { PasswordVerifier } from './password-thread.ts'

/** Whether the value of an Authorization header is that of somebody who may come in. */
export type Authenticator = (authorization: string | undefined) => Promise<boolean>

export interface BasicAuthOptions {
  readonly users: Htpasswd
  readonly verify: PasswordVerifier
  readonly clock: Clock
  /** Random bytes, 32 or more, that passwords are remembered under. */
  readonly secret: Uint8Array
}

interface Login {
  readonly mac: Uint8Array
  /** Milliseconds since 1970. */
  readonly until: number
}

/**
 * Makes the check of Basic credentials (RFC 7617, UTF-8) against an htpasswd file. A password that was right is known
 * again for `LIMITS.registryLoginMs` by its HMAC, so that not every request of a client pays for bcrypt. For a user who
 * is not there the hash of another is computed, always the same, so that the time does not tell who is.
 * @throws UNAVAILABLE by the function, if too many passwords wait to be checked
 */
export function createBasicAuth(options: BasicAuthOptions): Authenticator {
  const { users, verify, clock, secret } = options
  const logins = new Map<string, Login>()
  /** Passwords that are being checked; a client opens several connections at once. */
  const running = new Map<string, Promise<boolean>>()
  const hashes = [...users.values()]
  const macOf = (text: string): Buffer => createHmac('sha256', secret).update(text).digest()

  const check = async (user: string, password: string, mac: Uint8Array): Promise<boolean> => {
    const hash = users.get(user)
    const stand = hash ?? hashes[macOf(user).readUInt32BE() % hashes.length] ?? ''
    const right = (await verify(password, stand)) && hash !== undefined
    if (right) logins.set(user, { mac, until: clock().getTime() + LIMITS.registryLoginMs })
    return right
  }
  return async (authorization) => {
    const credentials = readBasic(authorization)
    if (credentials === undefined) return false
    const { user, password } = credentials
    const mac = macOf(`${user}:${password}`)
    const login = logins.get(user)
    if (login !== undefined && login.until > clock().getTime() && constantTimeEqual(login.mac, mac))
      return true
    const key = mac.toString('base64')
    const result = running.get(key) ?? check(user, password, mac).finally(() => running.delete(key))
    running.set(key, result)
    return result
  }
}

function readBasic(authorization: string | undefined): { user: string; password: string } | undefined {
  const token = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization ?? '')?.[1]
  const text = token === undefined ? undefined : decodeUtf8(Buffer.from(token, 'base64'))
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon < 1) return undefined
  return { user: text.slice(0, colon), password: text.slice(colon + 1) }
}
