import { readdir, realpath, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  CosignetError,
  encodeUtf8,
  errnoOf,
  fileError,
  LIMITS,
  quote,
  readFileBounded,
  writeFileAtomically,
} from '../core/index.ts'
import { writeBlobFile } from './blob-files.ts'
import { type Digest, digestOf, digestParts } from './digest.ts'
import {
  blobFileOf,
  isVersionText,
  manifestFileOf,
  ROOT_FILE,
  signatureFileOf,
  tagFileOf,
  VERSION_FILE,
  versionText,
} from './directory-names.ts'
import { isStagingName, StagedFolder } from './directory-staging.ts'
import { UNNAMED } from './layout-index.ts'
import { type Descriptor, MANIFEST_MEDIA_TYPES, type Manifest } from './manifest.ts'
import type { BlobOutcome, DestinationRules, ImageDestination, StagedDestination } from './store.ts'

const RULES: DestinationRules = { manifests: MANIFEST_MEDIA_TYPES, attached: true, compressed: false }

/** A folder in the form that skopeo calls `dir:`, being written. */
export type DirectoryDestination = StagedDestination & Required<Pick<ImageDestination, 'putSignatures'>>

/**
 * Writes an image to a folder in the form that skopeo calls `dir:`. It is made beside the folder that is there and
 * takes its place at `commit`, so that a copy that fails leaves that one as it was; where the folder cannot be
 * replaced, because another file system is mounted there, its files are.
 *
 * `putManifest` with the tag `UNNAMED` stores the image's own manifest, with a tag of cosign's `<tag>.manifest.json`,
 * and without a tag one that is named by its digest.
 * @throws INVALID_IMAGE if the folder is neither empty nor a `dir:` image; FILE
 */
export async function createDirectory(path: string): Promise<DirectoryDestination> {
  const name = `dir:${path}`
  try {
    const replaces = await checkFolder(path)
    const target = replaces ? await realpath(path) : resolve(path)
    return new Directory(name, target, new StagedFolder(target, replaces))
  } catch (error) {
    throw fileError(error, `${name} cannot be written`)
  }
}

class Directory implements DirectoryDestination {
  readonly name: string
  readonly rules = RULES
  /** What is replaced. */
  readonly #target: string
  readonly #staged: StagedFolder
  readonly #signatures = new Map<Digest, readonly Uint8Array[]>()
  #root: Digest | undefined
  /** Version 1.2 names files by other algorithms than SHA-256. */
  #minor: 1 | 2 = 1

  constructor(name: string, target: string, staged: StagedFolder) {
    this.name = name
    this.#target = target
    this.#staged = staged
  }

  async putBlob(
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
  ): Promise<BlobOutcome> {
    const file = this.#fileOf(descriptor.digest, blobFileOf)
    return await this.#put(file, descriptor, content, `The blob ${descriptor.digest} of ${this.name}`)
  }

  async putManifest(
    { bytes, digest }: Pick<Manifest, 'bytes' | 'digest' | 'mediaType'>,
    options: Parameters<ImageDestination['putManifest']>[1] = {},
  ): Promise<void> {
    const { tag, ifMatch } = options
    const file = tag === undefined ? this.#fileOf(digest, manifestFileOf) : this.#fileOfTag(tag)
    if (ifMatch !== undefined) await this.#checkStill(file, ifMatch)
    const what = `The manifest ${digest} for ${this.name}`
    await this.#put(file, { digest, size: bytes.byteLength }, bytes, what)
    if (tag === UNNAMED) this.#root = digest
  }

  async putSignatures(digest: Digest, signatures: readonly Uint8Array[]): Promise<void> {
    this.#signatures.set(digest, signatures)
  }

  async commit(): Promise<void> {
    if (this.#root === undefined) {
      throw new CosignetError('INVALID_IMAGE', `${this.name} got no manifest to be known by.`)
    }
    try {
      const folder = await this.#open()
      for (const [digest, signatures] of this.#signatures) {
        const of = digest === this.#root ? undefined : digest
        for (const [i, signature] of signatures.entries()) {
          const file = join(folder, signatureFileOf(of, i + 1))
          await writeFileAtomically(file, signature, { mode: 0o644 })
        }
      }
      const version = encodeUtf8(versionText(this.#minor))
      await writeFileAtomically(join(folder, VERSION_FILE), version, { mode: 0o644 })
      await this.#staged.commit()
    } catch (error) {
      throw fileError(error, `${this.name} cannot be written`)
    }
  }

  async abort(): Promise<void> {
    await this.#staged.abort()
  }

  async #put(
    file: string,
    descriptor: Pick<Descriptor, 'digest' | 'size'>,
    content: Uint8Array | (() => AsyncIterable<Uint8Array>),
    what: string,
  ): Promise<BlobOutcome> {
    const path = join(await this.#open(), file)
    // All files of the folder are this copy's own; a tag may move.
    if (file === blobFileOf(descriptor.digest) && (await exists(path))) return 'present'
    await writeBlobFile(path, descriptor, content, what)
    return 'written'
  }

  async #open(): Promise<string> {
    try {
      return await this.#staged.open()
    } catch (error) {
      throw fileError(error, `${this.name} cannot be written`)
    }
  }

  #fileOf(digest: Digest, nameOf: (digest: Digest) => string): string {
    if (digestParts(digest).algorithm !== 'sha256') this.#minor = 2
    return nameOf(digest)
  }

  #fileOfTag(tag: string): string {
    const file = tag === UNNAMED ? ROOT_FILE : tagFileOf(tag)
    if (file !== undefined) return file
    throw new CosignetError(
      'INVALID_REFERENCE',
      `${this.name} holds one image, and none with a tag ${quote(tag)}.`,
    )
  }

  async #checkStill(file: string, expected: Digest | null): Promise<void> {
    const actual = await digestOfFile(join(this.#target, file))
    if (actual === expected) return
    const state = actual === null ? 'is not there any more' : `has the digest ${actual} by now`
    throw new CosignetError('CONFLICT', `The file ${quote(file)} of ${this.name} ${state}.`, {
      hint: 'Read it again and repeat the change.',
    })
  }
}

/** @returns whether the folder is there. @throws INVALID_IMAGE if it holds anything else than an image */
async function checkFolder(path: string): Promise<boolean> {
  const names = await listIfThere(path)
  if (names === undefined) return false
  if (names.every(isStagingName)) return true
  const version = await readIfThere(join(path, VERSION_FILE))
  if (version !== undefined && isVersionText(Buffer.from(version).toString())) return true
  throw new CosignetError('INVALID_IMAGE', `${quote(path)} is not a dir: image, and is left as it is.`, {
    hint: 'Name a folder that is not there yet, is empty, or holds an image.',
  })
}

async function listIfThere(path: string): Promise<readonly string[] | undefined> {
  try {
    return await readdir(path)
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined
    throw error
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  if (!(await exists(path))) return undefined
  return await readFileBounded(path, LIMITS.manifestBytes, 'file')
}

async function digestOfFile(path: string): Promise<Digest | null> {
  const bytes = await readIfThere(path)
  return bytes === undefined ? null : digestOf(bytes)
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isFile()
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false
    throw error
  }
}
