import { isCosignetError, quote, reasonOf } from '../core/index.ts'
import type { PublicKey } from '../keys/index.ts'
import { type Digest, type ImageSource, parseReference, repositoryName } from '../oci/index.ts'
import {
  COSIGN,
  decodeSignatureBlob,
  type FoundBundle,
  NOT_CHECKED_BY_COSIGN,
  parsePayload,
  parseSimplePayload,
  readBundles,
  readEachAttachment,
  readTagged,
  type SignatureStore,
  signatureTag,
  type UnreadableAttachment,
  type UntrustedAttachment,
  verifyAttachment,
  verifyBundle,
  verifyOpenPgpMessage,
} from '../signature/index.ts'
import type { TrustedKey } from './keys-requirement.ts'
import { UNREADABLE } from './see-cosign.ts'
import type { Hash, SignatureFact } from './who-can-verify.ts'

export interface ReadFactsOptions {
  readonly source: ImageSource
  /** The manifest whose signatures are read. */
  readonly digest: Digest
  /** The repository of the image, normalised; undefined outside registries. */
  readonly repository?: string
  /** By whom a signature may be. Default: that is not asked. */
  readonly keys?: readonly TrustedKey[]
  /** The signature store of the image. Default: none. */
  readonly store?: SignatureStore
  /** By which expiry is judged. */
  readonly now: Date
  readonly signal?: AbortSignal
}

/**
 * Reads every signature on a manifest, of all kinds, and finds out what decides who can verify it. What is wrong with
 * one signature is a fact about it; a place that cannot be reached is thrown.
 * @throws TOO_LARGE beyond `LIMITS`; and what the source and the store throw
 */
export async function readSignatureFacts(options: ReadFactsOptions): Promise<readonly SignatureFact[]> {
  const facts = await Promise.all([cosignFacts(options), bundleFacts(options), simpleFacts(options)])
  return facts.flat()
}

async function cosignFacts(options: ReadFactsOptions): Promise<readonly SignatureFact[]> {
  const { source, digest, signal } = options
  const location = signatureTag(digest)
  const base = { kind: 'cosign', of: digest, location } as const
  try {
    const manifest = await readTagged(source, location, signal)
    const found = manifest === undefined ? [] : await readEachAttachment(source, manifest, signal)
    return found.map((one) => ({ ...base, ...attachmentFact(options, one) }))
  } catch (error) {
    if (!isCosignetError(error, ...UNREADABLE)) throw error
    return [{ ...base, fault: reasonOf(error), lost: true }]
  }
}

type Found = Omit<SignatureFact, 'kind' | 'of' | 'location'>

function attachmentFact(options: ReadFactsOptions, found: UntrustedAttachment | UnreadableAttachment): Found {
  const { descriptor } = found
  const foreignLayer = descriptor.mediaType === COSIGN.payloadMediaType ? {} : { foreignLayer: true }
  if ('failure' in found) return { ...foreignLayer, fault: reasonOf(found.failure), lost: true }
  const payload = attempt(() => parsePayload(found.payload))
  if ('fault' in payload) return { ...foreignLayer, ...payload }
  const { dockerReference, manifestDigest } = payload.value
  const said = { ...foreignLayer, claims: dockerReference, ...namesRepository(options, dockerReference) }
  if (manifestDigest !== options.digest) return { ...said, fault: `it is of ${quote(manifestDigest)}` }
  return { ...said, ...madeBy(options, (key) => hashesOf(found, key)) }
}

/** The hashes by which a key verifies an attachment. */
function hashesOf(attachment: UntrustedAttachment, key: PublicKey): readonly Hash[] {
  const hashes: readonly Hash[] = ['key', 'sha256']
  return hashes.filter(
    (hash) => !('failure' in verifyAttachment(attachment, key, { hash, stripNewlines: true })),
  )
}

async function bundleFacts(options: ReadFactsOptions): Promise<readonly SignatureFact[]> {
  const { source, digest, signal } = options
  const bundles = await readBundles(source, digest, signal)
  return bundles.map((found) => ({
    kind: 'bundle',
    of: digest,
    location: found.referrer,
    ...bundleFact(options, found),
  }))
}

