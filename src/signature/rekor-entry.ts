import { type JsonValue, quote } from '../core/index.ts'
import { fieldOf, invalidBundle, parseBundleJson } from './bundle-fields.ts'

/** An entry in a Rekor log with what proves that it is there; nothing of it is verified. */
export interface RekorEntry {
  /** What the log holds: canonical JSON. */
  readonly body: Uint8Array
  /** SHA-256 of the log's SPKI, lower-case hex. */
  readonly logId: string
  readonly logIndex: number
  /** Seconds since 1970; 0 where the log gives no time (Rekor v2). */
  readonly integratedTime: number
  /** The log's signature over all of the above: the signed entry timestamp. */
  readonly promise?: Uint8Array
  readonly proof?: RekorProof
}

/** That an entry is in a tree whose root the log signed (RFC 9162, section 2.1.3). */
export interface RekorProof {
  readonly logIndex: number
  readonly treeSize: number
  readonly rootHash: Uint8Array
  readonly hashes: readonly Uint8Array[]
  /** A signed note: the root with the log's signature. */
  readonly checkpoint: string
}

/** Nodes in the proof of one entry: a tree of 2^64 leaves has no longer one. */
export const PROOF_HASHES_MAX = 64

/** What an entry says was signed by whom. */
export interface RekorBody {
  readonly kind: 'hashedrekord' | 'dsse' | 'intoto'
  readonly version: string
  /** Undefined where entries of this kind and version are known and not compared here. */
  readonly signed?: LoggedSignature
}

/** A signature as it stands in a log. */
export interface LoggedSignature {
  readonly signature: Uint8Array
  /** PEM. */
  readonly publicKey: Uint8Array
  /** SHA-256 of what was signed; of an envelope, of its payload. Lower-case hex. */
  readonly payloadHash: string
}

type Reader = (spec: JsonValue | undefined) => LoggedSignature | undefined

/** How a signature is found in each kind of entry (Rekor, pkg/types; rekor-tiles for version 0.0.2 of hashedrekord). */
const KINDS: Readonly<Record<string, Readonly<Record<string, Reader>>>> = {
  hashedrekord: { '0.0.1': readHashedRekord, '0.0.2': () => undefined },
  dsse: { '0.0.1': readDsse },
  intoto: { '0.0.1': () => undefined, '0.0.2': readInToto },
}

/**
 * Reads the body of a log entry.
 * @throws INVALID_SIGNATURE for a kind that no image signature is logged by, and for a body that lacks what its kind has.
 */
export function parseRekorBody(body: Uint8Array): RekorBody {
  const document = parseBundleJson(body, 'a log entry')
  const kind = fieldOf(document, 'kind')
  const version = fieldOf(document, 'apiVersion')
  const versions = isKind(kind) ? KINDS[kind] : undefined
  const read = typeof version === 'string' && versions !== undefined ? own(versions, version) : undefined
  if (!isKind(kind) || typeof version !== 'string' || read === undefined) {
    return invalidBundle(`a log entry is of the kind ${quote(JSON.stringify([kind, version]))}`)
  }
  const signed = read(fieldOf(document, 'spec'))
  return { kind, version, ...(signed === undefined ? {} : { signed }) }
}

/** Whether an entry comes from a log of version 2, which promises nothing and gives no time. */
export function isRekorV2({ kind, version }: RekorBody): boolean {
  return kind === 'hashedrekord' && version === '0.0.2'
}

function isKind(kind: JsonValue | undefined): kind is RekorBody['kind'] {
  return typeof kind === 'string' && Object.hasOwn(KINDS, kind)
}

function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

function readHashedRekord(spec: JsonValue | undefined): LoggedSignature {
  const signature = fieldOf(spec, 'signature')
  return {
    signature: base64Of(fieldOf(signature, 'content'), 'signature'),
    publicKey: base64Of(fieldOf(fieldOf(signature, 'publicKey'), 'content'), 'public key'),
    payloadHash: hashOf(fieldOf(fieldOf(spec, 'data'), 'hash')),
  }
}

function readDsse(spec: JsonValue | undefined): LoggedSignature {
  const signature = onlyItem(fieldOf(spec, 'signatures'))
  // Of the envelope as it was written, which nobody can write again.
  hashOf(fieldOf(spec, 'envelopeHash'))
  return {
    signature: base64Of(fieldOf(signature, 'signature'), 'signature'),
    publicKey: base64Of(fieldOf(signature, 'verifier'), 'public key'),
    payloadHash: hashOf(fieldOf(spec, 'payloadHash')),
  }
}

function readInToto(spec: JsonValue | undefined): LoggedSignature {
  const content = fieldOf(spec, 'content')
  const signature = onlyItem(fieldOf(fieldOf(content, 'envelope'), 'signatures'))
  // What stands in the envelope is base64 already, and is encoded once more.
  const inner = Buffer.from(base64Of(fieldOf(signature, 'sig'), 'signature')).toString('latin1')
  return {
    signature: base64Of(inner, 'signature'),
    publicKey: base64Of(fieldOf(signature, 'publicKey'), 'public key'),
    payloadHash: hashOf(fieldOf(content, 'payloadHash')),
  }
}

/** Cosign takes the first of several; which one that is, the log decides, not the envelope. */
function onlyItem(value: JsonValue | undefined): JsonValue | undefined {
  if (!Array.isArray(value) || value.length !== 1) invalidBundle('a log entry has not one signature')
  return value[0]
}

function base64Of(value: JsonValue | undefined, what: string): Uint8Array {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'base64') : undefined
  const valid = bytes !== undefined && bytes.byteLength > 0 && bytes.toString('base64') === value
  return valid ? bytes : invalidBundle(`the ${what} in a log entry is not base64`)
}

function hashOf(value: JsonValue | undefined): string {
  const hex = fieldOf(value, 'value')
  const valid = fieldOf(value, 'algorithm') === 'sha256' && typeof hex === 'string'
  if (!valid || !/^[0-9a-f]{64}$/i.test(hex)) invalidBundle('a hash in a log entry is not one of SHA-256')
  return hex.toLowerCase()
}
