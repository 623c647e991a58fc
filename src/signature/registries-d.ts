import { CosignetError, LIMITS, positionAt, quote, reasonOf } from '../core/index.ts'
import { formatReference, type Reference, repositoryName } from '../oci/index.ts'

/** Where signatures on images in registries are kept: the files of containers-registries.d(5), merged. */
export interface RegistriesD {
  /** The section `default-docker`. */
  readonly defaultDocker: SignatureSection | undefined
  /** By scope: an image with its tag or digest, a repository, a part of its path, a host, `*.domain`. */
  readonly docker: ReadonlyMap<string, SignatureSection>
}

/** What one section says; the deprecated names `sigstore` and `sigstore-staging` are read as the others. */
export interface SignatureSection {
  /** URL to read from, and to write to where there is no other. */
  readonly lookaside?: string
  /** URL to write to. */
  readonly lookasideStaging?: string
  /** Whether containers/image reads and writes cosign's signatures in the registry. */
  readonly useSigstoreAttachments?: boolean
}

/** A file to merge. */
export interface RegistriesDFile {
  readonly path: string
  readonly text: string
}

/** What holds where there are no files. */
export const NO_REGISTRIES_D: RegistriesD = { defaultDocker: undefined, docker: new Map() }

/**
 * The URL of the lookaside store for an image, without the repository. Unlike the manual says, a section that lacks a
 * field leaves it to the next one: the image's own, its parents', its domain's, the default (containers/image,
 * docker/registries_d.go).
 * @returns undefined if no section names one.
 */
export function lookasideOf(
  conf: RegistriesD,
  reference: Reference,
  purpose: 'read' | 'write',
): string | undefined {
  return firstOf(conf, reference, ({ lookaside, lookasideStaging }) =>
    purpose === 'write' ? (lookasideStaging ?? lookaside) : lookaside,
  )
}

/** Whether containers/image looks for cosign's signatures beside the image. Default: false. */
export function usesSigstoreAttachments(conf: RegistriesD, reference: Reference): boolean {
  return firstOf(conf, reference, ({ useSigstoreAttachments }) => useSigstoreAttachments) ?? false
}

/**
 * Parses the files of a folder registries.d and merges them. Keys that are not known are passed over, as containers/image
 * does.
 * @throws INVALID_YAML; INVALID_CONFIG if two files have the same section, or a field is not of its type
 */
export async function parseRegistriesD(files: readonly RegistriesDFile[]): Promise<RegistriesD> {
  if (files.length === 0) return NO_REGISTRIES_D
  const parse = await loadYaml()
  const docker = new Map<string, SignatureSection>()
  /** The file that a section stands in. */
  const origins = new Map<string, string>()
  let defaultDocker: SignatureSection | undefined
  let defaultFrom = ''
  for (const { path, text } of files) {
    const root = mappingOf(parse(text, path), path, 'It')
    const section = root.get('default-docker') ?? undefined
    if (section !== undefined) {
      if (defaultDocker !== undefined) throw definedTwice('"default-docker"', defaultFrom, path)
      defaultDocker = readSection(section, path, 'default-docker')
      defaultFrom = path
    }
    for (const [scope, value] of mappingOf(root.get('docker'), path, '"docker"')) {
      const name = String(scope)
      const origin = origins.get(name)
      if (origin !== undefined) throw definedTwice(`"docker" namespace ${quote(name)}`, origin, path)
      docker.set(name, readSection(value, path, name))
      origins.set(name, path)
    }
  }
  return { defaultDocker, docker }
}

