import { CosignetError, quote } from '../core/index.ts'
import { type Digest, isDigest } from './digest.ts'

/**
 * A normalised image reference: `docker.io` and `library/` filled in, the tag `latest` only where there is neither a
 * tag nor a digest.
 */
export interface Reference {
  /** Host, with port if one was given: `ghcr.io`, `localhost:5000`. */
  readonly registry: string
  /** Path in the registry: `library/busybox`. */
  readonly repository: string
  readonly tag?: string
  readonly digest?: Digest
}

const DOCKER_HUB = 'docker.io'
const DOCKER_HUB_LEGACY = 'index.docker.io'
const REPOSITORY_LENGTH_MAX = 255

const HOST = '(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])'
const DOMAIN = `${HOST}(?:\\.${HOST})*(?::[0-9]+)?`
const COMPONENT = '[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*'
const NAME = `(?:${DOMAIN}/)?${COMPONENT}(?:/${COMPONENT})*`
const REFERENCE = new RegExp(`^(${NAME})(?::([A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(\\S+))?$`)

/**
 * Parses an image reference by the grammar of distribution/reference, with the normalisation that the guest applies
 * (oci-spec-rs, `distribution/reference.rs`): a first part without `.` or `:` that is not `localhost` is a path on
 * Docker Hub, and `index.docker.io` is `docker.io`.
 * @throws INVALID_REFERENCE
 */
export function parseReference(text: string): Reference {
  // The longest valid reference: a name of 255, a host of 255, a tag of 128, a sha512 digest.
  const match = text.length <= 1024 ? REFERENCE.exec(text) : null
  const name = match?.[1]
  if (match === null || name === undefined)
    throw invalid(text, 'the form is [host[:port]/]path[:tag][@digest]')
  const tag = match[2]
  const digest = match[3]
  if (digest !== undefined && !isDigest(digest)) throw invalid(text, `${quote(digest)} is not a digest`)
  const { registry, repository } = splitDomain(name)
  if (/[A-Z]/.test(repository)) throw invalid(text, 'its path must be lower case')
  if (repository.length > REPOSITORY_LENGTH_MAX)
    throw invalid(text, `its path is longer than ${REPOSITORY_LENGTH_MAX} characters`)
  return {
    registry,
    repository,
    ...(tag !== undefined ? { tag } : digest === undefined ? { tag: 'latest' } : {}),
    ...(digest !== undefined ? { digest } : {}),
  }
}

/** Writes a reference out in full: `docker.io/library/busybox:latest`, tag before digest where it has both. */
export function formatReference(reference: Reference): string {
  const tag = reference.tag === undefined ? '' : `:${reference.tag}`
  const digest = reference.digest === undefined ? '' : `@${reference.digest}`
  return `${repositoryName(reference)}${tag}${digest}`
}

/** Host and path, without tag and digest: `docker.io/library/busybox`. */
export function repositoryName(reference: Reference): string {
  return `${reference.registry}/${reference.repository}`
}

/** The same repository at a digest, without a tag. */
export function withDigest(reference: Reference, digest: Digest): Reference {
  return { registry: reference.registry, repository: reference.repository, digest }
}

/** The same repository at a tag, without a digest. */
export function withTag(reference: Reference, tag: string): Reference {
  return { registry: reference.registry, repository: reference.repository, tag }
}

function splitDomain(name: string): { registry: string; repository: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  const isHost = first.includes('.') || first.includes(':') || first === 'localhost'
  const registry = !isHost || first === DOCKER_HUB_LEGACY ? DOCKER_HUB : first
  const repository = isHost ? name.slice(slash + 1) : name
  return {
    registry,
    repository: registry === DOCKER_HUB && !repository.includes('/') ? `library/${repository}` : repository,
  }
}

function invalid(text: string, reason: string): CosignetError {
  return new CosignetError(
    'INVALID_REFERENCE',
    `${quote(withoutPassword(text))} is not an image reference: ${reason}.`,
  )
}

/** What may have been meant for the address of a host with user name and password, without these. */
export function withoutPassword(text: string): string {
  return text.replace(/^((?:[a-z-]+:)?(?:\/\/)?)[^/@]*:[^@]*@(?!sha(?:256|384|512):)/, '$1…@')
}
