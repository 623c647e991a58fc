import { realpath, stat, writeFile } from 'node:fs/promises'
import { fileError, quote, type WriteFileOptions, writeFileAtomically } from '../core/index.ts'

/**
 * Writes a file that the user named for a result, whole or not at all. A link stays one, and leads to the new content; a
 * device or a pipe (`/dev/stdout`) is written to and never replaced.
 * @throws FILE
 */
export async function writeOutputFile(
  path: string,
  bytes: Uint8Array,
  options: Pick<WriteFileOptions, 'mode'>,
): Promise<void> {
  const there = await stat(path).catch(() => undefined)
  if (there === undefined || there.isDirectory()) return await writeFileAtomically(path, bytes, options)
  try {
    if (!there.isFile()) return await writeFile(path, bytes)
    await writeFileAtomically(await realpath(path), bytes, options)
  } catch (error) {
    throw fileError(error, `The file ${quote(path)} cannot be written`)
  }
}
