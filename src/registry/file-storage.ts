import { randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { link, readdir, readFile, rm, stat, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { errnoOf, fileError, quote, syncDirectory } from '../core/index.ts'
import { type Digest, isDigest } from '../oci/index.ts'
import { repositoryPaths } from './file-paths.ts'
import { createFileSink, type FileSink, makeDirectory } from './file-sink.ts'
import { lockFolder } from './folder-lock.ts'
import { isSignatureId } from './names.ts'
import { judgeSignature, type RegistryStorage, type StoredManifest } from './storage.ts'
import { UploadSessions } from './upload-sessions.ts'

const READ_CHUNK = 1024 * 1024

export interface FileStorageOptions {
  /**
   * Change nothing: the directory must be there, and need not be writable; another process may write to it. What
   * changes the content must not be called. Default: false.
   */
  readonly readOnly?: boolean
}

/**
 * Keeps a registry in a directory, which belongs to one process that writes at a time:
 *
 *     repositories/<name>/_blobs/<algorithm>/<hex>           the blob
 *     repositories/<name>/_manifests/<algorithm>/<hex>       a line with the media type, then the manifest
 *     repositories/<name>/_referrers/<algorithm>/<hex>/<algorithm>-<hex>   empty: the second refers to the first
 *     repositories/<name>/_signatures/<algorithm>/<hex>/<id>  a signature of the manifest
 *     repositories/<name>/_tags/<tag>                        the digest
 *     incoming/<uuid>                                        what is being written
 *     lock                                                   empty; locked by the process that writes
 *
 * A repository has its own files, so nothing is to be had through another; a mount is a hard link, so content is
 * there once and goes with its last name. Whatever has a name is whole and synced: it was written in `incoming`, which
 * is emptied at the start. Tags differ by case, so the file system must tell it apart.
 * @throws CONFLICT if another process writes to the directory; FILE if it cannot be used
 */
export async function fileStorage(
  directory: string,
  options: FileStorageOptions = {},
): Promise<RegistryStorage> {
  const incoming = join(directory, 'incoming')
  const release = options.readOnly === true ? await lookAt(directory) : await takeOver(directory, incoming)
  const paths = repositoryPaths(join(directory, 'repositories'))
  const uploads = new UploadSessions<FileSink>()
  const inTurn = turns()
  const write = (path: string, bytes: Uint8Array): Promise<void> => writeThrough(incoming, path, bytes)

  const listSignatures = async (name: string, digest: Digest): Promise<Map<string, Uint8Array>> => {
    const found = new Map<string, Uint8Array>()
    for (const id of await list(paths.signatures(name, digest))) {
      const signature = isSignatureId(id)
        ? await ifThere(readFile(paths.signature(name, digest, id)))
        : undefined
      if (signature !== undefined) found.set(id, signature)
    }
    return found
  }

  const readTag = async (name: string, tag: string): Promise<Digest | undefined> => {
    const digest = (await ifThere(readFile(paths.tag(name, tag), 'utf8')))?.trimEnd()
    return digest !== undefined && isDigest(digest) ? digest : undefined
  }
  return {
    hasRepository: async (name) =>
      (await isThere(paths.manifests(name))) || (await isThere(paths.blobs(name))),

    blobSize: async (name, digest) => (await ifThere(stat(paths.blob(name, digest))))?.size,
    readBlob: (name, digest, range) =>
      createReadStream(paths.blob(name, digest), {
        highWaterMark: READ_CHUNK,
        ...(range === undefined ? {} : { start: range.first, end: range.last }),
      }),
    mountBlob: async (from, name, digest) => {
      const source = paths.blob(from, digest)
      if (!(await isThere(source))) return false
      return linkThrough(source, paths.blob(name, digest))
    },
    deleteBlob: (name, digest) => remove(paths.blob(name, digest)),

    startUpload: (name) => uploads.open(name, (id) => createFileSink(join(incoming, id))),
    uploadSize: async (name, id) => uploads.size(name, id),
    appendUpload: (name, id, content, offset) => uploads.append(name, id, content, offset),
    finishUpload: (name, id, digest) =>
      uploads.finish(name, id, digest, (sink) => sink.moveTo(paths.blob(name, digest))),
    cancelUpload: (name, id) => uploads.cancel(name, id),

    getManifest: async (name, digest) => {
      const file = await ifThere(readFile(paths.manifest(name, digest)))
      return file === undefined ? undefined : decodeManifest(file)
    },
    hasManifest: (name, digest) => isThere(paths.manifest(name, digest)),
    putManifest: async (name, digest, manifest, subject) => {
      // First the name in the list: a referrer that is listed and not there is passed over, the reverse would be lost.
      if (subject !== undefined) await write(paths.referrer(name, subject, digest), Buffer.alloc(0))
      await write(paths.manifest(name, digest), encodeManifest(manifest))
    },
    deleteManifest: async (name, digest, subject) => {
      const found = await remove(paths.manifest(name, digest))
      if (subject !== undefined) await remove(paths.referrer(name, subject, digest))
      for (const id of await list(paths.signatures(name, digest))) {
        await remove(join(paths.signatures(name, digest), id))
      }
      return found
    },
    listReferrers: async (name, subject) =>
      (await list(paths.referrers(name, subject))).map((file) => file.replace('-', ':')).filter(isDigest),

    listSignatures,
    addSignature: (name, digest, id, signature) =>
      inTurn(`${name}@${digest}`, async () => {
        const outcome = judgeSignature(await listSignatures(name, digest), id, signature)
        if (outcome === 'added') await write(paths.signature(name, digest, id), signature)
        return outcome
      }),

    getTag: readTag,
    compareAndSetTag: (name, tag, expected, next) =>
      inTurn(`${name}:${tag}`, async () => {
        if ((await readTag(name, tag)) !== expected) return false
        if (next === undefined) await remove(paths.tag(name, tag))
        else await write(paths.tag(name, tag), Buffer.from(`${next}\n`))
        return true
      }),
    listTags: (name) => list(paths.tags(name)),

    close: async () => release(),
  }
}

async function lookAt(directory: string): Promise<() => void> {
  try {
    await readdir(directory)
  } catch (error) {
    throw fileError(error, `The folder ${quote(directory)} of the registry cannot be read`)
  }
  return () => undefined
}

/** Locks the directory and clears what a process before left half-written. @returns what unlocks it */
async function takeOver(directory: string, incoming: string): Promise<() => void> {
  let release = (): void => undefined
  try {
    await makeDirectory(directory)
    release = lockFolder(directory)
    await rm(incoming, { recursive: true, force: true })
    await makeDirectory(incoming)
    return release
  } catch (error) {
    release()
    throw fileError(error, `The folder ${quote(directory)} of the registry cannot be used`)
  }
}

/** Runs what has the same key one after the other. */
function turns(): <T>(key: string, work: () => Promise<T>) => Promise<T> {
  const last = new Map<string, Promise<unknown>>()
  return async (key, work) => {
    const mine = (last.get(key) ?? Promise.resolve()).then(work, work)
    last.set(key, mine)
    try {
      return await mine
    } finally {
      if (last.get(key) === mine) last.delete(key)
    }
  }
}

function encodeManifest(manifest: StoredManifest): Uint8Array {
  return Buffer.concat([Buffer.from(`${manifest.mediaType}\n`), manifest.bytes])
}

function decodeManifest(file: Buffer): StoredManifest {
  const end = file.indexOf('\n')
  return { mediaType: file.toString('utf8', 0, end), bytes: file.subarray(end + 1) }
}

/** Writes a file whole: under `incoming` first, then by its name. */
async function writeThrough(incoming: string, path: string, bytes: Uint8Array): Promise<void> {
  const sink = await createFileSink(join(incoming, randomUUID()))
  try {
    await sink.write([bytes])
    await sink.moveTo(path)
  } finally {
    await sink.discard()
  }
}

/** Gives a file a second name; false if the file system cannot. */
async function linkThrough(source: string, path: string): Promise<boolean> {
  await makeDirectory(dirname(path))
  try {
    await link(source, path)
  } catch (error) {
    return errnoOf(error) === 'EEXIST'
  }
  await syncDirectory(dirname(path))
  return true
}

async function remove(path: string): Promise<boolean> {
  const found = (await ifThere(unlink(path).then(() => true))) ?? false
  if (found) await syncDirectory(dirname(path))
  return found
}

async function list(directory: string): Promise<string[]> {
  return (await ifThere(readdir(directory))) ?? []
}

async function isThere(path: string): Promise<boolean> {
  return (await ifThere(stat(path))) !== undefined
}

async function ifThere<T>(result: Promise<T>): Promise<T | undefined> {
  try {
    return await result
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}
