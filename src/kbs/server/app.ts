import { randomBytes } from 'node:crypto'
import { type Context, Hono } from 'hono'
import { type Clock, collectBytes, isCosignetError, LIMITS, reasonOf, systemClock } from '../../core/index.ts'
import type { KbsErrorName } from '../protocol/errors.ts'
import { KBS_PREFIX } from '../protocol/rcar.ts'
import { type AdminCheck, bearerToken, createAdminCheck } from './admin.ts'
import { Handshake } from './attest.ts'
import { EarTokens } from './ear-token.ts'
import { KbsRefusal } from './errors.ts'
import type { KbsEvent, KbsLog } from './events.ts'
import {
  defaultResourcePolicy,
  insecureSampleResourcePolicy,
  type ResourcePolicy,
} from './resource-policy.ts'
import { RESOURCE_PLUGIN, Resources } from './resources.ts'
import { challengeOf, type Session, Sessions, sessionCookie, sessionIdIn } from './sessions.ts'
import type { KbsStorage } from './storage.ts'
import { insecureSampleVerifier, type Verifiers } from './verifiers.ts'

export interface KbsOptions {
  readonly storage: KbsStorage
  /** Public key of the administrators, PEM: Ed25519, P-256 or RSA. Default: nobody administers. */
  readonly adminPublicKeyPem?: string
  /** What is released to whom. Default: Trustee's default rule. */
  readonly policy?: ResourcePolicy
  /** Verifiers beside the sample one. Default: none, so that nobody is attested. */
  readonly verifiers?: Verifiers
  /**
   * Insecure: takes sample evidence, which anyone can make up, and unless `policy` is given releases every resource to
   * it. For demonstrations and tests. Default: false.
   */
  readonly insecureAllowSampleTee?: boolean
  /** Gets who got what. Default: nobody. */
  readonly log?: KbsLog
  readonly clock?: Clock
  /** Random bytes for nonces and session ids. Default: those of the operating system. */
  readonly random?: (size: number) => Uint8Array
}

/** A running KBS, without a socket. */
export interface Kbs {
  /** Answers one request; never rejects. */
  fetch(request: Request): Promise<Response>
}

/** What an event is called that a refusal brings about; the others concern nobody's secret. */
const REFUSAL_EVENTS: Readonly<Partial<Record<KbsErrorName, KbsEvent['kind']>>> = {
  AdminAuthInitialization: 'admin-refused',
  AttestationError: 'attestation-refused',
  PluginInternalError: 'denied',
  PolicyDeny: 'denied',
  TokenNotFound: 'denied',
  TokenVerifierError: 'denied',
}

/**
 * Creates a Key Broker Service that speaks the protocol of Trustee 0.21 to guests and administrators: handshake,
 * resources, their administration. Verified by now: sample evidence only (and what `verifiers` adds). An extension that
 * Trustee ignores: `If-None-Match: *` on POST stores only where there is nothing.
 * @throws INVALID_KEY for the administrators' key.
 */
export function createKbs(options: KbsOptions): Kbs {
  const { storage, clock = systemClock, random = randomBytes } = options
  const record = (event: Omit<KbsEvent, 'time'>) => options.log?.({ ...event, time: clock() })
  const sample = options.insecureAllowSampleTee === true
  const sessions = new Sessions({ storage, clock, random })
  const tokens = new EarTokens(storage, clock)
  const verifiers = { ...options.verifiers, ...(sample ? { sample: insecureSampleVerifier } : {}) }
  const policy = options.policy ?? (sample ? insecureSampleResourcePolicy : defaultResourcePolicy)
  const app = new Hono()
  addHandshake(app, new Handshake({ sessions, tokens, verifiers, record }))
  addResources(
    app,
    new Resources({ storage, sessions, tokens, policy, record }),
    createAdminCheck(options.adminPublicKeyPem, clock),
  )
  app.get('/healthz', (c) => c.body(null, 200))
  app.all(`${KBS_PREFIX}/*`, (c) => {
    const [plugin = ''] = pathOf(c)
      .slice(KBS_PREFIX.length + 1)
      .split('/')
    throw new KbsRefusal('PluginNotFound', `Plugin ${plugin} not found`)
  })
  app.notFound((c) => c.body(null, 404))
  app.onError((error, c) => answerError(error, pathOf(c), record))
  return { fetch: async (request) => await app.fetch(request) }
}

