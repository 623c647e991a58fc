import { parse, TomlError, type TomlTable, type TomlValue } from 'smol-toml'
import { CosignetError, quote, reasonOf } from '../core/index.ts'
import type { RegistriesConf, RegistryMirror, RegistryRule } from './registries-conf.ts'

/** A configuration file as it was read. */
export interface RegistriesConfFile {
  readonly path: string
  readonly text: string
}

const PULL_FROM: readonly RegistryMirror['pullFrom'][] = ['all', 'digest-only', 'tag-only']

/**
 * Parses files of containers-registries.conf(5) and merges them as containers/image does: a later file takes the place
 * of an earlier one, prefix by prefix; in one file the first table of a prefix counts. Keys that are not known are
 * passed over, and so is all that is about short names, which are not looked for here.
 * @throws INVALID_TOML; INVALID_CONFIG for a table that makes no sense, and for a file in the format of version 1.
 */
export function parseRegistriesConf(files: readonly RegistriesConfFile[]): RegistriesConf {
  const byPrefix = new Map<string, RegistryRule>()
  let credentialHelpers: readonly string[] = []
  for (const file of files) {
    const document = new ConfTable(parseToml(file), file.path, 'the file')
    refuseVersion1(document)
    for (const rule of readRules(document, file.path)) byPrefix.set(rule.prefix, rule)
    credentialHelpers = document.strings('credential-helpers') ?? credentialHelpers
  }
  const registries = [...byPrefix.values()].sort((a, b) => (a.prefix < b.prefix ? -1 : 1))
  return { registries, credentialHelpers }
}

function parseToml({ path, text }: RegistriesConfFile): TomlTable {
  try {
    return parse(text.replace(/^\ufeff/, ''), { maxDepth: 64 })
  } catch (error) {
    if (!(error instanceof TomlError)) {
      throw new CosignetError('INVALID_TOML', `The file ${quote(path)} is not TOML: ${reasonOf(error)}.`, {
        cause: error,
      })
    }
    // The message goes on with an excerpt of the document, which is not one line.
    const reason = (error.message.split('\n')[0] ?? '').replace(/^Invalid TOML document: /, '')
    throw new CosignetError(
      'INVALID_TOML',
      `The file ${quote(path)} is not TOML: line ${error.line}, column ${error.column}: ${reason}.`,
      { cause: error },
    )
  }
}

function refuseVersion1(document: ConfTable): void {
  const old = document.table('registries')
  if (!['search', 'insecure', 'block'].some((name) => old?.table(name)?.strings('registries'))) return
  throw new CosignetError(
    'INVALID_CONFIG',
    `The file ${quote(document.file)} is a registries.conf of version 1 ([registries.search]).`,
    { hint: 'Write it in version 2, with [[registry]] tables: containers-registries.conf(5).' },
  )
}

function readRules(document: ConfTable, file: string): readonly RegistryRule[] {
  const rules = document.tables('registry').map((table) => readRule(table, file))
  for (const rule of rules) checkAgreement(rule, rules)
  const first = new Map<string, RegistryRule>()
  for (const rule of rules) if (!first.has(rule.prefix)) first.set(rule.prefix, rule)
  return [...first.values()]
}

function readRule(table: ConfTable, file: string): RegistryRule {
  const location = readLocation(table, 'location')
  const prefix = readLocation(table, 'prefix') || location
  const wildcard = prefix.startsWith('*.')
  if (prefix === '') table.fail('it has neither prefix nor location')
  if (location === '' && !wildcard) table.fail(`its prefix ${quote(prefix)} has no location`)
  if (wildcard && /[/@:]/.test(prefix)) {
    table.fail(`its prefix ${quote(prefix)} has a wildcard and more than a host, unlike "*.example.com"`)
  }
  if (table.string('pull-from-mirror') !== '') table.fail('pull-from-mirror stands beside its mirrors')
  const mirrorByDigestOnly = table.boolean('mirror-by-digest-only')
  return {
    file,
    prefix,
    location,
    insecure: table.boolean('insecure'),
    blocked: table.boolean('blocked'),
    mirrorByDigestOnly,
    mirrors: table.tables('mirror').map((mirror) => readMirror(mirror, mirrorByDigestOnly)),
  }
}

