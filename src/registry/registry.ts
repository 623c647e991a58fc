import type { Readable } from 'node:stream'
import { Hono } from 'hono'
import type { Authenticator } from './basic-auth.ts'
import { BlobHomes } from './blob-homes.ts'
import { deleteBlob, getBlob } from './blobs.ts'
import { answerError, refusal } from './errors.ts'
import type { Exchange, Handler } from './exchange.ts'
import { listReferrers, listTags } from './listings.ts'
import { deleteManifest, getManifest, putManifest } from './manifests.ts'
import { isRepositoryName } from './names.ts'
import { listSignatures, putSignature } from './signatures.ts'
import type { RegistryStorage } from './storage.ts'
import { appendUpload, cancelUpload, finishUpload, getUpload, startUpload } from './uploads.ts'

export interface RegistryOptions {
  readonly storage: RegistryStorage
  /** Whom to let in; whoever is in may read and write everything. Default: everybody. */
  readonly authenticate?: Authenticator
  /** Answer all that would change the content with 405. Default: false. */
  readonly readOnly?: boolean
}

/**
 * An OCI registry (distribution-spec 1.1, all four categories) as an app under `/v2/`, and under `/extensions/v2/` the
 * OpenPGP signatures that skopeo and podman keep there. Answers of error have the form and codes of the specification.
 */
export function createRegistry(options: RegistryOptions): Hono<{ Bindings: Connection }> {
  const app = new Hono<{ Bindings: Connection }>()
  app.onError(answerError)
  app.notFound(() => answerError(refusal('UNSUPPORTED', 'There is no such endpoint.', { status: 404 })))
  app.use(async (context, next) => {
    await next()
    // Clients that know Docker's registry look for it.
    context.header('docker-distribution-api-version', 'registry/2.0')
    if (PING.test(context.req.path)) context.header('x-registry-supports-signatures', '1')
  })
  const { storage, authenticate, readOnly = false } = options
  const shared = { storage, homes: new BlobHomes(), readOnly }
  app.use(async ({ req }, next) => {
    if (authenticate !== undefined && !(await authenticate(req.header('authorization')))) {
      throw refusal('UNAUTHORIZED', 'The registry asks for a user and a password.', {
        headers: { 'www-authenticate': 'Basic realm="cosignet"' },
      })
    }
    await next()
  })
  app.all('/v2/*', ({ req, env }) => answer({ ...shared, incoming: env?.incoming }, req.raw, API))
  app.all('/extensions/v2/*', ({ req, env }) =>
    answer({ ...shared, incoming: env?.incoming }, req.raw, EXTENSIONS),
  )
  return app
}

/** What the server kit tells of a request beside it. */
interface Connection {
  readonly incoming?: Readable
}

interface Shared extends Pick<Exchange, 'storage' | 'homes' | 'incoming'> {
  readonly readOnly: boolean
}

/** Endpoints below one path. */
interface Endpoints {
  readonly prefix: string
  readonly routes: readonly Route[]
}

interface Route {
  /** Matches the path after the prefix: the repository, and the tail if the endpoint has one. */
  readonly path: RegExp
  readonly methods: Readonly<Record<string, Handler>>
}

/** The first that matches; a repository may be called `a/blobs`, so it takes as much as it can. */
const ROUTES: readonly Route[] = [
  { path: /^(.+)\/tags\/list$/, methods: { GET: listTags } },
  { path: /^(.+)\/referrers\/([^/]+)$/, methods: { GET: listReferrers } },
  { path: /^(.+)\/blobs\/uploads\/?$/, methods: { POST: startUpload } },
  {
    path: /^(.+)\/blobs\/uploads\/([^/]+)$/,
    methods: { GET: getUpload, PATCH: appendUpload, PUT: finishUpload, DELETE: cancelUpload },
  },
  { path: /^(.+)\/blobs\/([^/]+)$/, methods: { GET: getBlob, HEAD: getBlob, DELETE: deleteBlob } },
  {
    path: /^(.+)\/manifests\/([^/]+)$/,
    methods: { GET: getManifest, HEAD: getManifest, PUT: putManifest, DELETE: deleteManifest },
  },
]

const PING = /^\/v2\/?$/

const API: Endpoints = { prefix: '/v2/', routes: ROUTES }

/** What containers/image calls X-Registry-Supports-Signatures. */
const EXTENSIONS: Endpoints = {
  prefix: '/extensions/v2/',
  routes: [{ path: /^(.+)\/signatures\/([^/]+)$/, methods: { GET: listSignatures, PUT: putSignature } }],
}

async function answer(shared: Shared, request: Request, { prefix, routes }: Endpoints): Promise<Response> {
  const { pathname, searchParams } = new URL(request.url)
  const path = pathname.slice(prefix.length)
  if (path === '' && prefix === API.prefix) return Response.json({})
  for (const route of routes) {
    const match = route.path.exec(path)
    if (match === null) continue
    const [, repository = '', tail = ''] = match
    if (!isRepositoryName(repository)) throw refusal('NAME_INVALID', 'The repository has no valid name.')
    const untrustedTail = decode(tail)
    const exchange: Exchange = { ...shared, request, query: searchParams, repository, untrustedTail }
    return handlerOf(route, request.method, shared.readOnly)(exchange)
  }
  throw refusal('UNSUPPORTED', 'There is no such endpoint.', { status: 404 })
}

/** A registry that only reads has no other methods, and says so like distribution's does. */
function handlerOf(route: Route, method: string, readOnly: boolean): Handler {
  const all = Object.entries(route.methods)
  const allowed = readOnly ? all.filter(([name]) => name === 'GET' || name === 'HEAD') : all
  const handler = allowed.find(([name]) => name === method)?.[1]
  if (handler !== undefined) return handler
  const allow = allowed.map(([name]) => name).join(', ')
  const message = readOnly ? 'The registry is read-only.' : `The endpoint allows ${allow}.`
  throw refusal('UNSUPPORTED', message, { headers: { allow } })
}

/** Some clients write the colon of a digest as %3A. What cannot be decoded stays, and is not valid as anything. */
function decode(tail: string): string {
  try {
    return decodeURIComponent(tail)
  } catch {
    return tail
  }
}