/** Loads the parser, which most machines need not. @returns what reads a file, with mappings as `Map` */
async function loadYaml(): Promise<(text: string, path: string) => unknown> {
  const { parseDocument } = await import('yaml')
  return (text, path) => {
    const invalidYaml = (reason: string): CosignetError =>
      new CosignetError('INVALID_YAML', `The file ${quote(path)} is not YAML: ${reason}.`)
    const document = parseDocument(text, { merge: true, prettyErrors: false, logLevel: 'error' })
    const [error] = document.errors
    if (error !== undefined) {
      const { line, column } = positionAt(text, error.pos[0])
      throw invalidYaml(`line ${line}, column ${column}: ${reasonOf(error)}`)
    }
    try {
      return document.toJS({ mapAsMap: true, maxAliasCount: LIMITS.yamlAliases })
    } catch (cause) {
      throw invalidYaml(reasonOf(cause))
    }
  }
}

function firstOf<T>(
  { docker, defaultDocker }: RegistriesD,
  reference: Reference,
  read: (section: SignatureSection) => T | undefined,
): T | undefined {
  const sections = [...scopesOf(reference).map((scope) => docker.get(scope)), defaultDocker]
  for (const section of sections) {
    const value = section === undefined ? undefined : read(section)
    if (value !== undefined) return value
  }
  return undefined
}

/** The most specific first; the port goes before the domains (containers/image, docker/policyconfiguration). */
function scopesOf(reference: Reference): readonly string[] {
  const { registry, repository, digest } = reference
  const identity = digest === undefined ? reference : { registry, repository, digest }
  const parts = repositoryName(reference).split('/')
  const parents = parts.map((_, i) => parts.slice(0, parts.length - i).join('/'))
  const labels = registry.replace(/:[0-9]+$/, '').split('.')
  const domains = labels.slice(1).map((_, i) => `*.${labels.slice(i + 1).join('.')}`)
  return [formatReference(identity), ...parents, ...domains]
}

function readSection(value: unknown, path: string, scope: string): SignatureSection {
  const section = mappingOf(value, path, quote(scope))
  const text = (name: string): string | undefined => {
    const field = section.get(name) ?? ''
    if (typeof field === 'string') return field === '' ? undefined : field
    throw invalid(path, `${quote(name)} of ${quote(scope)} is not a string`)
  }
  const lookaside = text('lookaside') ?? text('sigstore')
  const lookasideStaging = text('lookaside-staging') ?? text('sigstore-staging')
  const attachments = section.get('use-sigstore-attachments') ?? undefined
  const useSigstoreAttachments = attachments === undefined ? undefined : booleanOf(attachments)
  if (attachments !== undefined && useSigstoreAttachments === undefined) {
    throw invalid(path, `"use-sigstore-attachments" of ${quote(scope)} is neither true nor false`)
  }
  return {
    ...(lookaside === undefined ? {} : { lookaside }),
    ...(lookasideStaging === undefined ? {} : { lookasideStaging }),
    ...(useSigstoreAttachments === undefined ? {} : { useSigstoreAttachments }),
  }
}

/** For a boolean, Go's yaml.v3 takes some of the words of YAML 1.1 too. */
const WORDS: Readonly<Record<string, boolean>> = {
  y: true,
  Y: true,
  yes: true,
  on: true,
  n: false,
  N: false,
  no: false,
  off: false,
}

function booleanOf(value: unknown): boolean | undefined {
  if (typeof value === 'boolean') return value
  return typeof value === 'string' && Object.hasOwn(WORDS, value) ? WORDS[value] : undefined
}

/** @param what begins a sentence. */
function mappingOf(value: unknown, path: string, what: string): ReadonlyMap<unknown, unknown> {
  if (value === undefined || value === null) return new Map()
  if (value instanceof Map) return value
  throw invalid(path, `${what} is not a mapping`)
}

function definedTwice(what: string, first: string, second: string): CosignetError {
  return new CosignetError(
    'INVALID_CONFIG',
    `Error parsing signature storage configuration: ${what} defined both in ${quote(first)} and ${quote(second)}.`,
    { hint: 'Keep one of the two.' },
  )
}

function invalid(path: string, reason: string): CosignetError {
  return new CosignetError('INVALID_CONFIG', `The file ${quote(path)} is no registries.d file: ${reason}.`)
}
