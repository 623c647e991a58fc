import { encodeUtf8, type JsonValue } from '../core/index.ts'
import { type Digest, digestParts } from '../oci/index.ts'
import {
  bytesOf,
  entriesOf,
  fieldsOf,
  invalidBundle,
  listOf,
  parseBundleJson,
  stringOf,
} from './bundle-fields.ts'

/** What an in-toto statement says (in-toto attestation, spec/v1/statement.md); nobody has vouched for it. */
export interface UntrustedStatement {
  /** `https://in-toto.io/Statement/v1`, or any other text. */
  readonly type: string
  readonly predicateType: string
  readonly subjects: readonly StatementSubject[]
}

export interface StatementSubject {
  readonly name: string
  /** Lower- or upper-case hex, by the name of the algorithm: `sha256`. */
  readonly digests: ReadonlyMap<string, string>
  readonly annotations: ReadonlyMap<string, JsonValue>
}

const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1'

/** Types of statements that are taken; cosign does not look. */
export const STATEMENT_TYPES: readonly string[] = [STATEMENT_TYPE, 'https://in-toto.io/Statement/v0.1']

/** What `cosign sign` says of an image: that it was signed, and no more. */
export const SIGN_PREDICATE_TYPE = 'https://sigstore.dev/cosign/sign/v1'

/** As many as sigstore-go reads (pkg/verify/signature.go). */
const SUBJECTS_MAX = 1024
const DIGESTS_MAX = 32

/**
 * Writes the statement that `cosign sign` 3.1 signs, but for white space, which protojson varies on purpose: fields in
 * their fixed order, annotations sorted by UTF-8 bytes.
 * @param annotations what `cosign sign -a` adds.
 */
export function encodeStatement(digest: Digest, annotations: Readonly<Record<string, string>>): Uint8Array {
  const { algorithm, hex } = digestParts(digest)
  const sorted = Object.entries(annotations).sort(([a], [b]) => Buffer.compare(encodeUtf8(a), encodeUtf8(b)))
  const members = sorted.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
  return encodeUtf8(
    `{"_type":"${STATEMENT_TYPE}","subject":[{"digest":{"${algorithm}":"${hex}"},` +
      `"annotations":{${members.join(',')}}}],"predicateType":"${SIGN_PREDICATE_TYPE}","predicate":{}}`,
  )
}

/**
 * Reads a statement as cosign does (protojson, in-toto attestation v1): names in camel or snake case, an unknown member
 * refuses the whole, type and predicate type may be any. What the predicate says is not kept.
 * @throws INVALID_SIGNATURE
 */
export function parseStatement(bytes: Uint8Array): UntrustedStatement {
  const what = 'the statement'
  const fields = fieldsOf(parseBundleJson(bytes, what), what, [
    '_type',
    'type',
    'subject',
    'predicate_type',
    'predicate',
  ])
  if (fields.has('_type') && fields.has('type')) invalidBundle(`${what} has its type twice`)
  const predicate = fields.get('predicate')
  if (predicate !== undefined) entriesOf(predicate, 'predicate')
  return {
    type: stringOf(fields.get('_type') ?? fields.get('type'), '_type'),
    predicateType: stringOf(fields.get('predicateType'), 'predicateType'),
    subjects: listOf(fields.get('subject'), 'subject', SUBJECTS_MAX).map(readSubject),
  }
}

const SUBJECT_MEMBERS = ['name', 'uri', 'digest', 'content', 'download_location', 'media_type', 'annotations']

function readSubject(value: JsonValue, index: number): StatementSubject {
  const what = `subject[${index}]`
  const fields = fieldsOf(value, what, SUBJECT_MEMBERS)
  for (const name of ['uri', 'downloadLocation', 'mediaType']) stringOf(fields.get(name), `${what}.${name}`)
  bytesOf(fields.get('content'), `${what}.content`)
  return {
    name: stringOf(fields.get('name'), `${what}.name`),
    digests: readDigests(fields.get('digest'), `${what}.digest`),
    annotations: new Map(mapOf(fields.get('annotations'), `${what}.annotations`)),
  }
}

function readDigests(value: JsonValue | undefined, what: string): ReadonlyMap<string, string> {
  const entries = mapOf(value, what)
  if (entries.length > DIGESTS_MAX) invalidBundle(`${what} has more than ${DIGESTS_MAX} digests`)
  return new Map(
    entries.map(([algorithm, hex]) => {
      const valid = typeof hex === 'string' && /^(?:[0-9a-fA-F]{2})*$/.test(hex)
      return valid ? [algorithm, hex] : invalidBundle(`${what} has a digest that is not hex`)
    }),
  )
}

function mapOf(value: JsonValue | undefined, what: string): readonly [string, JsonValue][] {
  return value === undefined ? [] : entriesOf(value, what)
}
