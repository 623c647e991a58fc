import { CosignetError } from '../core/index.ts'
import type { Digest } from '../oci/index.ts'
import { type ByteRange, judgeSignature, type RegistryStorage, type StoredManifest } from './storage.ts'
import { UploadSessions, type UploadSink } from './upload-sessions.ts'

interface Repository {
  readonly blobs: Map<Digest, Uint8Array>
  readonly manifests: Map<Digest, StoredManifest>
  readonly tags: Map<string, Digest>
  readonly referrers: Map<Digest, Set<Digest>>
  readonly signatures: Map<Digest, Map<string, Uint8Array>>
}

interface MemorySink extends UploadSink {
  bytes(): Uint8Array
}

/** Keeps a registry in memory, for tests and demonstrations; it is gone with the process. */
export function memoryStorage(): RegistryStorage {
  const repositories = new Map<string, Repository>()
  const uploads = new UploadSessions<MemorySink>()
  const repositoryOf = (name: string): Repository => {
    const repository = repositories.get(name) ?? emptyRepository()
    repositories.set(name, repository)
    return repository
  }
  return {
    hasRepository: async (name) => repositories.has(name),

    blobSize: async (name, digest) => repositories.get(name)?.blobs.get(digest)?.byteLength,
    async *readBlob(name, digest, range) {
      const bytes = repositories.get(name)?.blobs.get(digest)
      if (bytes === undefined) throw new CosignetError('NOT_FOUND', `There is no blob ${digest}.`)
      yield range === undefined ? bytes : cut(bytes, range)
    },
    mountBlob: async (from, name, digest) => {
      const bytes = repositories.get(from)?.blobs.get(digest)
      if (bytes !== undefined) repositoryOf(name).blobs.set(digest, bytes)
      return bytes !== undefined
    },
    deleteBlob: async (name, digest) => repositories.get(name)?.blobs.delete(digest) ?? false,

    startUpload: (name) => uploads.open(name, async () => memorySink()),
    uploadSize: async (name, id) => uploads.size(name, id),
    appendUpload: (name, id, content, offset) => uploads.append(name, id, content, offset),
    finishUpload: (name, id, digest) =>
      uploads.finish(name, id, digest, async (sink) => {
        repositoryOf(name).blobs.set(digest, sink.bytes())
      }),
    cancelUpload: (name, id) => uploads.cancel(name, id),

    getManifest: async (name, digest) => repositories.get(name)?.manifests.get(digest),
    hasManifest: async (name, digest) => repositories.get(name)?.manifests.has(digest) ?? false,
    putManifest: async (name, digest, manifest, subject) => {
      const { manifests, referrers } = repositoryOf(name)
      manifests.set(digest, manifest)
      if (subject !== undefined) {
        referrers.set(subject, (referrers.get(subject) ?? new Set<Digest>()).add(digest))
      }
    },
    deleteManifest: async (name, digest, subject) => {
      const repository = repositories.get(name)
      if (subject !== undefined) repository?.referrers.get(subject)?.delete(digest)
      repository?.signatures.delete(digest)
      return repository?.manifests.delete(digest) ?? false
    },
    listReferrers: async (name, subject) => [...(repositories.get(name)?.referrers.get(subject) ?? [])],

    listSignatures: async (name, digest) => new Map(repositories.get(name)?.signatures.get(digest)),
    addSignature: async (name, digest, id, signature) => {
      const { signatures } = repositoryOf(name)
      const present = signatures.get(digest) ?? new Map<string, Uint8Array>()
      const outcome = judgeSignature(present, id, signature)
      if (outcome === 'added') signatures.set(digest, present.set(id, signature))
      return outcome
    },

    getTag: async (name, tag) => repositories.get(name)?.tags.get(tag),
    compareAndSetTag: async (name, tag, expected, next) => {
      const { tags } = repositoryOf(name)
      if (tags.get(tag) !== expected) return false
      if (next === undefined) tags.delete(tag)
      else tags.set(tag, next)
      return true
    },
    listTags: async (name) => [...(repositories.get(name)?.tags.keys() ?? [])],

    close: async () => undefined,
  }
}

function emptyRepository(): Repository {
  return {
    blobs: new Map(),
    manifests: new Map(),
    tags: new Map(),
    referrers: new Map(),
    signatures: new Map(),
  }
}

function memorySink(): MemorySink {
  const chunks: Uint8Array[] = []
  return {
    write: async (more) => {
      chunks.push(...more)
    },
    pause: async () => undefined,
    async *read() {
      yield* chunks
    },
    discard: async () => undefined,
    bytes: () => Buffer.concat(chunks),
  }
}

function cut(bytes: Uint8Array, range: ByteRange): Uint8Array {
  return bytes.subarray(range.first, range.last + 1)
}
