import { decodeUtf8 } from './bytes.ts'
import { CosignetError, quote } from './errors.ts'
import { LIMITS } from './limits.ts'

/**
 * A JSON value with nothing lost: object members in their order, duplicates included, so that a caller can follow
 * the rules of the verifier that it stands in for (Go's last-wins, serde's refusal, a linter's warning).
 */
export type JsonNode =
  | { readonly kind: 'null'; readonly offset: number }
  | { readonly kind: 'boolean'; readonly offset: number; readonly value: boolean }
  /** `text` is the literal as it stands, for numbers beyond 2^53. */
  | { readonly kind: 'number'; readonly offset: number; readonly value: number; readonly text: string }
  | { readonly kind: 'string'; readonly offset: number; readonly value: string }
  | { readonly kind: 'array'; readonly offset: number; readonly items: readonly JsonNode[] }
  | { readonly kind: 'object'; readonly offset: number; readonly members: readonly JsonMember[] }

export interface JsonMember {
  readonly key: string
  /** Offset of the key in the text, in UTF-16 code units. */
  readonly offset: number
  readonly value: JsonNode
}

/** A plain JSON value, as JSON.parse gives it. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue }

/**
 * Parses one JSON text (RFC 8259) into a tree that keeps order, duplicates and positions. No byte order mark, nothing
 * after the value, no lone surrogates, no number beyond a double, at most `LIMITS.jsonDepth` levels.
 * @param what names the document in messages, for example "the policy policy.json".
 * @throws INVALID_JSON with line and column.
 */
export function parseJsonTree(bytes: Uint8Array, what: string): JsonNode {
  const text = decodeUtf8(bytes)
  if (text === undefined) throw new CosignetError('INVALID_JSON', `${what} is not UTF-8 text.`)
  return new TreeParser(text, what).parse()
}

/**
 * Parses one JSON text as JSON.parse does, but refuses duplicate keys and deep nesting.
 * @throws INVALID_JSON
 */
export function parseJson(bytes: Uint8Array, what: string): JsonValue {
  return toValue(parseJsonTree(bytes, what), what)
}

/** Line and column (both from 1) of an offset in a text. */
export function positionAt(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  return { line, column: offset - before.lastIndexOf('\n') }
}

/**
 * Encodes a string as Go's encoding/json does by default: `<`, `>`, `&`, U+2028 and U+2029 escaped, so that bytes
 * equal those of cosign and skopeo.
 */
