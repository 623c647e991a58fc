import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { CosignetError, fileError, quote } from '../core/index.ts'
import { encodePaxRecord, encodeTarHeader, fitsTarHeader, TAR_BLOCK_BYTES, tarPadding } from './tar-header.ts'

interface LayerOwner {
  /** Path from the root, with `/`, without one in front or behind. */
  readonly name: string
  /** Permission bits, set-user-ID and the like included: at most 0o7777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
}

/** What a layer adds; extended attributes, capabilities and hard links are not kept. */
export type LayerEntry =
  | (LayerOwner & { readonly kind: 'folder' })
  | (LayerOwner & { readonly kind: 'link'; readonly target: string })
  | (LayerOwner & { readonly kind: 'file'; readonly source: SourceFile })

/** A file as it was when it was found; should it be another by the time that it is read, it is refused. */
export interface SourceFile {
  readonly path: string
  readonly size: number
  readonly inode: number
  readonly device: number
}

const READ_BYTES = 1024 * 1024
const ID_MAX = 0o7777777
const TYPES = { folder: '5', link: '2', file: '0' } as const

/**
 * Packs entries as a tar stream, in their order: ustar, with pax records for what does not fit in it or is not ASCII.
 * @param time modification time of everything, in seconds since 1970.
 * @throws INVALID_IMAGE for a file that changed; FILE for what cannot be read
 */
export async function* packLayer(
  entries: Iterable<LayerEntry> | AsyncIterable<LayerEntry>,
  time: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const entry of entries) {
    yield encodeEntry(entry, time)
    if (entry.kind !== 'file') continue
    yield* readSource(entry.source)
    yield new Uint8Array(tarPadding(entry.source.size))
  }
  yield new Uint8Array(2 * TAR_BLOCK_BYTES)
}

/** The error for a file that is not what it was. */
export function changedFile(path: string): CosignetError {
  return new CosignetError('INVALID_IMAGE', `The file ${quote(path)} changed while it was read.`)
}

/** Refuses a name that would delete a file of a lower layer (image-spec, layer.md, "Whiteouts"). @throws INVALID_IMAGE */
export function refuseWhiteout(name: string, path: string): void {
  if (!name.startsWith('.wh.')) return
  throw new CosignetError(
    'INVALID_IMAGE',
    `${quote(path)} cannot be in an image: names that start with ".wh." delete files.`,
  )
}

function encodeEntry(entry: LayerEntry, time: number): Uint8Array {
  const { mode, uid, gid } = entry
  const name = entry.kind === 'folder' ? `${entry.name}/` : entry.name
  const link = entry.kind === 'link' ? entry.target : ''
  const size = entry.kind === 'file' ? entry.source.size : 0
  const records = [
    ...(isPlain(name) ? [] : [encodePaxRecord('path', name)]),
    ...(isPlain(link) ? [] : [encodePaxRecord('linkpath', link)]),
    ...(uid > ID_MAX ? [encodePaxRecord('uid', `${uid}`)] : []),
    ...(gid > ID_MAX ? [encodePaxRecord('gid', `${gid}`)] : []),
  ]
  const header = encodeTarHeader(plain(name), size, {
    type: TYPES[entry.kind],
    mode,
    uid: uid > ID_MAX ? 0 : uid,
    gid: gid > ID_MAX ? 0 : gid,
    time,
    linkName: plain(link),
  })
  if (records.length === 0) return header
  const pax = Buffer.concat(records)
  return Buffer.concat([
    encodeTarHeader('PaxHeaders/entry', pax.length, { type: 'x', mode: 0o644, time }),
    pax,
    Buffer.alloc(tarPadding(pax.length)),
    header,
  ])
}

/** Whether every reader of ustar takes the text as it is. */
function isPlain(text: string): boolean {
  return fitsTarHeader(text) && /^[\x20-\x7e]*$/.test(text)
}

/** What stands in the header of a text that a pax record has whole. */
function plain(text: string): string {
  return isPlain(text) ? text : text.replace(/[^\x20-\x7e]/g, '_').slice(0, 100)
}

/** Reads a file whole. @throws INVALID_IMAGE if it changed since it was found; FILE */
export async function* readSource(source: SourceFile): AsyncGenerator<Uint8Array, void, undefined> {
  const { path } = source
  try {
    // A link that was put in its place in the meantime must not lead out of the folder.
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      yield* readUnchanged(file, source)
    } finally {
      await file.close()
    }
  } catch (error) {
    throw fileError(error, `${quote(path)} cannot be read`)
  }
}

async function* readUnchanged(
  file: FileHandle,
  { path, size, inode, device }: SourceFile,
): AsyncGenerator<Uint8Array, void, undefined> {
  const now = await file.stat()
  if (now.ino !== inode || now.dev !== device || now.size !== size) throw changedFile(path)
  let missing = size
  for (;;) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafeSlow(Math.min(READ_BYTES, missing + 1)))
    missing -= bytesRead
    if (missing < 0 || (bytesRead === 0 && missing > 0)) throw changedFile(path)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
  }
}
