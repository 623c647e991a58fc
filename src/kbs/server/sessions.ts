import * as z from 'zod'
import { type Clock, encodeUtf8, LIMITS, parseJson } from '../../core/index.ts'
import { type RcarChallenge, SESSION_COOKIE, TEES, type Tee } from '../protocol/rcar.ts'
import { KbsRefusal } from './errors.ts'
import { type KbsStorage, NAMESPACES } from './storage.ts'

/** How long a session lives from its first message; nothing extends it (Trustee: `timeout`, 5 minutes). */
const SESSION_MS = 5 * 60 * 1000
const SWEEP_MS = 60 * 1000
const NONCE_BYTES = 32

const SESSION = z.object({
  id: z.string(),
  tee: z.enum(TEES),
  nonce: z.string(),
  /** Milliseconds since the epoch. */
  expires: z.number(),
  /** The token, once the evidence was verified: the nonce has done its one service then. */
  token: z.string().optional(),
})

/** One handshake, and the right to what it earned. */
export type Session = z.output<typeof SESSION>

/** A session and the version of what was read, for a compare-and-set. */
export interface StoredSession {
  readonly session: Session
  readonly version: string
}

export interface SessionsOptions {
  readonly storage: KbsStorage
  readonly clock: Clock
  readonly random: (size: number) => Uint8Array
}

/** The sessions of a KBS, in its storage, so that any replica can go on with any of them. */
export class Sessions {
  readonly #storage: KbsStorage
  readonly #clock: Clock
  readonly #random: (size: number) => Uint8Array
  #sweptAt = Number.NEGATIVE_INFINITY
  /** Counted at each sweep; with replicas it is an estimate. */
  #open = 0

  constructor(options: SessionsOptions) {
    this.#storage = options.storage
    this.#clock = options.clock
    this.#random = options.random
  }

  /**
   * Opens a session with a fresh nonce.
   * @throws KbsRefusal ServiceUnavailable where LIMITS.kbsSessions are open already.
   */
  async open(tee: Tee): Promise<Session> {
    await this.#sweep()
    if (this.#open >= LIMITS.kbsSessions) {
      throw new KbsRefusal('ServiceUnavailable', 'Too many sessions are open')
    }
    this.#open += 1
    const session: Session = {
      id: uuid(this.#random(16)),
      tee,
      nonce: Buffer.from(this.#random(NONCE_BYTES)).toString('base64'),
      expires: this.#clock().getTime() + SESSION_MS,
    }
    await this.#storage.put(NAMESPACES.sessions, session.id, encode(session), { version: null })
    return session
  }

  /** Finds a session by its id, untrusted; `undefined` if there is none or it has expired. */
  async find(id: string | undefined): Promise<StoredSession | undefined> {
    if (id === undefined || !/^[0-9a-f]{32}$/.test(id)) return undefined
    const stored = await this.#storage.get(NAMESPACES.sessions, id)
    if (stored === undefined) return undefined
    const session = decode(stored.value)
    if (session === undefined || this.#isExpired(session)) return undefined
    return { session, version: stored.version }
  }

  /**
   * Gives a session its token, unless another request was faster.
   * @returns the token that the session has now; `undefined` if the session is gone.
   */
  async attest({ session, version }: StoredSession, token: string): Promise<string | undefined> {
    const attested = encode({ ...session, token })
    const outcome = await this.#storage.put(NAMESPACES.sessions, session.id, attested, { version })
    if (outcome === 'stored') return token
    return (await this.find(session.id))?.session.token
  }

  /** Removes what has expired, at most once a minute. */
  async #sweep(): Promise<void> {
    const now = this.#clock().getTime()
    if (now - this.#sweptAt < SWEEP_MS) return
    this.#sweptAt = now
    let open = 0
    for (const id of await this.#storage.list(NAMESPACES.sessions)) {
      const stored = await this.#storage.get(NAMESPACES.sessions, id)
      if (stored === undefined) continue
      const session = decode(stored.value)
      if (session === undefined || this.#isExpired(session))
        await this.#storage.delete(NAMESPACES.sessions, id)
      else open += 1
    }
    this.#open = open
  }

  #isExpired(session: Session): boolean {
    return session.expires <= this.#clock().getTime()
  }
}

/** What the client is told of a new session. */
export function challengeOf(session: Session): RcarChallenge {
  return { nonce: session.nonce, 'extra-params': '' }
}

/** The Set-Cookie header of a session, as Trustee writes it. */
export function sessionCookie(session: Session): string {
  return `${SESSION_COOKIE}=${session.id}; Expires=${new Date(session.expires).toUTCString()}`
}

/** Reads the session id out of a Cookie header. */
export function sessionIdIn(cookies: string | undefined): string | undefined {
  for (const pair of (cookies ?? '').split(';')) {
    const [name, value] = pair.trim().split('=', 2)
    if (name === SESSION_COOKIE) return value
  }
  return undefined
}

function encode(session: Session): Uint8Array {
  return encodeUtf8(JSON.stringify(session))
}

/** `undefined` if it is not one of this release: as good as over. */
function decode(bytes: Uint8Array): Session | undefined {
  try {
    return SESSION.parse(parseJson(bytes, 'The stored session'))
  } catch {
    return undefined
  }
}

/** A version 4 UUID as 32 hex digits (RFC 9562, section 5.4), which is the id that Trustee makes. */
function uuid(random: Uint8Array): string {
  const bytes = Buffer.from(random)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  return bytes.toString('hex')
}
