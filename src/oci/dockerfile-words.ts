import { LIMITS } from '../core/index.ts'

/** What a word of a Dockerfile is expanded with. */
export interface WordRules {
  /** The escape character that the file declares. */
  readonly escapeToken: '\\' | '`'
  /** The value of a variable; undefined where it is not set. */
  readonly variable: (name: string) => string | undefined
  /** Refuses the word; the reason goes into a sentence. */
  readonly fail: (reason: string) => never
}

/** White space as Go's `unicode.IsSpace` has it, which BuildKit trims and splits at. */
export const SPACE = '[\\t-\\r \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000]'

const IS_SPACE = new RegExp(SPACE)
const DEPTH_MAX = 50
const UNCLOSED = 'a brace behind a "$" in it is not closed'

interface Piece {
  readonly text: string
  /** Whether it was in quotes or escaped, so that no white space in it ends a word. */
  readonly raw: boolean
}

/**
 * Takes the quotes and escapes from a word and puts in the values of variables, as BuildKit does (frontend/dockerfile/
 * shell, lex.go): `$a`, `${a}`, and `-`, `+`, `?` after the name, with or without a colon. White space stays.
 */
export function expandWord(word: string, rules: WordRules): string {
  return new WordReader(word, rules)
    .read()
    .map(({ text }) => text)
    .join('')
}

/** Expands like `expandWord`, then splits at white space that was not quoted; a value may make several words. */
export function expandWords(word: string, rules: WordRules): readonly string[] {
  const words = ['']
  for (const { text, raw } of new WordReader(word, rules).read()) {
    for (const character of text) {
      if (!raw && IS_SPACE.test(character)) words.push('')
      else words.push(`${words.pop() ?? ''}${character}`)
    }
  }
  return words.filter((part) => part !== '')
}

/**
 * Splits at white space outside quotes, and leaves quotes and escapes where they are (parser, `parseWords`).
 * @param escape character that takes the meaning from the one after it; not between single quotes.
 */
export function splitWords(text: string, escapeToken: string): readonly string[] {
  const words: string[] = []
  let word = ''
  let quote = ''
  const characters = Array.from(text)
  for (let i = 0; i < characters.length; i += 1) {
    const character = characters[i] ?? ''
    if (character === escapeToken && quote !== "'") {
      const next = characters[i + 1]
      // At the very end it stands for nothing.
      if (next !== undefined) word += character + next
      i += 1
    } else if (quote === '' && IS_SPACE.test(character)) {
      if (word !== '') words.push(word)
      word = ''
    } else {
      if (character === quote) quote = ''
      else if (quote === '' && (character === '"' || character === "'")) quote = character
      word += character
    }
  }
  if (word !== '') words.push(word)
  return words
}

class WordReader {
  readonly #characters: readonly string[]
  readonly #rules: WordRules
  #at = 0
  #depth = 0
  #length = 0

  constructor(word: string, rules: WordRules) {
    this.#characters = Array.from(word)
    this.#rules = rules
  }

  read(): readonly Piece[] {
    return this.#readUntil(undefined)
  }

  #readUntil(stop: string | undefined): readonly Piece[] {
    const pieces: Piece[] = []
    for (;;) {
      const character = this.#peek()
      if (character === undefined) {
        if (stop !== undefined) this.#rules.fail(UNCLOSED)
        return pieces
      }
      if (character === stop) {
        this.#at += 1
        return pieces
      }
      pieces.push(this.#piece(character))
    }
  }

  #piece(character: string): Piece {
    if (character === '$') return { text: this.#dollar(), raw: false }
    this.#at += 1
    if (character === "'") return { text: this.#singleQuoted(), raw: true }
    if (character === '"') return { text: this.#doubleQuoted(), raw: true }
    // At the very end an escape stands for nothing.
    if (character === this.#rules.escapeToken) return { text: this.#take() ?? '', raw: true }
    return { text: character, raw: false }
  }

  #singleQuoted(): string {
    let text = ''
    for (;;) {
      const character = this.#take() ?? this.#rules.fail('a single quote in it is not closed')
      if (character === "'") return text
      text += character
    }
  }

  #doubleQuoted(): string {
    let text = ''
    for (;;) {
      const character = this.#peek() ?? this.#rules.fail('a double quote in it is not closed')
      if (character === '$') {
        text += this.#dollar()
        continue
      }
      this.#at += 1
      if (character === '"') return text
      const next = this.#peek()
      const escapes = character === this.#rules.escapeToken && next !== undefined
      if (escapes && (next === '"' || next === '$' || next === this.#rules.escapeToken)) {
        this.#at += 1
        text += next
      } else if (character !== this.#rules.escapeToken || next !== undefined) {
        text += character
      }
    }
  }

  #dollar(): string {
    this.#at += 1
    const text = this.#peek() === '{' ? this.#braces() : this.#plain()
    this.#length += text.length
    if (this.#length > LIMITS.dockerfileWord) {
      this.#rules.fail(`it expands to more than ${LIMITS.dockerfileWord} characters`)
    }
    return text
  }

  #plain(): string {
    const name = this.#name()
    return name === '' ? '$' : (this.#rules.variable(name) ?? '')
  }

  #braces(): string {
    this.#at += 1
    const name = this.#name()
    const operator = this.#take() ?? this.#rules.fail(UNCLOSED)
    if (name === '') this.#rules.fail('a "$" in it is not followed by the name of a variable')
    const value = this.#rules.variable(name)
    if (operator === '}') return value ?? ''
    const colon = operator === ':'
    const modifier = colon ? (this.#take() ?? '') : operator
    if (!['-', '+', '?'].includes(modifier)) {
      this.#rules.fail(`"\${${name}${colon ? ':' : ''}${modifier}" is not one of the known ways to expand it`)
    }
    this.#depth += 1
    if (this.#depth > DEPTH_MAX) this.#rules.fail('variables in it are nested too deeply')
    const other = this.#readUntil('}')
      .map(({ text }) => text)
      .join('')
    this.#depth -= 1
    const isSet = value !== undefined && !(colon && value === '')
    if (modifier === '+') return isSet ? other : ''
    if (isSet) return value
    return modifier === '-'
      ? other
      : this.#rules.fail(`${name} is not set${other === '' ? '' : `: ${other}`}`)
  }

  /** Letters, digits and `_`; or digits alone, or one special parameter, as POSIX shells have them. */
  #name(): string {
    const first = this.#peek() ?? ''
    if (/^[@*#?\-$!]$/.test(first)) {
      this.#at += 1
      return first
    }
    const allowed = /^\p{Nd}$/u.test(first) ? /^\p{Nd}$/u : /^[\p{L}\p{Nd}_]$/u
    let name = ''
    for (let next = this.#peek(); next !== undefined && allowed.test(next); next = this.#peek()) {
      name += next
      this.#at += 1
    }
    return name
  }

  #peek(): string | undefined {
    return this.#characters[this.#at]
  }

  #take(): string | undefined {
    const character = this.#peek()
    this.#at += 1
    return character
  }
}
