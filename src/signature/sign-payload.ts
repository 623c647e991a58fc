import { type PublicKey, type SigningKey, verifySignature } from '../keys/index.ts'
import type { Digest, Reference } from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'
import { cosignRepositoryName, encodePayload } from './payload.ts'
import { encodeRekorAnnotation, verifyRekorAnnotation } from './rekor-annotation.ts'
import type { TransparencyLog } from './rekor-client.ts'
import type { ImageSigner } from './sign-image.ts'
import type { SignatureBlob } from './signature-blob.ts'

/** What a signature of cosign's says of a manifest beside its digest, and where it is logged. */
export interface CosignClaim {
  /**
   * The name in the payload: the repository of a reference, whose tag and digest do not matter, or a text as it stands
   * (`cosign sign --sign-container-identity`).
   */
  readonly reference: Reference | string
  /** What `cosign sign -a` adds to the payload. Default: none. */
  readonly annotations?: Readonly<Record<string, string>>
  /** Where the signature is logged before it is stored. Default: nowhere. */
  readonly log?: TransparencyLog
}

/** A signature in the form of cosign: a payload, and the signature on it as an annotation. */
export type CosignSignature = Extract<SignatureBlob, { readonly kind: 'sigstore' }>

/** The payload of a claim on a manifest. */
export function payloadFor({ reference, annotations }: CosignClaim, digest: Digest): Uint8Array {
  return encodePayload({
    dockerReference: typeof reference === 'string' ? reference : cosignRepositoryName(reference),
    manifestDigest: digest,
    ...(annotations === undefined ? {} : { annotations }),
  })
}

/** Signs a payload as cosign does, and has the signature logged. @throws what the log does */
export async function signPayload(
  payload: Uint8Array,
  key: SigningKey,
  log?: TransparencyLog,
  signal?: AbortSignal,
): Promise<CosignSignature> {
  const signature = key.sign(payload)
  const entry = await log?.logSignature({ payload, signature, key: key.publicKey }, signal)
  return {
    kind: 'sigstore',
    mediaType: COSIGN.payloadMediaType,
    payload,
    annotations: {
      [COSIGN.signature]: Buffer.from(signature).toString('base64'),
      ...(entry === undefined ? {} : { [COSIGN.bundle]: encodeRekorAnnotation(entry) }),
    },
  }
}

/**
 * Whether annotations carry a signature of the key on the payload, read as cosign reads them; and if a log is given, its
 * promise to have logged that signature.
 */
export function carriesSignature(
  annotations: Readonly<Record<string, string>> | undefined,
  payload: Uint8Array,
  key: PublicKey,
  log?: Pick<TransparencyLog, 'rekorKeys'>,
): boolean {
  const text = annotations?.[COSIGN.signature]
  if (text === undefined) return false
  const signature = Buffer.from(text, 'base64')
  if (!verifySignature(key, payload, signature)) return false
  if (log === undefined) return true
  const promise = annotations?.[COSIGN.bundle]
  const signed = { payload, signature, key, rekorKeys: log.rekorKeys }
  return promise !== undefined && !('failure' in verifyRekorAnnotation(promise, signed))
}

/** Signs manifests in the form of cosign, for stores that keep signatures in files. */
export function cosignSigner(key: SigningKey | Promise<SigningKey>, claim: CosignClaim): ImageSigner {
  return {
    kind: 'sigstore',
    isOwn: async (blob, digest) => {
      if (blob.kind !== 'sigstore' || blob.mediaType !== COSIGN.payloadMediaType) return false
      if (Buffer.compare(blob.payload, payloadFor(claim, digest)) !== 0) return false
      return carriesSignature(blob.annotations, blob.payload, (await key).publicKey, claim.log)
    },
    sign: async (digest, signal) => signPayload(payloadFor(claim, digest), await key, claim.log, signal),
  }
}
