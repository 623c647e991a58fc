import { encodeBase64, type JsonValue } from '../core/index.ts'
import { bytesOf, fieldsOf, integerOf, invalidBundle, listOf, stringOf } from './bundle-fields.ts'
import { PROOF_HASHES_MAX, parseRekorBody, type RekorEntry, type RekorProof } from './rekor-entry.ts'

const ENTRY_MEMBERS = [
  'log_index',
  'log_id',
  'kind_version',
  'integrated_time',
  'inclusion_promise',
  'inclusion_proof',
  'canonicalized_body',
]

/** Reads an entry in a transparency log (protobuf-specs, sigstore_rekor.proto). @throws INVALID_SIGNATURE */
export function readLogEntry(value: JsonValue, index: number): RekorEntry {
  const what = `tlogEntries[${index}]`
  const fields = fieldsOf(value, what, ENTRY_MEMBERS)
  const logId = bytesOf(fieldsOf(fields.get('logId'), `${what}.logId`, ['key_id']).get('keyId'), 'keyId')
  fieldsOf(fields.get('kindVersion'), `${what}.kindVersion`, ['kind', 'version'])
  const body = bytesOf(fields.get('canonicalizedBody'), 'canonicalizedBody')
  parseRekorBody(body)
  const promise = readPromise(fields.get('inclusionPromise'))
  const proof = fields.get('inclusionProof')
  return {
    body,
    logId: Buffer.from(logId).toString('hex'),
    logIndex: integerOf(fields.get('logIndex'), 'logIndex'),
    integratedTime: integerOf(fields.get('integratedTime'), 'integratedTime'),
    ...(promise === undefined ? {} : { promise }),
    ...(proof === undefined ? {} : { proof: readProof(proof) }),
  }
}

function readPromise(value: JsonValue | undefined): Uint8Array | undefined {
  if (value === undefined) return undefined
  const fields = fieldsOf(value, 'inclusionPromise', ['signed_entry_timestamp'])
  const promise = bytesOf(fields.get('signedEntryTimestamp'), 'signedEntryTimestamp')
  return promise.byteLength === 0 ? undefined : promise
}

function readProof(value: JsonValue): RekorProof {
  const members = ['log_index', 'root_hash', 'tree_size', 'hashes', 'checkpoint']
  const fields = fieldsOf(value, 'inclusionProof', members)
  const checkpoint = fieldsOf(fields.get('checkpoint'), 'checkpoint', ['envelope'])
  const envelope = stringOf(checkpoint.get('envelope'), 'envelope')
  if (envelope === '') invalidBundle('the checkpoint of a log entry is empty')
  const hashes = listOf(fields.get('hashes'), 'hashes', PROOF_HASHES_MAX)
  return {
    logIndex: integerOf(fields.get('logIndex'), 'logIndex'),
    treeSize: integerOf(fields.get('treeSize'), 'treeSize'),
    rootHash: bytesOf(fields.get('rootHash'), 'rootHash'),
    hashes: hashes.map((hash) => bytesOf(hash, 'hashes')),
    checkpoint: envelope,
  }
}

/** An entry as the value that is written as its JSON, as protojson writes it. */
export function encodeLogEntry(entry: RekorEntry): JsonValue {
  const { kind, version } = parseRekorBody(entry.body)
  const { promise, proof } = entry
  return {
    ...int64('logIndex', entry.logIndex),
    logId: { keyId: Buffer.from(entry.logId, 'hex').toString('base64') },
    kindVersion: { kind, version },
    ...int64('integratedTime', entry.integratedTime),
    ...(promise === undefined ? {} : { inclusionPromise: { signedEntryTimestamp: encodeBase64(promise) } }),
    ...(proof === undefined ? {} : { inclusionProof: encodeProof(proof) }),
    canonicalizedBody: encodeBase64(entry.body),
  }
}

function encodeProof({ logIndex, rootHash, treeSize, hashes, checkpoint }: RekorProof): JsonValue {
  return {
    ...int64('logIndex', logIndex),
    rootHash: encodeBase64(rootHash),
    ...int64('treeSize', treeSize),
    ...(hashes.length === 0 ? {} : { hashes: hashes.map(encodeBase64) }),
    checkpoint: { envelope: checkpoint },
  }
}

/** Zero is left out, and an int64 is a string: so protojson. */
function int64(name: string, value: number): { readonly [name: string]: string } {
  return value === 0 ? {} : { [name]: String(value) }
}