function bundleFact(options: ReadFactsOptions, found: FoundBundle): Found {
  if ('failure' in found) return { fault: reasonOf(found.message), lost: true }
  const { content, signer } = found.bundle
  if (content.kind !== 'dsse') return { fault: 'it is the signature of a file, not of an image' }
  const claims = signer.kind === 'key' ? { claims: `key hint ${signer.hint}` } : {}
  return {
    ...claims,
    ...madeBy(options, (key) => {
      const result = verifyBundle(found.bundle, key, { digest: options.digest })
      return !('failure' in result) || NOT_CHECKED_BY_COSIGN.has(result.failure) ? ['sha256'] : []
    }),
  }
}

async function simpleFacts(options: ReadFactsOptions): Promise<readonly SignatureFact[]> {
  const { store, digest, signal } = options
  const blobs = (await store?.list(digest, signal)) ?? []
  return blobs.flatMap((bytes): readonly SignatureFact[] => {
    const base = { kind: 'simple', of: digest, location: store?.name ?? '' } as const
    const blob = attempt(() => decodeSignatureBlob(bytes, 'it'))
    if ('fault' in blob) return [{ ...base, ...blob }]
    // What cosign keeps in a layer stands in `dir:` as a file, and is read there as a layer.
    return blob.value.kind === 'openpgp' ? [{ ...base, ...messageFact(options, blob.value.bytes) }] : []
  })
}

function messageFact({ keys, ...options }: ReadFactsOptions, bytes: Uint8Array): Found {
  if (keys === undefined) return {}
  const trusted = keys.flatMap((one) => (one.kind === 'openpgp' ? one.keys : []))
  const message = verifyOpenPgpMessage(bytes, trusted, 'gpg', options.now)
  if ('failure' in message) {
    const claims = message.untrustedIssuer === undefined ? {} : { claims: `key ${message.untrustedIssuer}` }
    return message.failure === 'unknown-key' || message.failure === 'signature-mismatch'
      ? { ...claims, madeBy: 'none' }
      : { ...claims, fault: reasonOf(message.message) }
  }
  const payload = attempt(() => parseSimplePayload(message.payload, 'strict'))
  if ('fault' in payload) return payload
  const { dockerReference, manifestDigest } = payload.value
  const said = { claims: dockerReference, ...namesRepository(options, dockerReference) }
  if (manifestDigest !== options.digest) return { ...said, fault: `it is of ${quote(manifestDigest)}` }
  const signer = keys.find(
    (one) =>
      one.kind === 'openpgp' && one.keys.some(({ fingerprint }) => fingerprint === message.fingerprint),
  )
  return { ...said, madeBy: { algorithm: 'openpgp', hashes: [], name: signer?.name ?? message.fingerprint } }
}

/** The first of the keys that made a signature. */
function madeBy(
  { keys }: ReadFactsOptions,
  hashesBy: (key: PublicKey) => readonly Hash[],
): Pick<SignatureFact, 'madeBy'> {
  if (keys === undefined) return {}
  for (const trusted of keys) {
    const hashes = trusted.kind === 'cosign' ? hashesBy(trusted.key) : []
    if (trusted.kind === 'cosign' && hashes.length > 0)
      return { madeBy: { algorithm: trusted.key.algorithm, hashes, name: trusted.name } }
  }
  return { madeBy: 'none' }
}

function namesRepository(
  { repository }: Pick<ReadFactsOptions, 'repository'>,
  claimed: string,
): Pick<SignatureFact, 'namesRepository'> {
  if (repository === undefined) return {}
  const name = attempt(() => repositoryName(parseReference(claimed)))
  return { namesRepository: 'value' in name && name.value === repository }
}

function attempt<T>(read: () => T): { readonly value: T } | { readonly fault: string } {
  try {
    return { value: read() }
  } catch (error) {
    if (isCosignetError(error)) return { fault: reasonOf(error) }
    throw error
  }
}
