import { CosignetError } from '../core/index.ts'
import type { RegistrySignatures } from '../oci/index.ts'
import { decodeSignatureBlob } from './signature-blob.ts'
import type { SignatureStore } from './signature-store.ts'

/**
 * The signatures that a registry keeps by its extension X-Registry-Supports-Signatures, as a store: OpenPGP alone, what
 * cosign makes has its place at a tag.
 * @param name of the repository, for messages.
 */
export function registrySignatureStore(signatures: RegistrySignatures, name: string): SignatureStore {
  return {
    name,
    list: (digest, signal) => signatures.list(digest, signal),
    checkWritable: async () => name,
    add: async (digest, added, signal) => {
      for (const bytes of added) refuseOther(bytes, name)
      const present = [...(await signatures.list(digest, signal))]
      for (const bytes of added) {
        if (present.some((other) => Buffer.compare(other, bytes) === 0)) continue
        await signatures.put(digest, bytes, signal)
        present.push(bytes)
      }
    },
  }
}

function refuseOther(bytes: Uint8Array, name: string): void {
  if (decodeSignatureBlob(bytes, `A signature for ${name}`).kind === 'openpgp') return
  throw new CosignetError('UNSUPPORTED', `The signature store of ${name} holds OpenPGP signatures alone.`)
}
