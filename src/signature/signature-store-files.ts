import { CosignetError, isCosignetError, writeFileAtomically } from '../core/index.ts'

/** Signatures that are numbered files, from 1 to the first that is missing. */
export interface NumberedFiles {
  /** For messages. */
  readonly name: string
  /** The most that may be there. */
  readonly limit: number
  pathOf(number: number): string
  /** Reads a file; undefined if it is not there. */
  read(number: number): Promise<Uint8Array | undefined>
}

/**
 * Adds those signatures that are not there byte for byte, each as a file of the next free number. A number is taken by
 * making its file, so that of two who add at once nobody loses one.
 * @throws TOO_LARGE beyond the limit, and what `read` throws; FILE
 */
export async function appendFiles(files: NumberedFiles, signatures: readonly Uint8Array[]): Promise<void> {
  const present: Uint8Array[] = []
  const missing = (): readonly Uint8Array[] =>
    signatures.filter((signature) => !present.some((other) => Buffer.compare(other, signature) === 0))
  for (let next = missing(); next.length > 0; next = missing()) {
    const number = present.length + 1
    if (number > files.limit) {
      throw new CosignetError('TOO_LARGE', `${files.name} cannot hold more than ${files.limit} signatures.`)
    }
    const [signature] = next
    const found = await files.read(number)
    if (found !== undefined) {
      present.push(found)
    } else if (signature !== undefined && (await take(files, number, signature))) {
      present.push(signature)
    }
  }
}

/** @returns false if another took the number. */
async function take(files: NumberedFiles, number: number, signature: Uint8Array): Promise<boolean> {
  try {
    await writeFileAtomically(files.pathOf(number), signature, { mode: 0o644, exclusive: true })
    return true
  } catch (error) {
    if (isCosignetError(error, 'ALREADY_EXISTS')) return false
    throw error
  }
}
