import { CosignetError, isCosignetError, type JsonValue, parseJson, quote, reasonOf } from '../core/index.ts'

/** The members of a message by their names in JSON, which are in camel case; those that are null are left out. */
export type Fields = ReadonlyMap<string, JsonValue>

/** Parses a JSON document that a bundle is or holds; a key given twice is refused. @throws INVALID_SIGNATURE */
export function parseBundleJson(bytes: Uint8Array, what: string): JsonValue {
  try {
    return parseJson(bytes, what)
  } catch (error) {
    if (isCosignetError(error, 'INVALID_JSON')) return invalidBundle(reasonOf(error))
    throw error
  }
}

/**
 * Reads a protobuf message from JSON as Go's protojson does: a member by its name in camel case or as the .proto file has
 * it, null as if it were not there; a name that the message does not have is refused.
 * @param what names the message in the refusal: `dsseEnvelope`.
 * @param names of the members, as the .proto file has them: `tlog_entries`.
 * @throws INVALID_SIGNATURE
 */
export function fieldsOf(value: JsonValue | undefined, what: string, names: readonly string[]): Fields {
  const fields = new Map<string, JsonValue>()
  for (const [key, member] of entriesOf(value, what)) {
    const found = names.find((name) => name === key || camelCase(name) === key)
    if (found === undefined) invalidBundle(`${what} has the unknown member ${quote(key)}`)
    const name = camelCase(found)
    if (fields.has(name)) invalidBundle(`${what} has ${quote(name)} twice`)
    if (member !== null) fields.set(name, member)
  }
  return fields
}

/** The members of a JSON object, whatever their names. @throws INVALID_SIGNATURE */
export function entriesOf(value: JsonValue | undefined, what: string): readonly [string, JsonValue][] {
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value)) {
    return invalidBundle(`${what} is not an object`)
  }
  return Object.entries(value)
}

/** The member of a JSON object by its exact name; undefined if there is none, or no object. */
export function fieldOf(value: JsonValue | undefined, name: string): JsonValue | undefined {
  if (value === undefined || value === null || typeof value !== 'object' || Array.isArray(value))
    return undefined
  return Object.hasOwn(value, name) ? (value as { readonly [key: string]: JsonValue })[name] : undefined
}

/** A string; empty if it is absent. @throws INVALID_SIGNATURE */
export function stringOf(value: JsonValue | undefined, what: string): string {
  if (value === undefined) return ''
  return typeof value === 'string' ? value : invalidBundle(`${what} is not a string`)
}

/** A list; empty if it is absent. @throws INVALID_SIGNATURE, also beyond `limit` items */
export function listOf(value: JsonValue | undefined, what: string, limit: number): readonly JsonValue[] {
  if (value === undefined) return []
  if (!Array.isArray(value)) return invalidBundle(`${what} is not a list`)
  return value.length <= limit ? value : invalidBundle(`${what} has more than ${limit} items`)
}

const NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/

/** An int64 that is not negative, as a number or in a string, within 2^53; 0 if it is absent. @throws INVALID_SIGNATURE */
export function integerOf(value: JsonValue | undefined, what: string): number {
  if (value === undefined) return 0
  const number = typeof value === 'string' && NUMBER.test(value) ? Number(value) : value
  const valid = typeof number === 'number' && Number.isSafeInteger(number) && number >= 0
  return valid ? number : invalidBundle(`${what} is not a whole number`)
}

/** Bytes in base64 of either alphabet, padded or not, as protojson takes it; empty if absent. @throws INVALID_SIGNATURE */
export function bytesOf(value: JsonValue | undefined, what: string): Uint8Array {
  const text = stringOf(value, what)
  return isProtoBase64(text) ? Buffer.from(text, 'base64') : invalidBundle(`${what} is not base64`)
}

/** Go takes a text whose length is a multiple of 4 for padded, and skips the ends of lines within. */
function isProtoBase64(text: string): boolean {
  const digits = text.replace(/[\r\n]/g, '')
  const pattern = /[-_]/.test(text) ? /^[A-Za-z0-9_-]*={0,2}$/ : /^[A-Za-z0-9+/]*={0,2}$/
  if (!pattern.test(digits)) return false
  return text.length % 4 === 0 ? digits.length % 4 === 0 : digits.length % 4 !== 1 && !digits.includes('=')
}

function camelCase(name: string): string {
  return name.replace(/(?<=.)_(.)/g, (_, letter: string) => letter.toUpperCase())
}

/** @throws INVALID_SIGNATURE with the reason */
export function invalidBundle(reason: string): never {
  throw new CosignetError('INVALID_SIGNATURE', `The sigstore bundle is not valid: ${reason}.`)
}
