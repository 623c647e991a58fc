import { CosignetError, encodeBase64, type JsonValue, LIMITS, quote } from '../core/index.ts'
import { bytesOf, fieldsOf, invalidBundle, listOf, parseBundleJson, stringOf } from './bundle-fields.ts'
import { encodeLogEntry, readLogEntry } from './bundle-log-entry.ts'
import type { DsseEnvelope } from './dsse.ts'
import type { RekorEntry } from './rekor-entry.ts'

/** A sigstore bundle (protobuf-specs, sigstore_bundle.proto) as it was read; nothing in it is verified. */
export interface UntrustedBundle {
  /** What is signed: a DSSE envelope, or (`message`) a file, whose signature is none of an image. */
  readonly content: { readonly kind: 'dsse'; readonly envelope: DsseEnvelope } | { readonly kind: 'message' }
  /** What the verifier is to know the signer by. */
  readonly signer: { readonly kind: 'key'; readonly hint: string } | { readonly kind: 'certificate' }
  /** Entries in transparency logs, in the order of the bundle. */
  readonly logEntries: readonly RekorEntry[]
}

/** What cosign 3.1 writes. */
export const BUNDLE_MEDIA_TYPE = 'application/vnd.dev.sigstore.bundle.v0.3+json'

/** Versions by the two ways in which media types tell them (sigstore-go, pkg/bundle). */
const VERSION =
  /^application\/vnd\.dev\.sigstore\.bundle(?:\+json;version=(0\.[1-3])|\.v(0\.[0-9]+(?:\.[0-9]+)?)\+json)$/

/** Entries and time stamps, as many as sigstore-go reads (internal/limits). */
const ENTRIES_MAX = 32

/**
 * Reads a bundle as cosign 3.1 does for an image (protojson): a member by its name in camel case or in snake case, int64 as
 * number or string, base64 of either alphabet, null as absent; an unknown member, a second content or a second kind of
 * signer refuses the whole. Stricter than cosign: 127 levels of JSON, and what the log entries hold must be of a kind
 * that this package knows. Bundles of the versions 0.1 and 0.2 are refused, as cosign does beside an image.
 * @throws INVALID_SIGNATURE, TOO_LARGE
 */
export function parseBundle(bytes: Uint8Array): UntrustedBundle {
  if (bytes.byteLength > LIMITS.payloadBytes) {
    throw new CosignetError(
      'TOO_LARGE',
      `The sigstore bundle is larger than the limit of ${LIMITS.payloadBytes} bytes.`,
    )
  }
  const members = ['media_type', 'verification_material', 'message_signature', 'dsse_envelope']
  const fields = fieldsOf(parseBundleJson(bytes, 'it'), 'it', members)
  checkVersion(stringOf(fields.get('mediaType'), 'mediaType'))
  const content = readContent(fields.get('dsseEnvelope'), fields.get('messageSignature'))
  return { content, ...readMaterial(fields.get('verificationMaterial')) }
}

/** What a bundle of ours holds: an envelope, signed by a key. */
export interface BundleContent {
  readonly envelope: DsseEnvelope
  /** Base64 of the SHA-256 of the key's SPKI, as cosign has it. */
  readonly hint: string
  readonly logEntries: readonly RekorEntry[]
}

/**
 * Writes a bundle of version 0.3 as cosign 3.1 does, but for white space, which protojson varies on purpose: members in
 * their fixed order, what is empty or zero left out.
 */
export function encodeBundle({ envelope, hint, logEntries }: BundleContent): string {
  const entries = logEntries.length === 0 ? {} : { tlogEntries: logEntries.map(encodeLogEntry) }
  return JSON.stringify({
    mediaType: BUNDLE_MEDIA_TYPE,
    verificationMaterial: { publicKey: { hint }, ...entries },
    dsseEnvelope: encodeEnvelope(envelope),
  })
}