export function encodeGoString(value: string): string {
  return JSON.stringify(value).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

/**
 * Serialises to the canonical form of RFC 8785 (JCS): members sorted by UTF-16 code units, no white space.
 * Numbers must be integers within 2^53, which is all that our protocols send.
 */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map((item: JsonValue) => canonicalJson(item)).join(',')}]`
  if (value !== null && typeof value === 'object') {
    const members = Object.entries(value as { readonly [key: string]: JsonValue })
    members.sort(([a], [b]) => (a < b ? -1 : 1))
    return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonicalJson(item)}`).join(',')}}`
  }
  return JSON.stringify(value)
}

function toValue(node: JsonNode, what: string): JsonValue {
  switch (node.kind) {
    case 'null':
      return null
    case 'array':
      return node.items.map((item) => toValue(item, what))
    case 'object': {
      const seen = new Set<string>()
      for (const { key } of node.members) {
        if (seen.has(key))
          throw new CosignetError('INVALID_JSON', `${what} has the key ${quote(key)} twice in one object.`)
        seen.add(key)
      }
      return Object.fromEntries(node.members.map((member) => [member.key, toValue(member.value, what)]))
    }
    default:
      return node.value
  }
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const WHITE_SPACE = /[ \t\n\r]*/y

class TreeParser {
  #offset = 0
  readonly #text: string
  readonly #what: string

  constructor(text: string, what: string) {
    this.#text = text
    this.#what = what
  }

  parse(): JsonNode {
    const node = this.#value(0)
    if (this.#offset < this.#text.length) this.#fail('nothing after the value')
    return node
  }

  #value(depth: number): JsonNode {
    this.#skipWhiteSpace()
    const offset = this.#offset
    const node = this.#valueAt(offset, depth)
    this.#skipWhiteSpace()
    return node
  }

  #valueAt(offset: number, depth: number): JsonNode {
    switch (this.#text[offset]) {
      case '{':
        return { kind: 'object', offset, members: this.#members(this.#deeper(depth)) }
      case '[':
        return { kind: 'array', offset, items: this.#items(this.#deeper(depth)) }
      case '"':
        return { kind: 'string', offset, value: this.#string() }
      case 't':
        return this.#literal('true', { kind: 'boolean', offset, value: true })
      case 'f':
        return this.#literal('false', { kind: 'boolean', offset, value: false })
      case 'n':
        return this.#literal('null', { kind: 'null', offset })
      default: {
        const text = this.#match(NUMBER)
        if (text === undefined) this.#fail('a value')
        // Go and serde_json refuse it, too; Infinity would be a value that nobody wrote.
        if (!Number.isFinite(Number(text))) this.#fail('a number that a double can hold', offset)
        return { kind: 'number', offset, value: Number(text), text }
      }
    }
  }

  /** The depth within one more object or list. */
  #deeper(depth: number): number {
    if (depth < LIMITS.jsonDepth) return depth + 1
    throw new CosignetError('INVALID_JSON', `${this.#what} is nested deeper than ${LIMITS.jsonDepth} levels.`)
  }

  #members(depth: number): JsonMember[] {
    const members: JsonMember[] = []
    this.#offset += 1
    this.#skipWhiteSpace()
    if (this.#take('}')) return members
    for (;;) {
      const offset = this.#offset
      if (this.#text[offset] !== '"') this.#fail('a key in double quotes')
      const key = this.#string()
      this.#skipWhiteSpace()
      if (!this.#take(':')) this.#fail("':'")
      members.push({ key, offset, value: this.#value(depth) })
      if (this.#take('}')) return members
      if (!this.#take(',')) this.#fail("',' or '}'")
      this.#skipWhiteSpace()
    }
  }

  #items(depth: number): JsonNode[] {
    const items: JsonNode[] = []
    this.#offset += 1
    this.#skipWhiteSpace()
    if (this.#take(']')) return items
    for (;;) {
      items.push(this.#value(depth))
      if (this.#take(']')) return items
      if (!this.#take(',')) this.#fail("',' or ']'")
    }
  }

  #string(): string {
    const start = this.#offset
    const end = this.#closingQuote(start)
    const value = end === undefined ? undefined : decodeString(this.#text.slice(start, end + 1))
    if (end === undefined || value === undefined) this.#fail('a valid string')
    this.#offset = end + 1
    return value
  }

  /** Finds the quote that ends the string; a pattern would need stack for every character of a long one. */
  #closingQuote(start: number): number | undefined {
    for (let end = this.#text.indexOf('"', start + 1); end !== -1; end = this.#text.indexOf('"', end + 1)) {
      let backslashes = 0
      while (this.#text[end - 1 - backslashes] === '\\') backslashes += 1
      if (backslashes % 2 === 0) return end
    }
    return undefined
  }

  #literal(text: string, node: JsonNode): JsonNode {
    if (!this.#text.startsWith(text, this.#offset)) this.#fail('a value')
    this.#offset += text.length
    return node
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#offset
    const found = pattern.exec(this.#text)?.[0]
    if (found !== undefined) this.#offset += found.length
    return found
  }

  #take(character: string): boolean {
    if (this.#text[this.#offset] !== character) return false
    this.#offset += 1
    return true
  }

  #skipWhiteSpace(): void {
    this.#match(WHITE_SPACE)
  }

  #fail(expected: string, offset = this.#offset): never {
    const { line, column } = positionAt(this.#text, offset)
    throw new CosignetError(
      'INVALID_JSON',
      `${this.#what} is not JSON: line ${line}, column ${column}: ${expected} expected.`,
    )
  }
}

function decodeString(literal: string): string | undefined {
  try {
    const value: unknown = JSON.parse(literal)
    return typeof value === 'string' && value.isWellFormed() ? value : undefined
  } catch {
    return undefined
  }
}
