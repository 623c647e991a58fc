import { stat } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { CosignetError, errnoOf, fileError, LIMITS, quote, readFileBounded } from '../core/index.ts'
import { type HttpClient, shownUrl } from '../net/index.ts'
import { type Digest, digestParts } from '../oci/index.ts'
import type { SignatureStore } from './signature-store.ts'
import { appendFiles } from './signature-store-files.ts'

export interface LookasideOptions {
  /** URL of the store to read from, without the repository: `file:///var/lib/containers/sigstore`, `https://…`. */
  readonly readUrl: string
  /** URL of the store to write to. Default: `readUrl`. */
  readonly writeUrl?: string
  /** Path of the image in its registry, without the host: who shares a store shares signatures too. */
  readonly repository: string
  /** Opens a client for a server by its `host[:port]`; it is closed after each use. */
  readonly openHttp: (host: string) => Promise<HttpClient>
}

/**
 * Opens a lookaside store (containers/image, docs/signature-protocols.md and docker/lookaside): signatures are files
 * `BASE/REPOSITORY@sha256=HEX/signature-N`, from 1 to the first that is missing. It is read by `file:`, `http:` and
 * `https:`, without credentials, and written by `file:`. Where it is written elsewhere than it is read (staging), what
 * can be read is written along, so that one who publishes the one over the other loses nothing.
 * @throws INVALID_CONFIG if one is no URL; UNSUPPORTED for another scheme
 */
export function openLookaside(options: LookasideOptions): SignatureStore {
  const { readUrl, writeUrl = readUrl, repository, openHttp } = options
  const from = parseBase(readUrl)
  const to = parseBase(writeUrl)
  const list = async (digest: Digest, signal?: AbortSignal): Promise<readonly Uint8Array[]> => {
    const read = async (number: number, http?: HttpClient): Promise<Uint8Array | undefined> => {
      const url = signatureUrl(from, repository, digest, number)
      return http === undefined ? await readFile(url) : await download(http, url, signal)
    }
    const name = shown(folderUrl(from, repository, digest))
    if (from.protocol === 'file:') return await readAll(name, (number) => read(number))
    const http = await openHttp(from.host)
    try {
      return await readAll(name, (number) => read(number, http))
    } finally {
      http.close()
    }
  }
  const checkWritable = async (): Promise<string> => {
    if (to.protocol === 'file:') return shown(to)
    const scheme = to.protocol.slice(0, -1)
    throw new CosignetError(
      'UNSUPPORTED',
      `Signatures cannot be written to the ${scheme} lookaside ${quote(shown(to))}.`,
      {
        hint: 'Configure a lookaside-staging: location with a file: URL in registries.d, and publish it from there.',
      },
    )
  }
  return {
    name: shown(from),
    list,
    checkWritable,
    add: async (digest, signatures, signal) => {
      await checkWritable()
      const published = from.href === to.href ? [] : await list(digest, signal)
      const files = {
        name: shown(folderUrl(to, repository, digest)),
        limit: LIMITS.lookasideSignatures,
        pathOf: (number: number) => fileURLToPath(signatureUrl(to, repository, digest, number)),
        read: (number: number) => readFile(signatureUrl(to, repository, digest, number)),
      }
      await appendFiles(files, [...published, ...signatures])
    },
  }
}

function parseBase(text: string): URL {
  const url = URL.parse(text)
  const isLocal = url !== null && (url.protocol !== 'file:' || url.host === '')
  if (url === null || !isLocal) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `${quote(shownUrl(text))} is not the URL of a signature store.`,
      {
        hint: 'A folder of this machine is written file:///FOLDER.',
      },
    )
  }
  if (['file:', 'http:', 'https:'].includes(url.protocol)) return url
  throw new CosignetError(
    'UNSUPPORTED',
    `The signature store ${quote(shown(url))} has a scheme other than file:, http: and https:.`,
  )
}

function folderUrl(base: URL, repository: string, digest: Digest): URL {
  const { algorithm, hex } = digestParts(digest)
  const url = new URL(base)
  url.pathname = `${base.pathname}/${repository}@${algorithm}=${hex}`
  return url
}

function signatureUrl(base: URL, repository: string, digest: Digest, number: number): URL {
  const url = folderUrl(base, repository, digest)
  url.pathname += `/signature-${number}`
  return url
}

async function readAll(
  name: string,
  read: (number: number) => Promise<Uint8Array | undefined>,
): Promise<readonly Uint8Array[]> {
  const found: Uint8Array[] = []
  let bytes = 0
  for (;;) {
    const signature = await read(found.length + 1)
    if (signature === undefined) return found
    found.push(signature)
    bytes += signature.byteLength
    if (found.length > LIMITS.lookasideSignatures)
      throw tooMany(name, 'signatures', LIMITS.lookasideSignatures)
    if (bytes > LIMITS.payloadsBytes) throw tooMany(name, 'bytes of signatures', LIMITS.payloadsBytes)
  }
}

/** What is no plain file, a pipe for example, could hold the reader up for ever. */
async function readFile(url: URL): Promise<Uint8Array | undefined> {
  const path = fileURLToPath(url)
  try {
    const stats = await stat(path)
    if (stats.isFile()) return await readFileBounded(path, LIMITS.payloadBytes, 'signature')
    throw new CosignetError('FILE', `The signature ${quote(path)} cannot be read: it is not a plain file.`)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw fileError(error, `The signature ${quote(path)} cannot be read`)
  }
}

async function download(
  http: HttpClient,
  url: URL,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | undefined> {
  const response = await http.request({ method: 'GET', url, ...(signal === undefined ? {} : { signal }) })
  if (response.status === 200) return await response.bytes(LIMITS.payloadBytes)
  response.discard()
  if (response.status === 404) return undefined
  throw new CosignetError(
    response.status >= 500 ? 'UNAVAILABLE' : 'BAD_RESPONSE',
    `Reading the signature ${quote(shown(url))} failed: the server answers ${response.status}.`,
  )
}

/** Without what may be secret: user, password, query. */
function shown(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`
}

function tooMany(name: string, what: string, limit: number): CosignetError {
  return new CosignetError('TOO_LARGE', `${quote(name)} has more than the limit of ${limit} ${what}.`)
}
