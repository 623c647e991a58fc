import { type Clock, encodeUtf8 } from '../core/index.ts'
import type { PublicKey, SigningKey } from '../keys/index.ts'
import type { Descriptor, Digest, ImageDestination, ImageSource, Manifest } from '../oci/index.ts'
import { type Pause, putBytes, wait } from './append-signature.ts'
import { encodeBundle } from './bundle-format.ts'
import { keepListed } from './bundle-listed.ts'
import { EMPTY_CONFIG, encodeBundleManifest } from './bundle-manifest.ts'
import { IN_TOTO_PAYLOAD_TYPE, preAuthEncoding } from './dsse.ts'
import { type FoundBundle, type ReadBundle, readListedBundles } from './read-bundles.ts'
import type { TransparencyLog } from './rekor-client.ts'
import { encodeStatement } from './statement.ts'
import { verifyBundle } from './verify-bundle.ts'

export interface SignBundleOptions {
  /** The repository that the image is in; the bundle goes beside it. */
  readonly store: ImageSource & ImageDestination
  /** Digest of the image or index to sign. */
  readonly digest: Digest
  /** The key, or what will become it: all that needs no key is done meanwhile. */
  readonly key: SigningKey | Promise<SigningKey>
  /** What `cosign sign -a` adds to the statement. Default: none. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Where the signature is logged before it is stored. Default: nowhere. */
  readonly log?: TransparencyLog
  /** The time that the manifest names. */
  readonly now: Clock
  readonly signal?: AbortSignal
  /** Waits while others sign at the same time. Default: a timer. */
  readonly pause?: Pause
}

export interface SignedBundle {
  /** True if a bundle of this key over the same statement was there (and logged, if a log is given): nothing was done. */
  readonly alreadySigned: boolean
  /** Digest of the manifest that refers to the image. */
  readonly referrer: Digest
  /** The bundle as it is stored: JSON. */
  readonly bundle: Uint8Array
}

/**
 * Signs an image in a sigstore bundle as cosign 3.1 does, and stores it as a referrer of the image; where the registry
 * keeps no list of referrers, the store enters it under the referrers tag. What cosign does on a second run, it adds
 * another, is not done: a bundle that says the same by the same key is enough.
 * The bundle is only stored once it is logged, and the manifest last.
 * @throws NOT_FOUND if the image is not there; CONFLICT if others keep the bundle off the list; what the key's promise,
 * the log and the store throw.
 */
export async function signBundle(options: SignBundleOptions): Promise<SignedBundle> {
  const { store, digest, annotations = {}, log } = options
  const failed = new AbortController()
  const signal =
    options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal])
  try {
    const [key, subject, present] = await Promise.all([
      options.key,
      store.getManifest(digest, signal),
      readPresent(store, digest, signal),
    ])
    const same = present.bundles.find((found) => saysTheSame(found, key.publicKey, options))
    if (same !== undefined) return { alreadySigned: true, referrer: same.referrer, bundle: same.bytes }
    const bundle = await makeBundle(key, encodeStatement(digest, annotations), log, signal)
    const manifest = await storeBundle(options, bundle, subject, present.listed, signal)
    return { alreadySigned: false, referrer: manifest.digest, bundle }
  } catch (error) {
    // A wrong password must not leave an upload running.
    failed.abort()
    throw error
  }
}

async function makeBundle(
  key: SigningKey,
  statement: Uint8Array,
  log: TransparencyLog | undefined,
  signal: AbortSignal,
): Promise<Uint8Array> {
  const signed = { payloadType: IN_TOTO_PAYLOAD_TYPE, payload: statement }
  const signature = key.sign(preAuthEncoding(signed.payloadType, statement))
  const entry = await log?.logEnvelope({ ...signed, signature, key: key.publicKey }, signal)
  const content = {
    envelope: { ...signed, signatures: [{ signature, keyId: '' }] },
    hint: Buffer.from(key.publicKey.fingerprint, 'hex').toString('base64'),
    logEntries: entry === undefined ? [] : [entry],
  }
  return encodeUtf8(encodeBundle(content))
}

async function storeBundle(
  { store, digest, now, pause = wait }: SignBundleOptions,
  bundle: Uint8Array,
  subject: Manifest,
  listed: readonly Descriptor[],
  signal: AbortSignal,
): Promise<Manifest> {
  await Promise.all([putBytes(store, EMPTY_CONFIG, signal), putBytes(store, bundle, signal)])
  const manifest = encodeBundleManifest(bundle, subject, now())
  const started = performance.now()
  await store.putManifest(manifest, { signal })
  const took = performance.now() - started
  await keepListed({ store, digest, manifest, took, signal, pause }, listed)
  return manifest
}

interface Present {
  readonly listed: readonly Descriptor[]
  readonly bundles: readonly FoundBundle[]
}

async function readPresent(source: ImageSource, digest: Digest, signal: AbortSignal): Promise<Present> {
  const listed = await source.listReferrers(digest, signal)
  return { listed, bundles: await readListedBundles(source, digest, listed, signal) }
}

/** Whether a bundle is by this key, for this image, with these annotations and no more. */
function saysTheSame(
  found: FoundBundle,
  key: PublicKey,
  { digest, annotations = {}, log }: SignBundleOptions,
): found is ReadBundle {
  if ('failure' in found) return false
  const logged = log === undefined ? {} : { rekorKeys: log.rekorKeys }
  const verified = verifyBundle(found.bundle, key, { digest, annotations, ...logged })
  if ('failure' in verified) return false
  return verified.subject.annotations.size === Object.keys(annotations).length
}
