import { CosignetError, quote, reasonOf } from '../core/index.ts'
import { formatReference, parseReference, type Reference, repositoryName } from './reference.ts'

/** Where images are really read from, and how: containers-registries.conf(5) version 2, as far as it concerns us. */
export interface RegistriesConf {
  /** One a prefix, sorted by it. */
  readonly registries: readonly RegistryRule[]
  /** Names of credential helpers in the order to ask them; `containers-auth.json` stands for the auth files. */
  readonly credentialHelpers: readonly string[]
}

/** One `[[registry]]` table. */
export interface RegistryRule {
  /** The file that it stands in. */
  readonly file: string
  /** `host[:port][/path]`, or `*.host` for all its subdomains. */
  readonly prefix: string
  /** What takes the place of the prefix; empty (only with `*.host`): nothing does. */
  readonly location: string
  readonly insecure: boolean
  readonly blocked: boolean
  /** Mirrors are for references with a digest alone. */
  readonly mirrorByDigestOnly: boolean
  readonly mirrors: readonly RegistryMirror[]
}

export interface RegistryMirror {
  readonly location: string
  readonly insecure: boolean
  /** Which references it is asked for. */
  readonly pullFrom: 'all' | 'digest-only' | 'tag-only'
}

/** One place to ask for an image. */
export interface RegistryEndpoint {
  readonly reference: Reference
  /** Any certificate is accepted, and plain HTTP. */
  readonly insecure: boolean
  /** The rule that forbids to ask it. */
  readonly blockedBy?: Pick<RegistryRule, 'prefix' | 'file'>
}

/** What holds where no file says anything. */
export const NO_REGISTRIES_CONF: RegistriesConf = { registries: [], credentialHelpers: [] }

/**
 * The places to read an image from, in their order: mirrors first, the registry itself last. The rule with the longest
 * prefix decides (containers/image, `sysregistriesv2`); a rule that blocks a registry leaves its mirrors open, which is
 * how a cluster is kept to them.
 * @throws INVALID_CONFIG if a location does not make a reference.
 */
export function readEndpoints(conf: RegistriesConf, reference: Reference): readonly RegistryEndpoint[] {
  const found = findRule(conf, reference)
  if (found === undefined) return [{ reference, insecure: false }]
  const { rule } = found
  const mirrors = rule.mirrors.filter((mirror) => serves(rule, mirror, reference))
  const primary = remap(reference, found, rule.location)
  return [
    ...mirrors.map(({ location, insecure }) => {
      const mirrored = remap(reference, found, location)
      return { reference: mirrored, insecure, ...blockOf(conf, mirrored) }
    }),
    {
      reference: primary,
      insecure: rule.insecure,
      ...(rule.blocked ? { blockedBy: rule } : blockOf(conf, primary)),
    },
  ]
}

/**
 * The place to write an image to, or to list and delete in: the registry that the reference names. Locations and
 * mirrors are for reading alone (containers-registries.conf(5), "Remapping and mirroring registries").
 */
export function writeEndpoint(conf: RegistriesConf, reference: Reference): RegistryEndpoint {
  const rule = findRule(conf, reference)?.rule
  return {
    reference,
    insecure: rule?.insecure === true,
    ...(rule?.blocked === true ? { blockedBy: rule } : {}),
  }
}

/** @throws FORBIDDEN if a rule blocks the endpoint, naming the rule and its file. */
export function checkNotBlocked({ reference, blockedBy }: RegistryEndpoint): void {
  if (blockedBy === undefined) return
  throw new CosignetError(
    'FORBIDDEN',
    `${repositoryName(reference)} is blocked: ${quote(blockedBy.file)} says so of ${quote(blockedBy.prefix)}.`,
  )
}

interface FoundRule {
  readonly rule: RegistryRule
  /** How many characters of the reference the prefix stands for. */
  readonly length: number
}

function findRule({ registries }: RegistriesConf, reference: Reference): FoundRule | undefined {
  let found: FoundRule | undefined
  for (const rule of registries) {
    const length = matchPrefix(reference, rule.prefix)
    if (length === undefined || rule.prefix.length <= (found?.rule.prefix.length ?? 0)) continue
    found = { rule, length }
  }
  return found
}

function matchPrefix(reference: Reference, prefix: string): number | undefined {
  const name = repositoryName(reference)
  if (prefix.startsWith('*.')) {
    const host = reference.registry.replace(/:[0-9]+$/, '')
    const domain = prefix.slice(1)
    return host.length > domain.length && host.endsWith(domain) ? host.length : undefined
  }
  if (!name.startsWith(prefix)) return undefined
  // A host stands for all its ports, as it does for containers/image.
  return [undefined, '/', ':'].includes(name[prefix.length]) ? prefix.length : undefined
}

function blockOf(conf: RegistriesConf, reference: Reference): Pick<RegistryEndpoint, 'blockedBy'> {
  const rule = findRule(conf, reference)?.rule
  return rule?.blocked === true ? { blockedBy: rule } : {}
}

function serves(rule: RegistryRule, { pullFrom }: RegistryMirror, { digest }: Reference): boolean {
  if (rule.mirrorByDigestOnly) return digest !== undefined
  return pullFrom === 'all' || (pullFrom === 'digest-only') === (digest !== undefined)
}

function remap(reference: Reference, { rule, length }: FoundRule, location: string): Reference {
  if (location === '') return reference
  const text = `${location}${formatReference(reference).slice(length)}`
  try {
    const remapped = parseReference(text)
    if (formatReference(remapped) === text) return remapped
    throw new CosignetError('INVALID_REFERENCE', `${quote(text)} is not written out in full.`)
  } catch (error) {
    throw new CosignetError(
      'INVALID_CONFIG',
      `The location ${quote(location)} for ${quote(rule.prefix)} in ${quote(rule.file)} makes no reference: ${reasonOf(error)}.`,
      { cause: error },
    )
  }
}