/** An envelope as the value that is written as its JSON (DSSE, envelope.md). */
export function encodeEnvelope({ payload, payloadType, signatures }: DsseEnvelope): JsonValue {
  return {
    payload: encodeBase64(payload),
    payloadType,
    signatures: signatures.map(({ signature, keyId }) => ({
      sig: encodeBase64(signature),
      ...(keyId === '' ? {} : { keyid: keyId }),
    })),
  }
}

function checkVersion(mediaType: string): void {
  const [, before, version = before] = VERSION.exec(mediaType) ?? []
  if (version === undefined) invalidBundle(`its media type ${quote(mediaType)} is not one of a bundle`)
  const minor = Number(version.split('.')[1])
  if (minor !== 3) invalidBundle(`it is of version ${version}, and beside an image only 0.3 is read`)
}

function readContent(
  envelope: JsonValue | undefined,
  message: JsonValue | undefined,
): UntrustedBundle['content'] {
  if (envelope !== undefined && message !== undefined) {
    invalidBundle('it has an envelope and a message signature')
  }
  if (envelope !== undefined) return { kind: 'dsse', envelope: readEnvelope(envelope) }
  if (message === undefined) return invalidBundle('it signs nothing')
  fieldsOf(message, 'messageSignature', ['message_digest', 'signature'])
  return { kind: 'message' }
}

function readEnvelope(value: JsonValue): DsseEnvelope {
  // The .proto file has payloadType in camel case, too.
  const fields = fieldsOf(value, 'dsseEnvelope', ['payload', 'payloadType', 'signatures'])
  const signatures = listOf(fields.get('signatures'), 'signatures', LIMITS.signatures)
  return {
    payload: bytesOf(fields.get('payload'), 'payload'),
    payloadType: stringOf(fields.get('payloadType'), 'payloadType'),
    signatures: signatures.map((item) => {
      const signature = fieldsOf(item, 'a signature', ['sig', 'keyid'])
      return {
        signature: bytesOf(signature.get('sig'), 'sig'),
        keyId: stringOf(signature.get('keyid'), 'keyid'),
      }
    }),
  }
}

const MATERIAL_MEMBERS = [
  'public_key',
  'certificate',
  'x509_certificate_chain',
  'tlog_entries',
  'timestamp_verification_data',
]

function readMaterial(value: JsonValue | undefined): Pick<UntrustedBundle, 'signer' | 'logEntries'> {
  const what = 'verificationMaterial'
  const fields = fieldsOf(value, what, MATERIAL_MEMBERS)
  const key = fields.get('publicKey')
  const certificate = fields.get('certificate')
  // Of version 0.3 a chain is refused.
  if (fields.has('x509CertificateChain')) invalidBundle(`${what} has a chain of certificates`)
  if (key !== undefined && certificate !== undefined) invalidBundle(`${what} has a key and a certificate`)
  checkTimestamps(fields.get('timestampVerificationData'))
  const logEntries = listOf(fields.get('tlogEntries'), 'tlogEntries', ENTRIES_MAX).map(readLogEntry)
  if (logEntries.length > 0 && logEntries.every(({ proof }) => proof === undefined)) {
    invalidBundle('none of its log entries has the proof of inclusion that version 0.3 needs')
  }
  if (key !== undefined) {
    const hint = stringOf(fieldsOf(key, 'publicKey', ['hint']).get('hint'), 'hint')
    return { signer: { kind: 'key', hint }, logEntries }
  }
  if (certificate === undefined) return invalidBundle(`${what} has neither a key nor a certificate`)
  return { signer: { kind: 'certificate' }, logEntries }
}

/** Time stamps are not looked at, and yet a bundle is none with others than these. */
function checkTimestamps(value: JsonValue | undefined): void {
  if (value === undefined) return
  const name = 'rfc3161Timestamps'
  const items = listOf(
    fieldsOf(value, 'timestampVerificationData', ['rfc3161_timestamps']).get(name),
    name,
    ENTRIES_MAX,
  )
  for (const item of items) {
    bytesOf(fieldsOf(item, name, ['signed_timestamp']).get('signedTimestamp'), 'signedTimestamp')
  }
}
