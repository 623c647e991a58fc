import { join } from 'node:path'
import { LIMITS } from '../core/index.ts'
import { openDirectory, signatureFileOf } from '../oci/index.ts'
import type { SignatureStore } from './signature-store.ts'
import { appendFiles } from './signature-store-files.ts'

/**
 * Opens the signatures in a `dir:` image that is there: `signature-N` of the image itself, `<hex>.signature-N` of what
 * else it holds. They are added in place; no other file is touched.
 * @throws as `openDirectory`; by its functions NOT_FOUND for a manifest that the folder does not hold
 */
export async function openDirectorySignatures(path: string): Promise<SignatureStore> {
  const image = await openDirectory(path)
  return {
    name: image.name,
    list: async (digest) => await image.listSignatures(digest),
    checkWritable: async () => image.name,
    add: async (digest, signatures) => {
      await image.getManifest(digest)
      const of = digest === image.root.digest ? undefined : digest
      let known: readonly Uint8Array[] = []
      const files = {
        name: image.name,
        limit: LIMITS.signatures,
        pathOf: (number: number) => join(path, signatureFileOf(of, number)),
        read: async (number: number) => {
          if (number > known.length) known = await image.listSignatures(digest)
          return known[number - 1]
        },
      }
      await appendFiles(files, signatures)
    },
  }
}
