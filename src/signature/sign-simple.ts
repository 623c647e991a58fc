import { type Clock, isCosignetError } from '../core/index.ts'
import type { OpenPgpKey } from '../keys/index.ts'
import { verifyOpenPgpMessage } from './openpgp-verify.ts'
import type { UntrustedPayload } from './payload.ts'
import type { ImageSigner } from './sign-image.ts'
import { encodeSimplePayload, parseSimplePayload } from './simple-payload.ts'

/** Who signs messages: a key in memory, or gpg. */
export interface MessageSigner {
  readonly key: OpenPgpKey
  sign(message: Uint8Array): Promise<Uint8Array>
}

/** What a simple signature says of a manifest beside its digest. */
export interface SimpleClaim {
  /** The image as its users name it, normalised, with its tag or digest: `docker.io/library/busybox:latest`. */
  readonly dockerReference: string
  /** The program that signs and its version. */
  readonly creator: string
  readonly clock: Clock
}

/**
 * Signs manifests with OpenPGP as containers/image does (signature/docker.go): a message that holds its payload.
 * @param signer or what will become it.
 */
export function simpleSigner(
  signer: MessageSigner | Promise<MessageSigner>,
  claim: SimpleClaim,
): ImageSigner {
  const { dockerReference, creator, clock } = claim
  return {
    kind: 'openpgp',
    isOwn: async (blob, digest) => {
      if (blob.kind !== 'openpgp') return false
      const verified = verifyOpenPgpMessage(blob.bytes, [(await signer).key], 'gpg', clock())
      const payload = 'failure' in verified ? undefined : readPayload(verified.payload)
      return payload?.dockerReference === dockerReference && payload.manifestDigest === digest
    },
    sign: async (digest) => {
      const { sign } = await signer
      const payload = encodeSimplePayload({
        dockerReference,
        manifestDigest: digest,
        creator,
        timestamp: clock(),
      })
      return { kind: 'openpgp', bytes: await sign(payload) }
    },
  }
}

function readPayload(bytes: Uint8Array): UntrustedPayload | undefined {
  try {
    return parseSimplePayload(bytes, 'strict')
  } catch (error) {
    if (isCosignetError(error)) return undefined
    throw error
  }
}