function addHandshake(app: Hono, handshake: Handshake): void {
  const withCookie = (session: Session, answer: unknown) =>
    Response.json(answer, { headers: { 'set-cookie': sessionCookie(session) } })
  app.post(`${KBS_PREFIX}/auth`, async (c) => {
    const session = await handshake.auth(await readBody(c))
    return withCookie(session, challengeOf(session))
  })
  app.post(`${KBS_PREFIX}/attest`, async (c) => {
    const { session, token } = await handshake.attest(await readBody(c), sessionIdIn(c.req.header('cookie')))
    return withCookie(session, { token })
  })
}

function addResources(app: Hono, resources: Resources, checkAdmin: AdminCheck): void {
  const route = `${KBS_PREFIX}/${RESOURCE_PLUGIN}`
  const adminOf = (c: Context) => {
    const { pathname, search } = new URL(c.req.url)
    return checkAdmin(c.req.header('authorization'), `${pathname}${search}`)
  }
  app.get(`${route}/*`, async (c) => {
    // Hono takes HEAD to GET; a resource must not be released to be thrown away.
    if (c.req.method !== 'GET') throw unknownMethod()
    const path = resourcePathOf(c)
    if (path === '') return c.json(await resources.list(await adminOf(c)))
    const message = await resources.release(path, queryOf(c), {
      sessionId: sessionIdIn(c.req.header('cookie')),
      bearerToken: bearerToken(c.req.header('authorization')),
    })
    return c.json(message)
  })
  app.post(`${route}/*`, async (c) => {
    const admin = await adminOf(c)
    const ifAbsent = c.req.header('if-none-match')?.trim() === '*'
    await resources.store(resourcePathOf(c), await readBody(c), ifAbsent, admin)
    return c.body(null, 200)
  })
  app.delete(`${route}/*`, async (c) => {
    const admin = await adminOf(c)
    await resources.delete(resourcePathOf(c), admin)
    return c.body(null, 200)
  })
  app.all(`${route}/*`, () => {
    throw unknownMethod()
  })
}

/** The path as it was sent: nothing is decoded, since no resource path needs it. */
function pathOf(c: Context): string {
  return new URL(c.req.url).pathname
}

/** What follows the plugin, without the slash. */
function resourcePathOf(c: Context): string {
  return pathOf(c).slice(`${KBS_PREFIX}/${RESOURCE_PLUGIN}/`.length)
}

/** Of a name given twice the last counts, as in Trustee. */
function queryOf(c: Context): Record<string, string> {
  return Object.fromEntries(new URL(c.req.url).searchParams)
}

function unknownMethod(): KbsRefusal {
  const cause = new Error('Illegal HTTP method. Only supports `GET`, `POST` and `DELETE`')
  return new KbsRefusal('PluginInternalError', 'Plugin internal error', { cause })
}

async function readBody(c: Context): Promise<Uint8Array> {
  const { body } = c.req.raw
  try {
    return body === null
      ? new Uint8Array()
      : await collectBytes(body, LIMITS.resourceBytes, 'The request body')
  } catch (error) {
    if (!isCosignetError(error, 'TOO_LARGE')) throw error
    throw new KbsRefusal('PayloadTooLarge', `The body is larger than ${LIMITS.resourceBytes} bytes`)
  }
}

function answerError(
  error: unknown,
  path: string,
  record: (event: Omit<KbsEvent, 'time'>) => void,
): Response {
  if (error instanceof KbsRefusal) {
    const kind = REFUSAL_EVENTS[error.kind]
    const reason = reasonOf(error.cause ?? error)
    const { teeKey } = error
    if (kind !== undefined) record({ kind, path, reason, ...(teeKey === undefined ? {} : { teeKey }) })
    return error.toResponse()
  }
  record({ kind: 'failed', path, reason: reasonOf(error) })
  // Not Trustee's 401: what could not be decided must not look like a refusal.
  const retryable = isCosignetError(error) && error.retryable
  return new KbsRefusal(
    retryable ? 'ServiceUnavailable' : 'InternalError',
    'The KBS cannot answer now',
  ).toResponse()
}
