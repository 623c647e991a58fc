import type { TomlTable, TomlValue } from 'smol-toml'
import { CosignetError, quote } from '../core/index.ts'

/** Something in a guest's configuration that the guest accepts without a word and that is probably not meant. */
export interface ConfigWarning {
  /** Stable name of the kind of warning; scripts may match on it. */
  readonly code:
    | 'unknown-key'
    | 'converted-value'
    | 'ignored-setting'
    | 'no-policy'
    | 'unbound-policy'
    | 'bad-resource-uri'
    | 'kbs-mismatch'
    | 'no-kbs'
    | 'unknown-file'
  /** One sentence. */
  readonly message: string
}

/** Keys that the guest knows in each table of a file, by the dotted path of the table; `''` is the file itself. */
export type ConfigSchema = Readonly<Record<string, readonly string[]>>

/**
 * Reads the fields of one TOML table by the rules of the guest's reader (crate `config` 0.15 over serde): a number or a
 * truth value stands in for a string and is converted, anything else of a wrong type stops the component.
 */
export class ConfigReader {
  readonly #table: TomlTable
  readonly #path: string
  readonly #what: string
  readonly #consequence: string
  readonly warnings: ConfigWarning[]

  /**
   * @param what names the file in messages.
   * @param consequence what the guest does where the file is not valid, for example "CDH does not start".
   */
  constructor(
    table: TomlTable,
    what: string,
    consequence: string,
    path = '',
    warnings: ConfigWarning[] = [],
  ) {
    this.#table = table
    this.#path = path
    this.#what = what
    this.#consequence = consequence
    this.warnings = warnings
  }

  fail(reason: string): never {
    throw new CosignetError('INVALID_CONFIG', `${this.#what} is not valid: ${reason}; ${this.#consequence}.`)
  }

  has(key: string): boolean {
    return this.#table[key] !== undefined
  }

  requiredString(key: string): string {
    return this.string(key) ?? this.fail(`${this.#name(key)} is missing`)
  }

  string(key: string): string | undefined {
    const value = this.#table[key]
    return value === undefined ? undefined : this.#toString(value, key)
  }

  strings(key: string): readonly string[] {
    return this.#array(key).map((item, i) => this.#toString(item, `${key}[${i}]`))
  }

  /** A whole number from 0. */
  count(key: string, fallback: number): number {
    const value = this.#table[key]
    if (value === undefined) return fallback
    const number = typeof value === 'string' && /^\+?[0-9]+$/.test(value) ? Number(value) : value
    if (typeof number !== 'number' || !Number.isSafeInteger(number) || number < 0) {
      return this.fail(`${this.#name(key)} is not a whole number from 0`)
    }
    if (typeof value === 'string') this.#converted(key)
    return number
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#table[key]
    if (value === undefined || typeof value === 'boolean') return value ?? fallback
    const word = String(value).toLowerCase()
    const truth = TRUTHS[word]
    if (typeof value === 'object' || truth === undefined) {
      return this.fail(`${this.#name(key)} is not true or false`)
    }
    this.#converted(key)
    return truth
  }

  table(key: string): ConfigReader | undefined {
    const value = this.#table[key]
    return value === undefined ? undefined : this.#reader(value, key)
  }

  tables(key: string): readonly ConfigReader[] {
    return this.#array(key).map((item, i) => this.#reader(item, `${key}[${i}]`))
  }

  #array(key: string): readonly TomlValue[] {
    const value = this.#table[key]
    if (value === undefined) return []
    return Array.isArray(value) ? value : this.fail(`${this.#name(key)} is not a list`)
  }

  #reader(value: TomlValue, key: string): ConfigReader {
    if (!isTable(value)) return this.fail(`${this.#name(key)} is not a table`)
    return new ConfigReader(value, this.#what, this.#consequence, this.#name(key), this.warnings)
  }

  #toString(value: TomlValue, key: string): string {
    if (typeof value === 'string') return value
    if (Array.isArray(value) || isTable(value)) return this.fail(`${this.#name(key)} is not a string`)
    this.#converted(key)
    return value instanceof Date ? value.toISOString() : String(value)
  }

  #converted(key: string): void {
    this.warnings.push({
      code: 'converted-value',
      message: `${this.#what} has a value of another type in ${this.#name(key)}; the guest converts it.`,
    })
  }

  #name(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`
  }
}

/** More would help nobody, and looking for what was meant costs time. */
const UNKNOWN_KEYS_MAX = 50

/**
 * Lists the keys that the guest skips without a word, with the key that was probably meant; the first 50 of them.
 * @param mistaken known wrong names that no likeness would find.
 */
export function unknownKeys(
  document: TomlTable,
  schema: ConfigSchema,
  what: string,
  mistaken: Readonly<Record<string, string>> = {},
): ConfigWarning[] {
  const warnings: ConfigWarning[] = []
  visit(document, '')
  return warnings

  function visit(table: TomlTable, path: string): void {
    for (const [key, value] of Object.entries(table)) {
      if (warnings.length === UNKNOWN_KEYS_MAX) return
      if (schema[path]?.includes(key) === true) {
        const child = path === '' ? key : `${path}.${key}`
        const items = Array.isArray(value) ? value : [value]
        if (Object.hasOwn(schema, child)) items.filter(isTable).forEach((item) => void visit(item, child))
        continue
      }
      const place = path === '' ? 'at the top' : `in [${path}]`
      const meant = Object.hasOwn(mistaken, key) ? mistaken[key] : suggestion(key, path, schema)
      const advice = meant === undefined ? '' : ` Is ${meant} meant?`
      warnings.push({
        code: 'unknown-key',
        message: `${what} has the key ${quote(key)} ${place}, which the guest ignores without a word.${advice}`,
      })
    }
  }
}

/** The known name nearest to `word`, if it is near enough to be a slip. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 100) return undefined
  const ranked = known
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name) }))
    .sort((a, b) => a.distance - b.distance)
  const best = ranked[0]
  return best !== undefined && best.distance <= Math.max(2, word.length / 4) ? best.name : undefined
}

const TRUTHS: Readonly<Record<string, boolean | undefined>> = {
  '1': true,
  true: true,
  on: true,
  yes: true,
  '0': false,
  false: false,
  off: false,
  no: false,
}

function suggestion(key: string, path: string, schema: ConfigSchema): string | undefined {
  const here = nearest(key, schema[path] ?? [])
  if (here !== undefined) return here
  // A key of the top that stands after a table's head belongs to that table, and the other way round.
  const elsewhere = Object.entries(schema).find(([other, keys]) => other !== path && keys.includes(key))
  if (elsewhere === undefined) return undefined
  return elsewhere[0] === '' ? `${key} above the first table` : `${key} in [${elsewhere[0]}]`
}

function isTable(value: TomlValue): value is TomlTable {
  return typeof value === 'object' && !Array.isArray(value) && !(value instanceof Date)
}

/** Levenshtein distance. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= b.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
