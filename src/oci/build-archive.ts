import { CosignetError, isCosignetError, LIMITS, quote } from '../core/index.ts'
import type { ContextFile } from './build-context.ts'
import { readSource } from './build-layer.ts'
import { decompress } from './tar-compression.ts'
import { parseTarHeader, TAR_BLOCK_BYTES } from './tar-header.ts'

/**
 * Refuses what ADD would unpack: a tar, plain or compressed, by its content as Docker tells it.
 * @throws UNSUPPORTED; FILE
 */
export async function refuseArchive(file: ContextFile): Promise<void> {
  if (!file.stats.isFile() || !(await isArchive(file))) return
  throw new CosignetError(
    'UNSUPPORTED',
    `ADD would unpack ${quote(file.place.join('/'))}, which is not done here.`,
    { hint: 'Unpack it in the context, or COPY it as it is.' },
  )
}

async function isArchive(file: ContextFile): Promise<boolean> {
  const what = quote(file.path)
  try {
    const bytes = decompress(readSource(file.source), LIMITS.unpackedLayerBytes, what)
    const block = await firstBytes(bytes, TAR_BLOCK_BYTES)
    return block.byteLength === TAR_BLOCK_BYTES && parseTarHeader(block, what) !== undefined
  } catch (error) {
    // Compressed in a way that is not read here: it may well be one.
    if (isCosignetError(error, 'UNSUPPORTED')) return true
    if (isCosignetError(error, 'INVALID_IMAGE')) return false
    throw error
  }
}

async function firstBytes(chunks: AsyncIterable<Uint8Array>, bytes: number): Promise<Uint8Array> {
  const head: Uint8Array[] = []
  let size = 0
  for await (const chunk of chunks) {
    head.push(chunk)
    size += chunk.byteLength
    if (size >= bytes) break
  }
  return Buffer.concat(head).subarray(0, bytes)
}
