import { join } from 'node:path'
import { CosignetError, quote } from '../core/index.ts'
import { type Digest, digestParts } from '../oci/index.ts'
import { isRepositoryName, isSignatureId, isTag } from './names.ts'

/** Names of the files of one storage. */
export interface RepositoryPaths {
  blobs(name: string): string
  blob(name: string, digest: Digest): string
  manifests(name: string): string
  manifest(name: string, digest: Digest): string
  referrers(name: string, subject: Digest): string
  referrer(name: string, subject: Digest, digest: Digest): string
  signatures(name: string, digest: Digest): string
  signature(name: string, digest: Digest, id: string): string
  tags(name: string): string
  tag(name: string, tag: string): string
}

/**
 * Where the files of a repository are, under `root`. A repository may be the parent of another; the underscore keeps
 * its own folders apart, since no part of a name starts with one. Names are checked here once more, next to the file
 * system: the paths that come out lie under `root` whatever goes in.
 * @throws INVALID_REFERENCE by its functions
 */
export function repositoryPaths(root: string): RepositoryPaths {
  const folder = (name: string, kind: string, ...rest: string[]): string => {
    if (!isRepositoryName(name)) throw invalid(name, 'a repository name')
    return join(root, name, kind, ...rest)
  }
  const content = (name: string, kind: string, digest: Digest): string => {
    const { algorithm, hex } = digestParts(digest)
    return folder(name, kind, algorithm, hex)
  }
  return {
    blobs: (name) => folder(name, '_blobs'),
    blob: (name, digest) => content(name, '_blobs', digest),
    manifests: (name) => folder(name, '_manifests'),
    manifest: (name, digest) => content(name, '_manifests', digest),
    referrers: (name, subject) => content(name, '_referrers', subject),
    referrer: (name, subject, digest) => join(content(name, '_referrers', subject), digest.replace(':', '-')),
    signatures: (name, digest) => content(name, '_signatures', digest),
    signature: (name, digest, id) => {
      if (!isSignatureId(id)) throw invalid(id, 'the id of a signature')
      return join(content(name, '_signatures', digest), id)
    },
    tags: (name) => folder(name, '_tags'),
    tag: (name, tag) => {
      if (!isTag(tag)) throw invalid(tag, 'a tag')
      return folder(name, '_tags', tag)
    },
  }
}

function invalid(text: string, what: string): CosignetError {
  return new CosignetError('INVALID_REFERENCE', `${quote(text)} is not ${what}.`)
}
