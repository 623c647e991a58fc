import { CosignetError } from '../core/index.ts'
import { parseOpenPgpMessage } from './openpgp-message.ts'
import type { OpenPgpKeyMaterial } from './openpgp-public-key.ts'
import { verifyOpenPgpSignature } from './openpgp-verify.ts'

/**
 * Checks that a message which was just signed is the signature of this key over this text. So a faulty signature,
 * which could give a private key away, never leaves.
 * @param signer who made it, in the words of a message.
 * @throws BAD_RESPONSE if it is not; what `parseOpenPgpMessage` throws.
 */
export function checkSignedMessage(
  message: Uint8Array,
  part: OpenPgpKeyMaterial,
  text: Uint8Array,
  signer: string,
): void {
  const { untrustedText, signature } = parseOpenPgpMessage(message)
  const isBinary = signature.type === 0
  if (
    !isBinary ||
    Buffer.compare(untrustedText, text) !== 0 ||
    !verifyOpenPgpSignature(part, signature, [untrustedText])
  ) {
    throw new CosignetError(
      'BAD_RESPONSE',
      `What ${signer} signed is not what the key ${part.fingerprint} was given.`,
    )
  }
}
