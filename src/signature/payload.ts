import {
  CosignetError,
  encodeGoString,
  encodeUtf8,
  isCosignetError,
  type JsonMember,
  type JsonNode,
  LIMITS,
  parseJsonTree,
  quote,
  reasonOf,
} from '../core/index.ts'
import { type Digest, type Reference, repositoryName } from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'

export interface PayloadContent {
  /** Repository without tag and digest, as `cosignRepositoryName` gives it. */
  readonly dockerReference: string
  readonly manifestDigest: Digest
  /** What `cosign sign -a` adds. Default: none. */
  readonly annotations?: Readonly<Record<string, string>>
}

/** What a payload says; nobody has vouched for it. */
export interface UntrustedPayload {
  readonly dockerReference: string
  /** Any text: whether it is the digest of an image is for the reader to compare. */
  readonly manifestDigest: string
  /** Any text; cosign writes "cosign container image signature", and the guest does not look. */
  readonly type: string
  readonly optional?: UntrustedOptional
}

export interface UntrustedOptional {
  readonly creator?: string
  /** Seconds since 1970; not exact beyond 2^53. */
  readonly timestamp?: number
  /** All other members by name; of a name given twice the last one, as the guest's reader takes it. */
  readonly extra: ReadonlyMap<string, JsonNode>
}

/**
 * Writes the payload that cosign signs, byte for byte (sigstore, pkg/signature/payload): compact, fields in their fixed
 * order, annotations sorted by UTF-8 bytes, `optional` null where there are none.
 */
export function encodePayload(content: PayloadContent): Uint8Array {
  const { dockerReference, manifestDigest, annotations = {} } = content
  return encodeUtf8(
    `{"critical":{"identity":{"docker-reference":${encodeGoString(dockerReference)}},` +
      `"image":{"docker-manifest-digest":${encodeGoString(manifestDigest)}},` +
      `"type":${encodeGoString(COSIGN.payloadType)}},"optional":${encodeAnnotations(annotations)}}`,
  )
}

/** The repository as cosign names it in a payload: Docker Hub is `index.docker.io`. */
export function cosignRepositoryName(reference: Reference): string {
  const name = repositoryName(reference)
  return reference.registry === 'docker.io' ? `index.${name}` : name
}

/**
 * Reads a payload as leniently as the guest does: unknown members are ignored, known ones given twice are refused,
 * `type` may be any string, a struct may be written as a list. Says nothing about who wrote it.
 * Follows sigstore-rs 0.13, cosign/payload/simple_signing.rs, and serde_json 1.
 * @param lists `refused`: a struct must be an object, as for cosign, which is written in Go. Default: `read`.
 * @throws INVALID_SIGNATURE with the reason.
 */
export function parsePayload(bytes: Uint8Array, lists: 'read' | 'refused' = 'read'): UntrustedPayload {
  const document = parseDocument(bytes)
  if (lists === 'refused' && hasList(document)) invalid('it is a list where an object must stand')
  const root = fieldsOf(document, 'the document', ['critical', 'optional'])
  const critical = fieldsOf(root['critical'], 'critical', ['identity', 'image', 'type'])
  const identity = fieldsOf(critical['identity'], 'critical.identity', ['docker-reference'])
  const image = fieldsOf(critical['image'], 'critical.image', ['docker-manifest-digest'])
  const optional = root['optional']
  return {
    dockerReference: stringOf(identity['docker-reference'], 'critical.identity.docker-reference'),
    manifestDigest: stringOf(image['docker-manifest-digest'], 'critical.image.docker-manifest-digest'),
    type: stringOf(critical['type'], 'critical.type'),
    ...(isAbsent(optional) ? {} : { optional: readOptional(optional) }),
  }
}

function encodeAnnotations(annotations: Readonly<Record<string, string>>): string {
  const entries = Object.entries(annotations)
  if (entries.length === 0) return 'null'
  entries.sort(([a], [b]) => Buffer.compare(encodeUtf8(a), encodeUtf8(b)))
  return `{${entries.map(([key, value]) => `${encodeGoString(key)}:${encodeGoString(value)}`).join(',')}}`
}

function parseDocument(bytes: Uint8Array): JsonNode {
  if (bytes.byteLength > LIMITS.payloadBytes)
    invalid(`it is larger than the limit of ${LIMITS.payloadBytes} bytes`)
  try {
    return parseJsonTree(bytes, 'it')
  } catch (error) {
    if (!isCosignetError(error)) throw error
    throw new CosignetError('INVALID_SIGNATURE', `The signed payload is not valid: ${reasonOf(error)}.`, {
      cause: error,
    })
  }
}

/** Reads the named fields of a struct, which serde takes from an object or, in their order, from a list. */
function fieldsOf(
  node: JsonNode | undefined,
  what: string,
  names: readonly string[],
): Readonly<Record<string, JsonNode>> {
  if (node?.kind === 'array') {
    if (node.items.length !== names.length)
      invalid(`${what} is a list of ${node.items.length}, not of ${names.length}`)
    return Object.fromEntries(node.items.map((item, i) => [names[i], item]))
  }
  if (node?.kind !== 'object') return invalid(`${what} is not an object`)
  return fromMembers(node.members, what, names)
}

/** Whether one of the structs of a payload is written as a list. */
function hasList(node: JsonNode): boolean {
  if (node.kind !== 'object') return node.kind === 'array'
  const structs = ['critical', 'identity', 'image']
  return node.members.some(({ key, value }) => structs.includes(key) && hasList(value))
}

function fromMembers(
  members: readonly JsonMember[],
  what: string,
  names: readonly string[],
): Readonly<Record<string, JsonNode>> {
  const fields: Record<string, JsonNode> = {}
  for (const { key, value } of members) {
    if (!names.includes(key)) continue
    if (fields[key] !== undefined) invalid(`${what} has ${quote(key)} twice`)
    fields[key] = value
  }
  return fields
}

function readOptional(node: JsonNode): UntrustedOptional {
  if (node.kind !== 'object') return invalid('optional is not an object')
  const { creator, timestamp } = fromMembers(node.members, 'optional', ['creator', 'timestamp'])
  return {
    ...(isAbsent(creator) ? {} : { creator: stringOf(creator, 'optional.creator') }),
    ...(isAbsent(timestamp) ? {} : { timestamp: integerOf(timestamp, 'optional.timestamp') }),
    extra: new Map(
      node.members
        .filter(({ key }) => key !== 'creator' && key !== 'timestamp')
        .map(({ key, value }) => [key, value]),
    ),
  }
}

function isAbsent(node: JsonNode | undefined): node is undefined | (JsonNode & { kind: 'null' }) {
  return node === undefined || node.kind === 'null'
}

function stringOf(node: JsonNode | undefined, what: string): string {
  if (node === undefined) return invalid(`${what} is missing`)
  return node.kind === 'string' ? node.value : invalid(`${what} is not a string`)
}

const I64_MIN = -(2n ** 63n)
const I64_MAX = 2n ** 63n - 1n

/** An i64 of serde: no fraction, no exponent; `-0` is a float to it. */
function integerOf(node: JsonNode, what: string): number {
  if (node.kind !== 'number' || !/^(?:0|-?[1-9][0-9]{0,18})$/.test(node.text))
    return invalid(`${what} is not an integer`)
  const value = BigInt(node.text)
  return value >= I64_MIN && value <= I64_MAX ? node.value : invalid(`${what} is not a 64-bit integer`)
}

function invalid(reason: string): never {
  throw new CosignetError('INVALID_SIGNATURE', `The signed payload is not valid: ${reason}.`)
}
