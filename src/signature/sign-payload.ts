import { type PublicKey, type SigningKey, verifySignature } from '../keys/index.ts'
import type { Digest, Reference } from '../oci/index.ts'
import { COSIGN } from './cosign-format.ts'
import { cosignRepositoryName, encodePayload } from './payload.ts'
import type { ImageSigner } from './sign-image.ts'
import type { SignatureBlob } from './signature-blob.ts'

/** What a signature of cosign's says of a manifest, beside its digest. */
export interface CosignClaim {
  /**
   * The name in the payload: the repository of a reference, whose tag and digest do not matter, or a text as it stands
   * (`cosign sign --sign-container-identity`).
   */
  readonly reference: Reference | string
  /** What `cosign sign -a` adds to the payload. Default: none. */
  readonly annotations?: Readonly<Record<string, string>>
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

/** Signs a payload as cosign does. */
export function signPayload(payload: Uint8Array, key: SigningKey): CosignSignature {
  const signature = Buffer.from(key.sign(payload)).toString('base64')
  return {
    kind: 'sigstore',
    mediaType: COSIGN.payloadMediaType,
    payload,
    annotations: { [COSIGN.signature]: signature },
  }
}

/** Whether annotations carry a signature of the key on the payload, read as cosign reads them. */
export function carriesSignature(
  annotations: Readonly<Record<string, string>> | undefined,
  payload: Uint8Array,
  key: PublicKey,
): boolean {
  const signature = annotations?.[COSIGN.signature]
  return signature !== undefined && verifySignature(key, payload, Buffer.from(signature, 'base64'))
}

/** Signs manifests in the form of cosign, for stores that keep signatures in files. */
export function cosignSigner(key: SigningKey | Promise<SigningKey>, claim: CosignClaim): ImageSigner {
  return {
    kind: 'cosign',
    isOwn: async (blob, digest) => {
      if (blob.kind !== 'sigstore' || blob.mediaType !== COSIGN.payloadMediaType) return false
      if (Buffer.compare(blob.payload, payloadFor(claim, digest)) !== 0) return false
      return carriesSignature(blob.annotations, blob.payload, (await key).publicKey)
    },
    sign: async (digest) => signPayload(payloadFor(claim, digest), await key),
  }
}
