import { CosignetError, decodeUtf8, LIMITS, quote } from '../core/index.ts'
import { FileTree, type TreeNode, type TreePath } from './build-tree.ts'
import type { Descriptor } from './manifest.ts'
import type { ImageSource } from './store.ts'
import { decompress } from './tar-compression.ts'
import { parsePaxRecords, parseTarHeader, TAR_BLOCK_BYTES, type TarHeader, tarPadding } from './tar-header.ts'

/** Most bytes of a header in front of another (pax records, a long name), and of a file that is kept. */
const KEPT_BYTES = 1024 * 1024
/** Files whose content a build asks for: the names of users and groups. */
const KEPT_FILES: ReadonlySet<string> = new Set(['etc/passwd', 'etc/group'])

const WHITEOUT = '.wh.'
const OPAQUE = '.wh..wh..opq'

interface TarEntry {
  readonly header: TarHeader
  /** Content of a file of `KEPT_FILES`. */
  readonly text?: string
}

/**
 * Reads the layers of an image for the names that they leave (image-spec, layer.md, whiteouts included). Of contents
 * only the lists of users and groups are kept.
 * @throws INVALID_IMAGE for a layer that is not a tar; TOO_LARGE, UNSUPPORTED; and what the source throws
 */
export async function readFileTree(
  source: ImageSource,
  layers: readonly Descriptor[],
  signal?: AbortSignal,
): Promise<FileTree> {
  const tree = new FileTree()
  let entries = 0
  for (const [i, layer] of layers.entries()) {
    const what = `The layer ${layer.digest} of ${source.name}`
    const bytes = decompress(source.getBlob(layer, signal), LIMITS.unpackedLayerBytes, what)
    for await (const entry of readEntries(bytes, what)) {
      entries += 1
      if (entries > LIMITS.baseEntries) {
        throw new CosignetError(
          'TOO_LARGE',
          `${source.name} has more than the limit of ${LIMITS.baseEntries} files in its layers.`,
        )
      }
      applyEntry(tree, entry, i + 1)
    }
  }
  return tree
}

function applyEntry(tree: FileTree, { header, text }: TarEntry, layer: number): void {
  const names = header.name.split('/').filter((name) => name !== '' && name !== '.')
  const name = names.pop()
  if (name === undefined || name === '..') return
  const parent = tree.resolve(names.join('/'))
  const path = [...parent, name]
  if (name === OPAQUE) dropOlder(tree.get(parent), layer)
  else if (name.startsWith(WHITEOUT)) tree.remove([...parent, name.slice(WHITEOUT.length)])
  else tree.put(path, nodeOf(tree, path, header, text, layer))
}

function nodeOf(
  tree: FileTree,
  path: TreePath,
  { type, linkName }: TarHeader,
  text: string | undefined,
  layer: number,
): TreeNode {
  if (type === '2') return { kind: 'link', target: linkName, layer }
  if (type === '5') {
    const old = tree.get(path)
    return { kind: 'folder', children: old?.kind === 'folder' ? old.children : new Map(), layer }
  }
  if (type === '1') {
    const target = tree.get(linkName.split('/').filter((name) => name !== '' && name !== '.'))
    if (target !== undefined && target.kind !== 'folder') return { ...target, layer }
  }
  return { kind: 'file', layer, ...(text === undefined ? {} : { text }) }
}

/** An opaque folder hides what lower layers put into it, not what its own layer does. */
function dropOlder(folder: TreeNode | undefined, layer: number): void {
  if (folder?.kind !== 'folder') return
  for (const [name, child] of folder.children) {
    if (child.layer === layer) dropOlder(child, layer)
    else folder.children.delete(name)
  }
}

