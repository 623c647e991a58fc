import {
  CosignetError,
  collectBytes,
  decodeBase64,
  encodeBase64,
  isCosignetError,
  type JsonValue,
  LIMITS,
  parseJson,
} from '../core/index.ts'
import type { Digest } from '../oci/index.ts'
import { refusal } from './errors.ts'
import { bodyOf, contentLengthOf, digestOfPath, type Exchange } from './exchange.ts'
import { isSignatureId } from './names.ts'

/** The one form that containers/image writes and reads: OpenPGP messages. */
const SCHEMA_VERSION = 2
const TYPE = 'atomic'

/** A signature as JSON, a third longer in base64. */
const BODY_BYTES = 2 * LIMITS.payloadBytes

/** GET of the OpenPGP signatures beside a manifest (containers/image, docs/signature-protocols.md). */
export async function listSignatures(exchange: Exchange): Promise<Response> {
  const { storage, repository } = exchange
  const digest = await digestOfManifest(exchange)
  const found = [...(await storage.listSignatures(repository, digest))]
  const signatures = found.map(([id, bytes]) => ({
    schemaVersion: SCHEMA_VERSION,
    name: `${digest}@${id}`,
    type: TYPE,
    content: encodeBase64(bytes),
  }))
  return Response.json({ signatures })
}

/**
 * PUT of one OpenPGP signature more, which is stored as it comes: what it signs is for its readers to find out. Its name
 * is the client's choice and stands for the one content, so that a request can be repeated.
 */
export async function putSignature(exchange: Exchange): Promise<Response> {
  const { storage, repository } = exchange
  const digest = await digestOfManifest(exchange)
  const { id, bytes } = readSignature(await receive(exchange), digest)
  switch (await storage.addSignature(repository, digest, id, bytes)) {
    case 'added':
    case 'present':
      return new Response(null, { status: 201 })
    case 'taken':
      throw refusal('SIGNATURE_EXISTS', `There is another signature with the name ${digest}@${id}.`)
    case 'full':
      throw refusal('SIZE_INVALID', `There is no room for more signatures of ${digest}.`, { status: 413 })
  }
}

async function digestOfManifest(exchange: Exchange): Promise<Digest> {
  const digest = digestOfPath(exchange)
  if (await exchange.storage.hasManifest(exchange.repository, digest)) return digest
  throw refusal('MANIFEST_UNKNOWN', `The repository ${exchange.repository} has no manifest ${digest}.`)
}

async function receive(exchange: Exchange): Promise<Uint8Array> {
  const what = 'The signature'
  // Said before the body is read, so that the client gets to hear it.
  if ((contentLengthOf(exchange.request) ?? 0) > BODY_BYTES) {
    throw new CosignetError('TOO_LARGE', `${what} is larger than the limit of ${BODY_BYTES} bytes.`)
  }
  return await collectBytes(bodyOf(exchange), BODY_BYTES, what)
}

function readSignature(body: Uint8Array, digest: Digest): { id: string; bytes: Uint8Array } {
  const { schemaVersion, type, name, content } = parseBody(body)
  if (schemaVersion !== SCHEMA_VERSION || type !== TYPE) {
    throw invalid(`The registry takes signatures of version ${SCHEMA_VERSION} and type ${TYPE}.`)
  }
  const [of, id, ...more] = typeof name === 'string' ? name.split('@') : []
  if (of !== digest || id === undefined || !isSignatureId(id) || more.length > 0) {
    throw invalid('The name of the signature is not the digest, @, and 32 lower-case hex digits.')
  }
  const bytes = typeof content === 'string' ? parseContent(content) : new Uint8Array()
  if (bytes.byteLength === 0) throw invalid('The signature has no content.')
  if (bytes.byteLength > LIMITS.payloadBytes) {
    throw new CosignetError(
      'TOO_LARGE',
      `The signature is larger than the limit of ${LIMITS.payloadBytes} bytes.`,
    )
  }
  return { id, bytes }
}

function parseBody(body: Uint8Array): { readonly [key: string]: JsonValue } {
  const value = orInvalid(() => parseJson(body, 'The signature'))
  if (typeof value !== 'object' || value === null) throw invalid('The signature is not a JSON object.')
  return value as { readonly [key: string]: JsonValue }
}

function parseContent(content: string): Uint8Array {
  return orInvalid(() => decodeBase64(content, 'The content of the signature'))
}

function orInvalid<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw isCosignetError(error) ? invalid(error.message) : error
  }
}

function invalid(message: string): Error {
  return refusal('SIGNATURE_INVALID', message)
}