function readMirror(table: ConfTable, mirrorByDigestOnly: boolean): RegistryMirror {
  const location = readLocation(table, 'location')
  if (location === '') table.fail('it has no location')
  const text = table.string('pull-from-mirror')
  if (text !== '' && mirrorByDigestOnly) {
    table.fail('its pull-from-mirror contradicts the mirror-by-digest-only of its registry')
  }
  const pullFrom = text === '' ? 'all' : PULL_FROM.find((value) => value === text)
  return {
    location,
    insecure: table.boolean('insecure'),
    pullFrom:
      pullFrom ?? table.fail(`its pull-from-mirror is ${quote(text)} and not one of ${PULL_FROM.join(', ')}`),
  }
}

function readLocation(table: ConfTable, key: string): string {
  const location = table.string(key).replace(/\/+$/, '')
  if (/^https?:\/\//.test(location)) table.fail(`its ${key} ${quote(location)} has a scheme, and takes none`)
  return location
}

/** One location must not be secure under one prefix and insecure under another. */
function checkAgreement(rule: RegistryRule, rules: readonly RegistryRule[]): void {
  const place = rule.location || rule.prefix
  for (const key of ['insecure', 'blocked'] as const) {
    if (rules.every((other) => (other.location || other.prefix) !== place || other[key] === rule[key]))
      continue
    throw new CosignetError(
      'INVALID_CONFIG',
      `The file ${quote(rule.file)} has several tables for ${quote(place)} that differ in ${quote(key)}.`,
    )
  }
}

/** A table of a file; every failure names the file and the table. */
class ConfTable {
  readonly file: string
  readonly #table: TomlTable
  readonly #name: string

  constructor(table: TomlTable, file: string, name: string) {
    this.#table = table
    this.file = file
    this.#name = name
  }

  fail(reason: string): never {
    throw new CosignetError(
      'INVALID_CONFIG',
      `In ${quote(this.file)}, ${this.#name} is not valid: ${reason}.`,
    )
  }

  string(key: string): string {
    const value = this.#get(key) ?? ''
    return typeof value === 'string' ? value : this.fail(`its ${quote(key)} is not a string`)
  }

  boolean(key: string): boolean {
    const value = this.#get(key) ?? false
    return typeof value === 'boolean' ? value : this.fail(`its ${quote(key)} is neither true nor false`)
  }

  strings(key: string): readonly string[] | undefined {
    const value = this.#get(key)
    if (value === undefined) return undefined
    if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return value
    return this.fail(`its ${quote(key)} is not a list of strings`)
  }

  table(key: string): ConfTable | undefined {
    const value = this.#get(key)
    if (value === undefined) return undefined
    if (!isTable(value)) this.fail(`its ${quote(key)} is not a table`)
    return new ConfTable(value, this.file, `[${key}]`)
  }

  tables(key: string): readonly ConfTable[] {
    const value = this.#get(key) ?? []
    if (!Array.isArray(value)) this.fail(`its ${quote(key)} is not a list of tables, [[${key}]]`)
    return value.map((item, i) => {
      if (!isTable(item)) this.fail(`its ${quote(key)} is not a list of tables, [[${key}]]`)
      return new ConfTable(item, this.file, `[[${key}]] number ${i + 1}`)
    })
  }

  /** By its name or, as Go's library reads them, by its name in other letters: `Blocked` must not be passed over. */
  #get(key: string): TomlValue | undefined {
    if (Object.hasOwn(this.#table, key)) return this.#table[key]
    const name = Object.keys(this.#table).find((other) => other.toLowerCase() === key)
    return name === undefined ? undefined : this.#table[name]
  }
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date)
}
