import {
  CosignetError,
  encodeGoString,
  encodeUtf8,
  isCosignetError,
  type JsonNode,
  LIMITS,
  parseJsonTree,
  quote,
  reasonOf,
} from '../core/index.ts'
import { type Digest, isDigest } from '../oci/index.ts'
import { parsePayload, type UntrustedPayload } from './payload.ts'

export interface SimplePayloadContent {
  /** The image as its users name it, normalised, with its tag or digest: `docker.io/library/busybox:latest`. */
  readonly dockerReference: string
  readonly manifestDigest: Digest
  /** The program that signs and its version: `cosignet 1.0.0`. Default: none. */
  readonly creator?: string
  /** When it signs; stored in whole seconds. Default: none. */
  readonly timestamp?: Date
}

const TYPE = 'atomic container signature'

/**
 * Writes the payload of simple signing, byte for byte as containers/image does (signature/simple.go): compact, the
 * members of every object sorted.
 * @throws INVALID_REFERENCE for an empty reference.
 */
export function encodeSimplePayload(content: SimplePayloadContent): Uint8Array {
  const { dockerReference, manifestDigest, creator, timestamp } = content
  if (dockerReference === '') {
    throw new CosignetError('INVALID_REFERENCE', 'A signature must name an image, and this name is empty.')
  }
  const optional = [
    ...(creator === undefined ? [] : [`"creator":${encodeGoString(creator)}`]),
    ...(timestamp === undefined ? [] : [`"timestamp":${Math.floor(timestamp.getTime() / 1000)}`]),
  ]
  return encodeUtf8(
    `{"critical":{"identity":{"docker-reference":${encodeGoString(dockerReference)}},` +
      `"image":{"docker-manifest-digest":${encodeGoString(manifestDigest)}},"type":"${TYPE}"},` +
      `"optional":{${optional.join(',')}}}`,
  )
}

/**
 * Reads the payload of an OpenPGP signature as its verifier does. `strict`, as containers/image: every member must be
 * there and none other, none twice, the type and the digest must be valid; only `optional` may have more members.
 * `guest`: as `parsePayload` does. Says nothing about who wrote it.
 * @throws INVALID_SIGNATURE with the reason.
 */
export function parseSimplePayload(bytes: Uint8Array, reader: 'strict' | 'guest'): UntrustedPayload {
  if (reader === 'guest') return parsePayload(bytes)
  const { critical, optional } = exactFields(parseDocument(bytes), 'the document', ['critical', 'optional'])
  const { type, image, identity } = exactFields(critical, 'critical', ['type', 'image', 'identity'])
  const { 'docker-manifest-digest': digest } = exactFields(image, 'image', ['docker-manifest-digest'])
  const { 'docker-reference': reference } = exactFields(identity, 'identity', ['docker-reference'])
  const said = fieldsOf(optional, 'optional')
  const manifestDigest = stringOf(digest, 'docker-manifest-digest')
  if (stringOf(type, 'type') !== TYPE) invalid(`its type is ${quote(stringOf(type, 'type'))}, not "${TYPE}"`)
  if (!isDigest(manifestDigest)) invalid(`${quote(manifestDigest)} is not a digest`)
  return {
    dockerReference: stringOf(reference, 'docker-reference'),
    manifestDigest,
    type: TYPE,
    optional: readOptional(said),
  }
}

function readOptional(said: ReadonlyMap<string, JsonNode>): NonNullable<UntrustedPayload['optional']> {
  const creator = said.get('creator')
  const timestamp = said.get('timestamp')
  const known = ['creator', 'timestamp']
  return {
    ...(creator === undefined ? {} : { creator: stringOf(creator, 'optional.creator') }),
    ...(timestamp === undefined ? {} : { timestamp: integerOf(timestamp) }),
    extra: new Map([...said].filter(([key]) => !known.includes(key))),
  }
}

function parseDocument(bytes: Uint8Array): JsonNode {
  if (bytes.byteLength > LIMITS.payloadBytes)
    invalid(`it is larger than the limit of ${LIMITS.payloadBytes} bytes`)
  try {
    return parseJsonTree(bytes, 'it')
  } catch (error) {
    if (!isCosignetError(error)) throw error
    return invalid(reasonOf(error))
  }
}

function exactFields<Name extends string>(
  node: JsonNode,
  what: string,
  names: readonly Name[],
): Readonly<Record<Name, JsonNode>> {
  const fields = fieldsOf(node, what)
  const unknown = [...fields.keys()].find((key) => !(names as readonly string[]).includes(key))
  if (unknown !== undefined) invalid(`${what} has the unknown member ${quote(unknown)}`)
  const entries = names.map((name) => [name, fields.get(name) ?? invalid(`${what} has no ${quote(name)}`)])
  return Object.fromEntries(entries)
}

function fieldsOf(node: JsonNode, what: string): ReadonlyMap<string, JsonNode> {
  if (node.kind !== 'object') return invalid(`${what} is not an object`)
  const fields = new Map<string, JsonNode>()
  for (const { key, value } of node.members) {
    if (fields.has(key)) invalid(`${what} has ${quote(key)} twice`)
    fields.set(key, value)
  }
  return fields
}

/** Go reads null into a string as no text. */
function stringOf(node: JsonNode, what: string): string {
  if (node.kind === 'null') return ''
  return node.kind === 'string' ? node.value : invalid(`${what} is not a string`)
}

/** Go reads null into a number as zero, and takes `1e3` for an integer. */
function integerOf(node: JsonNode): number {
  if (node.kind === 'null') return 0
  const isInteger = node.kind === 'number' && Number.isInteger(node.value) && Math.abs(node.value) < INT64_END
  return isInteger ? node.value : invalid('optional.timestamp is not an integer')
}

const INT64_END = 2 ** 63

function invalid(reason: string): never {
  throw new CosignetError('INVALID_SIGNATURE', `The signed payload is not valid: ${reason}.`)
}