/** Reads the headers of a tar and passes over what they announce; links and names above the root are left to the reader. */
async function* readEntries(
  chunks: AsyncIterable<Uint8Array>,
  what: string,
): AsyncGenerator<TarEntry, void, undefined> {
  const reader = new ByteReader(chunks, what)
  let pax: ReadonlyMap<string, string> = new Map()
  for (;;) {
    const block = await reader.read(TAR_BLOCK_BYTES)
    // The end of the stream may stand for the two empty blocks.
    if (block === undefined) return
    const plain = parseTarHeader(block, what)
    if (plain === undefined) return await reader.drain()
    const size = numberOf(pax.get('size')) ?? plain.size
    const padding = tarPadding(size)
    if (['x', 'L', 'K'].includes(plain.type)) {
      pax = new Map([...pax, ...extensionOf(plain.type, await reader.take(size), what)])
      await reader.skip(padding)
      continue
    }
    const header = {
      ...plain,
      name: pax.get('path') ?? plain.name,
      linkName: pax.get('linkpath') ?? plain.linkName,
    }
    pax = new Map()
    // Records for all that follows name no file (git archive writes its commit so).
    if (header.type === 'g') await reader.skip(size + padding)
    else yield await readContent(reader, header, size, padding)
  }
}

async function readContent(
  reader: ByteReader,
  header: TarHeader,
  size: number,
  padding: number,
): Promise<TarEntry> {
  const isKept = header.type === '0' && KEPT_FILES.has(header.name.replace(/^(?:\.?\/)+/, ''))
  const text = isKept && size <= KEPT_BYTES ? decodeUtf8(await reader.take(size)) : undefined
  const taken = isKept && size <= KEPT_BYTES ? size : 0
  // Links and folders have no content, whatever size they say.
  const rest = header.type === '0' || !/^[1-6]$/.test(header.type) ? size - taken + padding : 0
  await reader.skip(rest)
  return { header, ...(text === undefined ? {} : { text }) }
}

function extensionOf(type: string, bytes: Uint8Array, what: string): ReadonlyMap<string, string> {
  if (type === 'x') return parsePaxRecords(bytes, what)
  const text = Buffer.from(bytes).toString('utf8').replace(/\0.*$/s, '')
  return new Map([[type === 'L' ? 'path' : 'linkpath', text]])
}

function numberOf(text: string | undefined): number | undefined {
  return text !== undefined && /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
}

/** Takes bytes from a stream by number. */
class ByteReader {
  readonly #iterator: AsyncIterator<Uint8Array>
  readonly #what: string
  #chunk: Uint8Array = new Uint8Array(0)

  constructor(chunks: AsyncIterable<Uint8Array>, what: string) {
    this.#iterator = chunks[Symbol.asyncIterator]()
    this.#what = what
  }

  /** @returns undefined at the end of the stream. @throws INVALID_IMAGE if it ends in between */
  async read(bytes: number): Promise<Uint8Array | undefined> {
    if (this.#chunk.byteLength === 0 && !(await this.#next())) return undefined
    return await this.take(bytes)
  }

  async take(bytes: number): Promise<Uint8Array> {
    if (bytes > KEPT_BYTES) {
      throw new CosignetError('INVALID_IMAGE', `${this.#what} has a header of ${bytes} bytes.`)
    }
    const parts: Uint8Array[] = []
    for (let missing = bytes; missing > 0; ) {
      const part = await this.#part(missing)
      parts.push(part)
      missing -= part.byteLength
    }
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
  }

  async skip(bytes: number): Promise<void> {
    for (let missing = bytes; missing > 0; ) missing -= (await this.#part(missing)).byteLength
  }

  /** Reads to the end, where a verified stream tells that it was whole. */
  async drain(): Promise<void> {
    while (await this.#next());
  }

  async #part(most: number): Promise<Uint8Array> {
    if (this.#chunk.byteLength === 0 && !(await this.#next())) {
      throw new CosignetError(
        'INVALID_IMAGE',
        `${this.#what} is cut short: ${quote('tar')} entries are missing.`,
      )
    }
    const part = this.#chunk.subarray(0, most)
    this.#chunk = this.#chunk.subarray(part.byteLength)
    return part
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const next = await this.#iterator.next()
      if (next.done === true) return false
      this.#chunk = next.value
      if (this.#chunk.byteLength > 0) return true
    }
  }
}
