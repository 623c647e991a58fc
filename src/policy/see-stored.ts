import { CosignetError, isCosignetError, LIMITS } from '../core/index.ts'
import { type OpenPgpKey, parseOpenPgpMessage } from '../keys/index.ts'
import { digestOf } from '../oci/index.ts'
import {
  decodeSignatureBlob,
  type OpenPgpFailure,
  parseSimplePayload,
  type SignatureBlob,
  type SignatureStore,
  toAttachment,
  type UntrustedPayload,
  type VerifiedOpenPgp,
  verifyOpenPgpMessage,
} from '../signature/index.ts'
import { CLAIMS_UNCHECKED, checkClaims, claimsOf } from './claims.ts'
import { judgeAttachment } from './judge-attachment.ts'
import type { KeysContext } from './keys-context.ts'
import {
  type Fault,
  type SeenSignature,
  type Sighting,
  type SignatureClaims,
  type SignatureFault,
  type Signer,
  sighting,
  unreadable,
} from './seen-signature.ts'
import { signatureTime } from './signature-time.ts'

/**
 * Finds and judges the signatures in the signature store of an image, each for itself: OpenPGP messages as gpg and
 * containers/image do, and cosign signatures that are kept as files (`dir:`) as those in a signature image.
 * @throws TOO_LARGE beyond `LIMITS.signatures`, and what the store throws because it cannot be reached.
 */
export async function seeStoredSignatures(context: KeysContext): Promise<Sighting> {
  const { image, signal } = context
  const opened = await context.openSignatures?.()
  if (opened?.store === undefined) {
    return sighting(`There is no signature store: ${opened?.reason ?? 'none is known here'}.`, [])
  }
  const { store } = opened
  const blobs = await store.list(image.digest, signal)
  if (blobs.length > LIMITS.signatures) {
    const message = `There are more than ${LIMITS.signatures} signatures on one image in ${store.name}.`
    throw new CosignetError('TOO_LARGE', message)
  }
  const seen = blobs.map((bytes, index) => judgeBlob(context, store, bytes, index))
  return sighting(`${store.name} holds ${blobs.length} signature(s) of ${image.digest}.`, seen)
}

function judgeBlob(
  context: KeysContext,
  store: SignatureStore,
  bytes: Uint8Array,
  index: number,
): SeenSignature {
  const location = `${store.name} (signature ${index + 1})`
  const blob = tryDecode(bytes)
  if (typeof blob === 'string') return unreadable('simple', location, blob)
  if (blob.kind === 'openpgp') return judgeMessage(context, blob.bytes, location)
  const { mediaType, payload, annotations } = blob
  const descriptor = { mediaType, digest: digestOf(payload), size: payload.byteLength, annotations }
  return judgeAttachment(context, toAttachment(descriptor, payload), location)
}

function tryDecode(bytes: Uint8Array): SignatureBlob | string {
  try {
    return decodeSignatureBlob(bytes, 'It')
  } catch (error) {
    if (isCosignetError(error)) return error.message
    throw error
  }
}

function judgeMessage(context: KeysContext, bytes: Uint8Array, location: string): SeenSignature {
  const trusted = openPgpKeysOf(context)
  const result = verifyOpenPgpMessage(bytes, [...trusted.keys()], 'gpg', context.now())
  if ('failure' in result) return refused(result, bytes, location)
  const signer = signerOf(result, trusted)
  const payload = tryParse(result.payload)
  const time = signatureTime(result.created.getTime() / 1000, 'signature', false)
  const fault = checkMessage(context, payload)
  return {
    kind: 'simple',
    location,
    signer,
    ...(time === undefined ? {} : { time }),
    claims: payload === undefined ? {} : claimsOf(payload),
    ...(fault === undefined ? { counts: true } : { counts: false, fault }),
  }
}

/** The OpenPGP keys that are given, and where each came from. */
function openPgpKeysOf({ requirement: { keys } }: KeysContext): ReadonlyMap<OpenPgpKey, string> {
  return new Map(
    keys.flatMap((trusted) =>
      trusted.kind === 'openpgp' ? trusted.keys.map((key) => [key, trusted.name] as const) : [],
    ),
  )
}

function signerOf({ fingerprint }: VerifiedOpenPgp, trusted: ReadonlyMap<OpenPgpKey, string>): Signer {
  const [key, name] = [...trusted].find(([one]) => one.fingerprint === fingerprint) ?? []
  return { fingerprint, name: name ?? fingerprint, ...(key === undefined ? {} : { userIds: key.userIds }) }
}

/** What is asked of a signature that one of the keys made. */
function checkMessage(context: KeysContext, payload: UntrustedPayload | undefined): Fault | undefined {
  const { checkClaims: isChecked, rekorKeys } = context.requirement
  if (!isChecked) return CLAIMS_UNCHECKED
  if (rekorKeys !== undefined) {
    return { code: 'not-logged', message: 'OpenPGP signatures are in no transparency log.' }
  }
  return checkClaims(context, payload)
}

/** What the failures of an OpenPGP message come to. */
const FAULTS: Readonly<Record<OpenPgpFailure['failure'], SignatureFault>> = {
  'malformed-message': 'unreadable',
  unsupported: 'unsupported',
  'weak-hash': 'unsupported',
  'unknown-key': 'wrong-key',
  'signature-mismatch': 'wrong-key',
  'key-id-mismatch': 'unreadable',
  'key-unusable': 'unsupported',
  'key-expired': 'expired',
  'key-revoked': 'expired',
  'signature-expired': 'expired',
  'made-before-key': 'expired',
}

function refused(
  { failure, message, untrustedIssuer }: OpenPgpFailure,
  bytes: Uint8Array,
  location: string,
): SeenSignature {
  const key: SignatureClaims = untrustedIssuer === undefined ? {} : { key: untrustedIssuer }
  return {
    kind: 'simple',
    location,
    claims: { ...untrustedClaims(bytes), ...key },
    counts: false,
    fault: { code: FAULTS[failure], message },
  }
}

/** What a message says that nobody has vouched for, as far as it can be read. */
function untrustedClaims(bytes: Uint8Array): SignatureClaims {
  try {
    const payload = tryParse(parseOpenPgpMessage(bytes).untrustedText)
    return payload === undefined ? {} : claimsOf(payload)
  } catch (error) {
    if (isCosignetError(error)) return {}
    throw error
  }
}

function tryParse(bytes: Uint8Array): UntrustedPayload | undefined {
  try {
    return parseSimplePayload(bytes, 'strict')
  } catch (error) {
    if (isCosignetError(error)) return undefined
    throw error
  }
}
